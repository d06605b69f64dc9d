"""The verb on a network's port forwards: network forward."""

import argparse
import re
from collections.abc import Mapping
from ipaddress import ip_address
from xml.etree import ElementTree as ET

from insula.cli.networkcommands import network_named
from insula.cli.render import show_json, show_line, show_table
from insula.errors import InvalidArgumentError, NetworkMetadataNotFoundError, OperationInvalidError
from insula.model.numbers import Affect, MetadataType
from insula.model.xmlnamespaces import INSULA_NAMESPACE
from insula.sdk.blocking_domains import Host
from insula.sdk.blocking_networks import Network

Forward = Mapping[str, str]
"""The attributes of `<insula:forward>`."""

_PREFIX, _ELEMENT = "insula", "forward"
_PROTOCOLS = ("tcp", "udp", "sctp")
_PORTS = r"(?P<start>[0-9]{1,5})(?:-(?P<end>[0-9]{1,5}))?"
_FORWARD = re.compile(_PORTS + r":(?P<to>\[[^\]]+\]|[^:\[\]]+)(?::(?P<tostart>[0-9]{1,5}))?\Z")
_ALONE = re.compile(_PORTS + r"\Z")
_PORT_MAX = 65535


def _forward_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", help="name or UUID")
    parser.add_argument(
        "forward",
        nargs="*",
        metavar="PORT[-PORT]:ADDRESS[:PORT]",
        help="the host's ports, the guest's address, and the first of its ports if that is another; one of IPv6 in "
        "brackets",
    )
    parser.add_argument("--protocol", choices=_PROTOCOLS, default="tcp", help="(default: %(default)s)")
    parser.add_argument("--address", help="only what is for this address of the host")
    parser.add_argument("--dev", metavar="DEVICE", help="only what comes in through this device of the host")
    parser.add_argument("--remove", action="store_true", help="take the forwards of these ports of the host away")
    parser.add_argument("--json", action="store_true", help="one JSON document of those that there are")
    parser.epilog = (
        "Without a forward it lists those that there are. A change counts at once and for every later start; guests "
        "keep their connections."
    )


def _forward(options: argparse.Namespace, host: Host) -> int:
    found = network_named(host, options.network)
    there = _there(found, Affect.CONFIG if found.is_persistent() else Affect.LIVE)
    if not options.forward:
        _show(options, there)
        return 0
    for text in options.forward:
        if options.remove:
            there.remove(_meant(text, options, there))
        else:
            there.append(_read(text, options))
    affect = Affect.LIVE if found.is_active() else Affect(0)
    affect |= Affect.CONFIG if found.is_persistent() else Affect(0)
    _keep(found, there, affect)
    return 0


def _there(network: Network, affect: Affect) -> list[Forward]:
    try:
        text = network.metadata(MetadataType.ELEMENT, INSULA_NAMESPACE, affect)
    except NetworkMetadataNotFoundError:
        return []
    return [each.attrib for each in ET.fromstring(text).iter(_ELEMENT)]


def _keep(network: Network, forwards: list[Forward], affect: Affect) -> None:
    element = ET.Element("network")
    for each in forwards:
        ET.SubElement(element, _ELEMENT, dict(each))
    value = ET.tostring(element, encoding="unicode") if forwards else None
    network.set_metadata(MetadataType.ELEMENT, value, _PREFIX, INSULA_NAMESPACE, affect)


def _read(text: str, options: argparse.Namespace) -> Forward:
    """Return the forward that a word says. Raises: InvalidArgumentError."""
    match = _FORWARD.match(text)
    if match is None:
        raise InvalidArgumentError(f"'{text}' is no forward; say PORT:ADDRESS:PORT, such as 8080:192.0.2.7:80")
    ports = {name: _port(match[name], text) for name in ("start", "end", "tostart") if match[name] is not None}
    if ports.get("tostart") == ports["start"]:
        del ports["tostart"]
    said = {
        "protocol": options.protocol,
        "address": None if options.address is None else _address(options.address, text),
        "dev": options.dev,
        **ports,
        "to": _address(match["to"].strip("[]"), text),
    }
    return {name: value for name, value in said.items() if value is not None}


def _meant(text: str, options: argparse.Namespace, there: list[Forward]) -> Forward:
    """Return the forward that is to go. Raises: OperationInvalidError, InvalidArgumentError."""
    match = _FORWARD.match(text) or _ALONE.match(text)
    if match is None:
        raise InvalidArgumentError(f"'{text}' is no port of the host; say PORT or PORT-PORT")
    wanted = options.protocol, match["start"], match["end"] or match["start"]
    for each in there:
        ports = each.get("protocol", "tcp"), each["start"], each.get("end", each["start"])
        if ports == wanted and options.address in (None, each.get("address")):
            return each
    raise OperationInvalidError(f"no port forward is there for {options.protocol} {text}")


def _port(text: str, whole: str) -> str:
    if not 1 <= int(text) <= _PORT_MAX:
        raise InvalidArgumentError(f"'{whole}': {text} is no port; they are 1 to {_PORT_MAX}")
    return str(int(text))


def _address(text: str, whole: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError as error:
        raise InvalidArgumentError(f"'{whole}': '{text}' is no IP address") from error


def _show(options: argparse.Namespace, forwards: list[Forward]) -> None:
    if options.json:
        show_json([_row(each) for each in forwards])
    elif forwards:
        headings = ["PROTOCOL", "HOST", "PORTS", "GUEST", "PORT"]
        show_table(headings, [_cells(_row(each)) for each in forwards])
    else:
        show_line("no port of the host is forwarded to guests of this network")


def _row(forward: Forward) -> dict[str, object]:
    return {
        "protocol": forward.get("protocol", "tcp"),
        "address": forward.get("address"),
        "device": forward.get("dev"),
        "first": int(forward["start"]),
        "last": int(forward.get("end", forward["start"])),
        "to": forward["to"],
        "to_first": int(forward.get("tostart", forward["start"])),
    }


def _cells(row: Mapping[str, object]) -> list[object]:
    ports = row["first"] if row["first"] == row["last"] else f"{row['first']}-{row['last']}"
    return [row["protocol"], row["address"] or row["device"] or "any", ports, row["to"], row["to_first"]]


ARGUMENTS = {"network forward": _forward_arguments}
RUN = {"network forward": _forward}
