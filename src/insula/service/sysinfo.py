"""Who made this machine, as libvirt's sysinfo XML, and which machine it is."""

import logging
from pathlib import Path
from uuid import UUID, uuid4

from lxml import etree

from insula.model.visible import visible

LOGGER = logging.getLogger(__name__)

DMI_DIRECTORY = "sys/class/dmi/id"

DMI_ENTRIES: dict[str, dict[str, str]] = {
    "bios": {"vendor": "bios_vendor", "version": "bios_version", "date": "bios_date", "release": "bios_release"},
    "system": {
        "manufacturer": "sys_vendor",
        "product": "product_name",
        "version": "product_version",
        "serial": "product_serial",
        "uuid": "product_uuid",
        "sku": "product_sku",
        "family": "product_family",
    },
    "baseBoard": {
        "manufacturer": "board_vendor",
        "product": "board_name",
        "version": "board_version",
        "serial": "board_serial",
        "asset": "board_asset_tag",
    },
    "chassis": {
        "manufacturer": "chassis_vendor",
        "version": "chassis_version",
        "serial": "chassis_serial",
        "asset": "chassis_asset_tag",
    },
}
"""libvirt's element and entry, and the kernel's file with it."""

CPUINFO_ENTRIES = {
    "vendor_id": "manufacturer",
    "model name": "version",
    "cpu family": "family",
    "microcode": "signature",
}


def sysinfo_xml(root: Path) -> str:
    """Return what the host below root tells; a machine without firmware tables has its processors only."""
    document = etree.Element("sysinfo", type="smbios")
    for element, files in DMI_ENTRIES.items():
        entries = {name: value for name, file in files.items() if (value := _read(root / DMI_DIRECTORY / file))}
        _append(document, element, entries)
    for socket, entries in sorted(_sockets(root).items()):
        _append(document, "processor", {"socket_destination": f"CPU {socket}", **entries})
    etree.indent(document)
    return etree.tostring(document, encoding="unicode") + "\n"


def host_uuid(root: Path) -> UUID:
    """Return the firmware's UUID of the machine, else the machine id, else one made up for this run of the daemon.

    A firmware whose digits are all the same was never given an identity; libvirt ignores those too.
    """
    candidates = (_read(root / DMI_DIRECTORY / "product_uuid"), _read(root / "etc/machine-id"))
    for text in candidates:
        digits = text.replace("-", "")
        try:
            found = UUID(hex=digits)
        except ValueError:
            continue
        if len(set(digits)) > 1:
            return found
    LOGGER.warning("neither the firmware nor /etc/machine-id identifies this host: its UUID changes with every start")
    return uuid4()


def _sockets(root: Path) -> dict[int, dict[str, str]]:
    """The first processor of each socket stands for it."""
    sockets: dict[int, dict[str, str]] = {}
    for block in (root / "proc/cpuinfo").read_text().split("\n\n"):
        fields = {}
        for line in block.splitlines():
            name, _, value = line.partition(":")
            fields[name.strip()] = value.strip()
        if "processor" in fields:
            entries = {entry: fields[name] for name, entry in CPUINFO_ENTRIES.items() if fields.get(name)}
            sockets.setdefault(int(fields.get("physical id", 0)), entries)
    return sockets


def _append(document: etree._Element, element: str, entries: dict[str, str]) -> None:
    if entries:
        parent = etree.SubElement(document, element)
        for name, value in entries.items():
            etree.SubElement(parent, "entry", name=name).text = visible(value)  # firmware holds what it likes


def _read(path: Path) -> str:
    """A line of the kernel's; empty when it is not there, or not for us to read (serial numbers are root's)."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
