"""Verbs for virtual networks: network create, ls, info, start, stop, rm, leases, autostart."""

import argparse
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

from insula.cli.columns import Column, list_arguments, show_list
from insula.cli.render import show_error, show_facts, show_json, show_line, show_progress, show_text
from insula.errors import (
    InsulaError,
    NetworkExistsError,
    NetworkNotFoundError,
    OperationFailedError,
    OperationInvalidError,
)
from insula.sdk.blocking_domains import Host
from insula.sdk.blocking_networks import Network
from insula.sdk.networkconversations import NetworkLease
from insula.sdk.values import Json

DEFAULT = "default"
"""The network that is made where none is named."""
OWN_BRIDGE = ("nat", "route", "open", "none")
"""Modes of networks that make a bridge: those that can be made in one command, and whose stop guests notice."""


def network_named(host: Host, text: str) -> Network:
    """Return the network of that name, else of that UUID. Raises: NetworkNotFoundError naming those there are."""
    try:
        return host.network(text)
    except NetworkNotFoundError as missing:
        try:
            return host.network_by_uuid(uuid.UUID(text).bytes)
        except ValueError:
            pass
        names = [each.name for each in host.networks()]
        there = f"there are {', '.join(names)}" if names else "there is none yet"
        hint = "insula network create" if text == DEFAULT else f"insula network create {text}"
        raise NetworkNotFoundError(f"no network is called '{text}'; {there}; make one with: {hint}") from missing


def _create_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", default=DEFAULT, help=f"what it is called (default: {DEFAULT})")
    parser.add_argument(
        "--mode",
        choices=OWN_BRIDGE,
        default="nat",
        help="how guests reach beyond it: by the host's address, by their own, by their own without rules, or not at "
        "all (default: %(default)s)",
    )
    parser.add_argument("--subnet", metavar="ADDRESS/BITS", help="its IPv4 subnet (default: one that is free)")
    parser.add_argument("--no-ipv6", action="store_true", help="without a subnet of IPv6")
    parser.add_argument("--no-start", action="store_true", help="define it; it starts neither now nor with the host")
    parser.add_argument("--xml", action="store_true", help="print the network's XML instead of making it")
    parser.epilog = (
        "Its subnets collide with no route or address of the host and no other network. Of anything else a network can "
        "be, insula network edit changes the XML."
    )


def _create(options: argparse.Namespace, host: Host) -> int:
    _refuse_taken(host, options.name)
    xml = host.offer_network(options.name, mode=options.mode, subnet=options.subnet, ipv6=not options.no_ipv6)
    if options.xml:
        show_text(xml)
        return 0
    made = host.define_network(xml)
    if not options.no_start:
        try:
            made.start()
            made.set_autostart(wanted=True)
        except InsulaError:
            _take_back(made)
            raise
    show_line(made.name)
    return 0


def _refuse_taken(host: Host, name: str) -> None:
    """Raises: NetworkExistsError if there is a network of that name, which libvirt's number does not tell."""
    try:
        found = host.network(name)
    except NetworkNotFoundError:
        return
    raise NetworkExistsError(f"network '{name}' already exists with uuid {found.uuid}")


def _take_back(made: Network) -> None:
    """Leave nothing of a network that could not be made as it was wanted."""
    for undo in (made.destroy, made.undefine):
        try:
            undo()
        except OperationInvalidError:  # it did not get that far
            continue
        except InsulaError as error:
            show_error(f"it is not all gone: {error}", of=made.name)


FIELDS = (
    *("name", "active", "mode", "bridge", "subnets", "guests", "autostart", "persistent"),
    *("title", "uuid", "begun", "notices"),
)
"""Of each network that is listed."""

COLUMNS = (
    Column("NAME", lambda row: row["name"]),
    Column("STATE", lambda row: "active" if row["active"] else "inactive"),
    Column("MODE", lambda row: row["mode"]),
    Column("BRIDGE", lambda row: row["bridge"]),
    Column("SUBNETS", lambda row: ", ".join(row["subnets"])),
    Column("GUESTS", lambda row: len(row["guests"])),
    Column("AUTOSTART", lambda row: "yes" if row["autostart"] else "no"),
)


def _ls_arguments(parser: argparse.ArgumentParser) -> None:
    list_arguments(parser, FIELDS)


def _ls(options: argparse.Namespace, host: Host) -> int:
    show_list(options, sorted(host.network_overview(), key=lambda row: str(row["name"])), COLUMNS, FIELDS)
    return 0


def _info_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", help="name or UUID")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def _info(options: argparse.Namespace, host: Host) -> int:
    found = network_named(host, options.network).info()
    if options.json:
        show_json(found)
    else:
        show_facts(_facts(found))
    return 0


def _facts(found: Json) -> dict[str, object]:
    begun = found["begun"]
    facts: dict[str, object] = {
        "name": found["name"],
        "uuid": found["uuid"],
        "state": "active" if found["active"] else "inactive",
        "since": None if begun is None else when(begun / 1e9),
        "persistent": "yes" if found["persistent"] else "no",
        "autostart": "yes" if found["autostart"] else "no",
        "mode": found["mode"],
        "bridge": found["bridge"],
        "subnets": found["subnets"],
        "guests": found["guests"],
    }
    return facts | {name: found[name] for name in ("title", "notices") if found[name]}


def when(seconds: float) -> str:
    """A time since 1970 as people read it, in the zone of whoever asks."""
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S %z")


def _networks_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("networks", nargs="+", metavar="network", help="name or UUID")


def _each_network(options: argparse.Namespace, host: Host, work: Callable[[Network], None]) -> int:
    """Do work with each network that is named; one that fails stops no other."""
    status = 0
    for text in options.networks:
        try:
            work(network_named(host, text))
        except InsulaError as error:
            show_error(str(error), of=text)
            status = status or error.exit_status
    return status


def _start(options: argparse.Namespace, host: Host) -> int:
    return _each_network(options, host, lambda found: found.start())


def _stop_arguments(parser: argparse.ArgumentParser) -> None:
    _networks_arguments(parser)
    parser.epilog = "Guests that are plugged into it run on without it, until it starts again; they are named."


def _stop(options: argparse.Namespace, host: Host) -> int:
    return _each_network(options, host, lambda found: _stopped(found, until=" until it starts again"))


def _stopped(found: Network, *, until: str = "") -> None:
    facts = found.info()
    found.destroy()
    if facts["guests"]:
        guests = ", ".join(facts["guests"])
        own = facts["mode"] in OWN_BRIDGE
        lost = f"had it, and lost it{until}" if own else "had it, and stay where they are plugged in on the host"
        show_progress(f"{found.name}: {guests} {lost}")


def _rm_arguments(parser: argparse.ArgumentParser) -> None:
    _networks_arguments(parser)
    parser.add_argument("-f", "--force", action="store_true", help="stop it first if it is active")


def _rm(options: argparse.Namespace, host: Host) -> int:
    def remove(found: Network) -> None:
        persistent = found.is_persistent()
        if found.is_active():
            if not options.force:
                raise OperationInvalidError("it is active; stop it first, or use --force")
            _stopped(found)
        if persistent:
            found.undefine()

    return _each_network(options, host, remove)


def _autostart_arguments(parser: argparse.ArgumentParser) -> None:
    _networks_arguments(parser)
    parser.add_argument("--disable", action="store_true", help="no longer")


def _autostart(options: argparse.Namespace, host: Host) -> int:
    return _each_network(options, host, lambda found: found.set_autostart(wanted=not options.disable))


LEASE_FIELDS = ("address", "mac", "hostname", "expires", "network", "client")
"""Of each lease that is listed."""

LEASE_COLUMNS = (
    Column("ADDRESS", lambda row: row["address"]),
    Column("MAC", lambda row: row["mac"]),
    Column("HOST NAME", lambda row: row["hostname"]),
    Column("EXPIRES", lambda row: when(row["expires"]) if row["expires"] else "never"),
    Column("NETWORK", lambda row: row["network"]),
)


def _leases_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("networks", nargs="*", metavar="network", help="name or UUID (default: all that are active)")
    list_arguments(parser, LEASE_FIELDS)


def _leases(options: argparse.Namespace, host: Host) -> int:
    named = [network_named(host, each) for each in options.networks] or host.networks()
    rows = [_lease_row(network, lease) for network in named for lease in _leases_of(network)]
    show_list(options, rows, LEASE_COLUMNS, LEASE_FIELDS)
    return 0


def _leases_of(network: Network) -> list[NetworkLease]:
    try:
        return network.leases()
    except NetworkNotFoundError:  # it has gone meanwhile
        return []
    except InsulaError as error:
        raise OperationFailedError(f"the leases of network '{network.name}' cannot be told: {error}") from error


def _lease_row(network: Network, lease: NetworkLease) -> dict[str, Any]:
    return {
        "address": f"{lease.address}/{lease.prefix}",
        "mac": lease.mac,
        "hostname": lease.hostname,
        "expires": lease.expiry,
        "network": network.name,
        "client": lease.client,
    }


ARGUMENTS = {
    "network create": _create_arguments,
    "network ls": _ls_arguments,
    "network info": _info_arguments,
    "network start": _networks_arguments,
    "network stop": _stop_arguments,
    "network rm": _rm_arguments,
    "network autostart": _autostart_arguments,
    "network leases": _leases_arguments,
}
RUN = {
    "network create": _create,
    "network ls": _ls,
    "network info": _info,
    "network start": _start,
    "network stop": _stop,
    "network rm": _rm,
    "network autostart": _autostart,
    "network leases": _leases,
}
