"""What the host can run, in libvirt's capabilities and domain capabilities XML."""

from uuid import UUID

from lxml import etree

from insula.model.sizes import CpuSet, format_cpuset
from insula.service.topology import Cell, Topology

OS_TYPE, DOMAIN_TYPE = "exe", "lxc"
"""The words by which virt-install and virt-manager know containers."""

GUEST_ARCHITECTURES: dict[str, tuple[tuple[str, int], ...]] = {
    "x86_64": (("x86_64", 64), ("i686", 32)),
    "aarch64": (("aarch64", 64), ("armv7l", 32)),
    "ppc64le": (("ppc64le", 64),),
    "s390x": (("s390x", 64),),
    "riscv64": (("riscv64", 64),),
}
"""A host's machine, and the architectures (with word size) whose programs its kernel runs."""


_DEVICES: dict[str, dict[str, tuple[str, ...]]] = {
    "disk": {"diskDevice": ("disk",)},
    "graphics": {},
    "video": {},
    "hostdev": {
        "mode": ("subsystem", "capabilities"),
        "startupPolicy": ("default", "mandatory", "requisite", "optional"),
        "subsysType": ("usb",),
        "capsType": ("misc", "storage", "net"),
    },
    "rng": {},
    "filesystem": {"driverType": ("path", "loop")},
    "tpm": {},
    "redirdev": {},
    "channel": {},
}
"""The devices that domain capabilities speak of, and what of each can be had; of those without anything, nothing."""


def capabilities_xml(*, uuid: UUID, machine: str, topology: Topology, security: tuple[str, str], emulator: str) -> str:
    """Return the capabilities of the connection. security: model and domain of interpretation."""
    document = etree.Element("capabilities")
    host = etree.SubElement(document, "host")
    etree.SubElement(host, "uuid").text = str(uuid)
    _text(etree.SubElement(host, "cpu"), "arch", machine)
    etree.SubElement(host, "power_management")
    cells = etree.SubElement(etree.SubElement(host, "topology"), "cells", num=str(len(topology.cells)))
    for cell in topology.cells:
        _append_cell(cells, cell)
    secmodel = etree.SubElement(host, "secmodel")
    _text(secmodel, "model", security[0])
    _text(secmodel, "doi", security[1])
    for name, bits in guest_architectures(machine):
        guest = etree.SubElement(document, "guest")
        _text(guest, "os_type", OS_TYPE)
        arch = etree.SubElement(guest, "arch", name=name)
        _text(arch, "wordsize", str(bits))
        _text(arch, "emulator", emulator)
        etree.SubElement(arch, "domain", type=DOMAIN_TYPE)
    return _finished(document)


def guest_architectures(machine: str) -> tuple[tuple[str, int], ...]:
    """Return (architecture, bits) of the programs that a kernel of this machine runs; the machine's own first."""
    return GUEST_ARCHITECTURES.get(machine, ((machine, 64),))


def domain_capabilities_xml(*, architecture: str, emulator: str, maximum_vcpus: int) -> str:
    """Return what a domain of type `lxc` can have: what starts, not what is merely kept.

    Source: libvirt's formatdomaincaps for the words; its schema demands this order.
    """
    document = etree.Element("domainCapabilities")
    _text(document, "path", emulator)
    _text(document, "domain", DOMAIN_TYPE)
    _text(document, "arch", architecture)
    etree.SubElement(document, "vcpu", max=str(maximum_vcpus))
    etree.SubElement(document, "os", supported="yes")
    devices = etree.SubElement(document, "devices")
    for element, enums in _DEVICES.items():
        device = etree.SubElement(devices, element, supported="yes" if enums else "no")
        for name, values in enums.items():
            enum = etree.SubElement(device, "enum", name=name)
            for value in values:
                _text(enum, "value", value)
    etree.SubElement(document, "features")
    return _finished(document)


def _append_cell(cells: etree._Element, cell: Cell) -> None:
    element = etree.SubElement(cells, "cell", id=str(cell.number))
    _text(element, "memory", str(cell.memory), unit="KiB")
    for pool in cell.pages:
        _text(element, "pages", str(pool.total), unit="KiB", size=str(pool.size))
    distances = etree.SubElement(element, "distances")
    for number, value in cell.distances:
        etree.SubElement(distances, "sibling", id=str(number), value=str(value))
    cpus = etree.SubElement(element, "cpus", num=str(len(cell.cpus)))
    for cpu in cell.cpus:
        etree.SubElement(
            cpus,
            "cpu",
            id=str(cpu.number),
            socket_id=str(cpu.socket),
            die_id=str(cpu.die),
            core_id=str(cpu.core),
            siblings=format_cpuset(CpuSet(cpu.siblings)),
        )


def _text(parent: etree._Element, tag: str, text: str, **attributes: str) -> None:
    etree.SubElement(parent, tag, attributes).text = text


def _finished(document: etree._Element) -> str:
    etree.indent(document)
    return etree.tostring(document, encoding="unicode") + "\n"
