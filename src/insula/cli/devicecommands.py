"""device add, rm: what a domain is given of the host, and what is taken away, while it runs and in its definition."""

import argparse
import re
from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

from lxml import etree

from insula.cli.columns import Column, list_arguments, show_list
from insula.cli.definition import split_bind
from insula.cli.lookup import domain
from insula.cli.setcommand import affected
from insula.errors import DeviceMissingError, InvalidArgumentError
from insula.model.numbers import Affect, XmlFlags
from insula.model.xmlnamespaces import INSULA_NAMESPACE
from insula.model.xmlsource import parse
from insula.rpc.codes.requestcodes import DeviceFlags

if TYPE_CHECKING:
    from insula.sdk.blocking_domains import Domain, Host

_GRANT = f"{{{INSULA_NAMESPACE}}}device"
_GRANTS = f"../metadata/{{{INSULA_NAMESPACE}}}domain/{_GRANT}"
_KINDS = ("filesystem", "disk", "hostdev", "interface", _GRANT)
_DEVICES = "/dev/"
_NODES = ("source/char", "source/block")


def _where_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--live", action="store_true", help="of what runs now")
    parser.add_argument("--config", action="store_true", help="of the definition, from the next start on")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("domain", help="name, id or UUID")
    parser.add_argument(
        "-v", "--volume", action="append", default=[], metavar="SOURCE:TARGET[:ro]", help="show a directory of the host"
    )
    parser.add_argument(
        "--disk",
        action="append",
        default=[],
        metavar="PATH[:NAME][:ro]",
        help="a raw image, or a block device of the host, as /dev/NAME (default: the next free of vda, vdb and so on)",
    )
    parser.add_argument(
        "--device", action="append", default=[], metavar="/dev/NODE", help="a character device of the host"
    )
    parser.add_argument(
        "--usb",
        action="append",
        default=[],
        metavar="VENDOR:PRODUCT",
        help="a USB device by its model, as lsusb shows it, or by its place, such as 001.004",
    )
    parser.add_argument(
        "--class",
        dest="classes",
        action="append",
        default=[],
        metavar="CLASS",
        help="devices of the host by one word: gpu, kvm, sound, input, video, fuse, tun, serial, dvb, i2c, spi, gpio",
    )
    parser.add_argument(
        "--cdi",
        action="append",
        default=[],
        metavar="VENDOR/CLASS=NAME",
        help="a device of the host that its vendor describes (Container Device Interface)",
    )
    parser.add_argument("-b", "--bridge", action="append", default=[], help="an interface on this bridge of the host")
    parser.add_argument("-n", "--network", action="append", default=[], help="an interface in this virtual network")
    _where_arguments(parser)
    parser.epilog = "Without --live and --config both are meant, as far as there are both."


def _add(options: argparse.Namespace, host: "Host") -> int:
    found = domain(host, options.domain)
    affect = affected(options, found)
    wanted = list(_wanted(options, _taken(found, affect)))
    if not wanted:
        raise InvalidArgumentError("say what to add, such as -v /srv/data:/data")
    for xml in wanted:
        found.attach(xml, affect)
    return 0


def _wanted(options: argparse.Namespace, taken: set[str]) -> Iterator[str]:
    """Yield the XML of each device that the options name. taken: names of disks that there are."""
    for source, target, read_only in map(split_bind, options.volume):
        kept = "<readonly/>" if read_only else ""
        yield (
            f"<filesystem type='mount'><source dir={quoteattr(source)}/><target dir={quoteattr(target)}/>{kept}"
            "</filesystem>"
        )
    for path, asked, read_only in map(split_disk, options.disk):
        name = asked or next(each for each in _disk_names() if each not in taken)
        taken.add(name)
        kind, source = ("block", "dev") if path.startswith(_DEVICES) else ("file", "file")
        kept = "<readonly/>" if read_only else ""
        yield (f"<disk type='{kind}'><source {source}={quoteattr(path)}/><target dev={quoteattr(name)}/>{kept}</disk>")
    for path in options.device:
        char = etree.Element("char")
        char.text = path
        text = etree.tostring(char, encoding="unicode")
        yield f"<hostdev mode='capabilities' type='misc'><source>{text}</source></hostdev>"
    for text in options.usb:
        yield f"<hostdev mode='subsystem' type='usb'><source>{usb_source(text)}</source></hostdev>"
    for attribute, names in (("class", options.classes), ("cdi", options.cdi)):
        for name in names:
            yield f"<insula:device xmlns:insula='{INSULA_NAMESPACE}' {attribute}={quoteattr(name)}/>"
    for bridge in options.bridge:
        yield f"<interface type='bridge'><source bridge={quoteattr(bridge)}/></interface>"
    for network in options.network:
        yield f"<interface type='network'><source network={quoteattr(network)}/></interface>"


def split_disk(text: str) -> tuple[str, str | None, bool]:
    """Read `PATH[:NAME][:ro]`. Raises: InvalidArgumentError."""
    path, *more = text.split(":")
    read_only = more[-1:] == ["ro"]
    names = more[:-1] if read_only else more
    if not path.startswith("/") or len(names) > 1 or not all(names) or any("/" in each for each in names):
        raise InvalidArgumentError(f"'{text}' is no disk; give PATH, PATH:NAME or PATH:NAME:ro, the path absolute")
    return path, names[0] if names else None, read_only


def usb_source(text: str) -> str:
    """Read `VENDOR:PRODUCT` in hexadecimal, or `BUS.DEVICE` in decimal; return the XML of it.

    Raises: InvalidArgumentError.
    """
    if found := re.fullmatch(r"([0-9a-fA-F]{4}):([0-9a-fA-F]{4})", text):
        return f"<vendor id='0x{found[1]}'/><product id='0x{found[2]}'/>"
    if found := re.fullmatch(r"([0-9]{1,3})\.([0-9]{1,3})", text):
        return f"<address bus='{int(found[1])}' device='{int(found[2])}'/>"
    raise InvalidArgumentError(
        f"'{text}' is no USB device; give VENDOR:PRODUCT, as 046d:c077, or BUS.DEVICE, as 001.004"
    )


def _disk_names() -> Iterator[str]:
    """vda to vdz, then vdaa and so on."""
    letters = [chr(each) for each in range(ord("a"), ord("z") + 1)]
    yield from (f"vd{each}" for each in letters)
    yield from (f"vd{first}{second}" for first in letters for second in letters)
    yield from (f"vdx{each}" for each in count())


def _taken(found: "Domain", affect: Affect) -> set[str]:
    there = (each for _, devices in _definitions(found, affect) for each in devices.iterfind("disk/target"))
    return {str(each.get("dev")) for each in there}


def _definitions(found: "Domain", affect: Affect) -> Iterator[tuple[Affect, etree._Element]]:
    """Yield those that affect means, each with its `<devices>`."""
    for which, flags in ((Affect.LIVE, XmlFlags(0)), (Affect.CONFIG, XmlFlags.INACTIVE)):
        if which in affect and (devices := parse(found.xml(flags)).find("devices")) is not None:
            yield which, devices


def _rm_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("domain", help="name, id or UUID")
    parser.add_argument(
        "devices",
        nargs="+",
        metavar="device",
        help="its place in the guest, such as /srv/data or /dev/vda, its MAC address, alias, model of USB, or class",
    )
    parser.add_argument("-f", "--force", action="store_true", help="in use or not; who uses it keeps it")
    _where_arguments(parser)
    parser.epilog = "Without --live and --config it is taken away wherever it is."


def _rm(options: argparse.Namespace, host: "Host") -> int:
    found = domain(host, options.domain)
    affect = affected(options, found)
    flags = DeviceFlags.FORCE if options.force else DeviceFlags(0)
    for name in options.devices:
        meant = [
            (which, device)
            for which, devices in _definitions(found, affect)
            for device in (*devices, *devices.iterfind(_GRANTS))
            if device.tag in _KINDS and name.lower() in _names(device)
        ]
        if not meant:
            raise DeviceMissingError(f"'{found.name}' has no device '{name}'")
        where = Affect(0)
        for which, _ in meant:
            where |= which
        found.detach(etree.tostring(meant[0][1], encoding="unicode", with_tail=False), where | flags)
    return 0


def _names(device: etree._Element) -> set[str]:
    """Return what a device is called by, in small letters."""
    target, mac, alias = device.find("target"), device.find("mac"), device.find("alias")
    names = {mac.get("address") if mac is not None else None, alias.get("name") if alias is not None else None}
    if target is not None and device.tag == "filesystem":
        names.add(target.get("dir"))
    if target is not None and device.tag == "disk":
        names |= {target.get("dev"), f"{_DEVICES}{target.get('dev')}"}
    names |= {device.findtext(each) for each in _NODES} | {device.findtext("source/interface")}
    names.add(_usb_model(device))
    if device.tag == _GRANT:
        names |= {device.get("class"), device.get("cdi")}
    return {each.lower() for each in names if each}


def _usb_model(device: etree._Element) -> str | None:
    vendor, product = device.find("source/vendor"), device.find("source/product")
    if vendor is None or product is None:
        return None
    return f"{vendor.get('id', '')}:{product.get('id', '')}".replace("0x", "")


_FIELDS = ("name", "kind", "nodes", "remarks", "problem")
_COLUMNS = (
    Column("NAME", lambda row: row["name"]),
    Column("KIND", lambda row: row["kind"]),
    Column("NODES", lambda row: " ".join(row["nodes"]) or "-"),
    Column("REMARKS", lambda row: row["problem"] or "; ".join(row["remarks"])),
)


def _classes_arguments(parser: argparse.ArgumentParser) -> None:
    list_arguments(parser, _FIELDS)
    parser.epilog = "Classes go by --class of insula device add, devices of kind cdi by --cdi; a file is not read."


def _classes(options: argparse.Namespace, host: "Host") -> int:
    show_list(options, host.device_classes(), _COLUMNS, _FIELDS)
    return 0


ARGUMENTS = {"device add": _add_arguments, "device classes": _classes_arguments, "device rm": _rm_arguments}
RUN = {"device add": _add, "device classes": _classes, "device rm": _rm}
