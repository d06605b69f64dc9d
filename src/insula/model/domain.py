"""A domain: the noun everything else is about, as libvirt's `lxc` domain type has it."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import sha256
from itertools import count
from typing import Annotated, Any, TypeVar
from uuid import UUID, uuid4

from lxml import etree

from insula.errors import MissingNameError
from insula.model import linuxcontainer
from insula.model.boot import Clock, CrashAction, OffAction, Os
from insula.model.devices import (
    DEFAULT_EMULATOR,
    Console,
    ConsoleTarget,
    ConsoleTargetType,
    Devices,
    HostDevice,
    HostDeviceMode,
)
from insula.model.extensions import InsulaSettings, LxcNamespace, Metadata
from insula.model.filesystems import Disk, Filesystem, filesystem_of
from insula.model.interfaces import Interface, InterfaceIp, InterfaceType, family_of
from insula.model.numbers import XmlFlags
from insula.model.resourcetuning import (
    VCPU_MAX,
    BlkioTune,
    CpuTune,
    MaxMemory,
    MemoryTune,
    NumaTune,
    Resource,
    SingleVcpus,
    Vcpu,
)
from insula.model.scalars import DomainName, MacAddress, YesNo
from insula.model.security import DefinedIdMap, Features, SecurityLabel, is_given_label
from insula.model.sizes import UNLIMITED_KIB, KiB
from insula.model.xmlmap import Attribute, Element, Mapped, Part, always
from insula.model.xmlparts import parts_in
from insula.model.xmlreader import local_name, read
from insula.model.xmlsource import fault, parse
from insula.model.xmlwriter import dump

T = TypeVar("T")

MAC_PREFIX = "52:54:00"
"""The first half of a MAC address we choose, the one libvirt uses."""

_LAST = 1 << 32
"""Behind whatever a boot order can be."""

DEVICES_MAX = 1024
"""How many devices a domain may have, so that no document keeps the daemon busy for long."""


class DomainType(StrEnum):
    LXC = "lxc"


@dataclass(frozen=True, kw_only=True, slots=True)
class DomainDefinition(Mapped):
    """`<domain type='lxc'>`. id: while running only; memory is the most the guest may use."""

    type: Annotated[DomainType, Attribute("type")] = DomainType.LXC
    id: Annotated[int | None, Attribute("id", live=always)] = None
    name: Annotated[DomainName, Element("name", missing=MissingNameError)]
    uuid: Annotated[UUID, Element("uuid")] = field(default_factory=uuid4)
    title: Annotated[str | None, Element("title")] = None
    description: Annotated[str | None, Element("description")] = None
    metadata: Annotated[Metadata | None, Element("metadata")] = None
    max_memory: Annotated[MaxMemory | None, Element("maxMemory")] = None
    memory: Annotated[KiB, Element("memory", unit="unit")]
    current_memory: Annotated[KiB | None, Element("currentMemory", unit="unit", zero_is_none=True)] = None
    blkio_tune: Annotated[BlkioTune | None, Element("blkiotune")] = None
    memory_tune: Annotated[MemoryTune | None, Element("memtune")] = None
    vcpu: Annotated[Vcpu, Element("vcpu")] = field(default_factory=Vcpu)
    single_vcpus: Annotated[SingleVcpus | None, Element("vcpus")] = None
    cpu_tune: Annotated[CpuTune | None, Element("cputune")] = None
    numa_tune: Annotated[NumaTune | None, Element("numatune")] = None
    resource: Annotated[Resource | None, Element("resource")] = None
    os: Annotated[Os, Element("os")]
    idmap: Annotated[DefinedIdMap | None, Element("idmap")] = None
    features: Annotated[Features | None, Element("features")] = None
    clock: Annotated[Clock, Element("clock")] = field(default_factory=Clock)
    on_poweroff: Annotated[OffAction, Element("on_poweroff")] = OffAction.DESTROY
    on_reboot: Annotated[OffAction, Element("on_reboot")] = OffAction.RESTART
    on_crash: Annotated[CrashAction, Element("on_crash")] = CrashAction.DESTROY
    devices: Annotated[Devices, Element("devices")] = field(default_factory=Devices)
    security_labels: Annotated[tuple[SecurityLabel, ...], Element("seclabel", live=is_given_label)] = ()
    lxc: Annotated[LxcNamespace | None, Element("lxc:namespace")] = None
    _texts: dict[Part, str] = field(default_factory=dict, init=False, repr=False, compare=False)
    _found: dict[object, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What was found out about this very value, which never changes; any thread may add something."""

    @classmethod
    def load(
        cls, xml: str, parts: Part = Part.DEFINITION, *, bounded: bool = True, vcpus: int | None = None
    ) -> "DomainDefinition":
        """Return the domain that xml describes, in either dialect, with libvirt's defaults filled in.

        parts: Part.LIVE also reads what belongs to a running domain; without it such values are skipped.
        bounded: not for a document of our own, which only root can write, and which must be read whatever its size.
        vcpus: how many virtual processors one has that says nothing of them, None for libvirt's single one.
        Raises: XmlError with the line, what stands there and what was expected; also for more than DEVICES_MAX devices.
        """
        root = parse(xml, bounded=bounded)
        if root.tag != "domain":
            raise fault(root, f"the document is a <{local_name(root)}>, expected a <domain>")
        if root.get("type") == linuxcontainer.DOMAIN_TYPE:
            root = linuxcontainer.converted(root)
        if not (root.findtext("name") or "").strip():
            raise fault(root, "has no <name> in it, expected 1 to 64 characters", kind=MissingNameError)
        if bounded:
            _refuse_too_many_devices(root)
        domain = completed(read(cls, root, parts))
        if vcpus is not None and root.find("vcpu") is None:
            domain = replace(domain, vcpu=replace(domain.vcpu, count=min(vcpus, VCPU_MAX)))
        return domain if Part.LIVE in parts else unplugged(domain)

    def dump(self, flags: XmlFlags = XmlFlags.LIVE) -> str:
        """Return the domain as XML, canonical: two dumps of equal domains are the same text. It is written once.

        Raises: InvalidArgumentError if a text holds what XML cannot.
        """
        parts = _shown_with(flags) & self.once(_parts_of)
        text = self._texts.get(parts)
        if text is None:
            text = self._texts[parts] = self._written(parts)
        return text

    def known_dump(self, flags: XmlFlags = XmlFlags.LIVE) -> str | None:
        """Return what `dump` would, if that was written already; it costs nothing."""
        return self._texts.get(_shown_with(flags) & self.once(_parts_of)) if self._texts else None

    def _written(self, parts: Part) -> str:
        shown = self if Part.SECRET in parts else replace(self, os=self.os.concealed())
        marks = any(each.hidden is not None for each in shown.os.environment)
        used = {"lxc": self.lxc is not None, "insula": marks}  # at the root: each of a thousand variables has a mark
        return dump(shown, "domain", parts, prefixes=[prefix for prefix, is_used in used.items() if is_used])

    def once(self, find: "Callable[[DomainDefinition], T]") -> T:
        """Return what find makes of this very value, which never changes: it is looked for once. Raises: as find."""
        try:
            found: T = self._found[find]
        except KeyError:
            found = self._found[find] = find(self)
        return found

    @property
    def settings(self) -> InsulaSettings:
        """Our settings from the metadata; all defaults when there are none."""
        return (self.metadata.settings if self.metadata is not None else None) or InsulaSettings()

    @property
    def root(self) -> Filesystem | None:
        """The file system the guest sees at `/`; None: there is none."""
        shown = next((each for each in self.devices.filesystems if each.is_root), None)
        return shown if shown is not None or self.root_disk is None else filesystem_of(self.root_disk)

    @property
    def root_disk(self) -> Disk | None:
        """The disk with the root, in a document of a virtual machine without a file system for it: what that boots."""
        if not self.os.is_machine or any(each.is_root for each in self.devices.filesystems):
            return None
        disks = [each for each in self.devices.disks if each.is_disk]
        return min(disks, key=lambda each: each.boot_order or _LAST, default=None)

    @property
    def shown_disks(self) -> tuple[Disk, ...]:
        """The disks that the guest sees as devices: all but the one with its root, and drives that are empty."""
        root = self.root_disk
        return tuple(each for each in self.devices.disks if each is not root and not each.is_empty_drive)

    @property
    def vcpus_in_use(self) -> tuple[int, ...]:
        """The numbers of the virtual processors that are in use, ascending."""
        if self.single_vcpus is not None and self.single_vcpus.each:
            return tuple(sorted(each.number for each in self.single_vcpus.each if each.enabled is YesNo.YES))
        return tuple(range(self.vcpu.current or self.vcpu.count))

    @property
    def memory_now(self) -> KiB:
        """What the guest may use at present: currentMemory, else all of memory."""
        return self.memory if self.current_memory is None else self.current_memory

    @property
    def memory_limit(self) -> KiB | None:
        """What the control group is limited to: the present memory, or a lower hard limit; None without a limit."""
        hard = self.memory_tune.hard_limit if self.memory_tune is not None else None
        limit = self.memory_now if hard is None else min(self.memory_now, hard)
        return limit if limit < UNLIMITED_KIB else None


def _refuse_too_many_devices(root: etree._Element) -> None:
    tags = Counter(str(each.tag) for each in root.iterfind("devices/*"))
    # What completed() adds must not make a document too large that was accepted without it.
    number = tags.total() - tags["emulator"] + (not tags["console"])
    if number > DEVICES_MAX:
        raise fault(root, f"the domain has {number} devices, more than the {DEVICES_MAX} that are accepted")


def _shown_with(flags: XmlFlags) -> Part:
    parts = Part.DEFINITION if flags & (XmlFlags.INACTIVE | XmlFlags.MIGRATABLE) else Part.LIVE
    return parts | Part.SECRET if flags & XmlFlags.SECURE else parts


def _parts_of(domain: DomainDefinition) -> Part:
    """Return the parts that a domain has something of; what variables say is shown with secrets only."""
    return parts_in(domain) | (Part.SECRET if domain.os.environment else Part.DEFINITION)


def completed(domain: DomainDefinition) -> DomainDefinition:
    """Return domain with what libvirt fills in.

    These are: currentMemory (never above memory), the emulator, at least one console and each console's target (its
    port is the console's place, whatever stood there), a MAC address for each interface and the family of its
    addresses, and that nobody manages a host device of a subsystem.
    An id map without a range is none. A virtual machine's document gets no emulator and no init, so that it stays one.
    """
    machine = domain.os.is_machine
    target = ConsoleTargetType.SERIAL if machine else ConsoleTargetType.LXC
    consoles = domain.devices.consoles or (Console(),)
    devices = replace(
        domain.devices,
        emulator=domain.devices.emulator or (None if machine else DEFAULT_EMULATOR),
        interfaces=_completed_interfaces(domain),
        consoles=tuple(_completed_console(place, each, target) for place, each in enumerate(consoles)),
        host_devices=tuple(map(_completed_host_device, domain.devices.host_devices)),
    )
    idmap = None if domain.idmap == DefinedIdMap() else domain.idmap
    os = domain.os if machine else replace(domain.os, init=domain.os.program)
    return replace(domain, current_memory=min(domain.memory_now, domain.memory), os=os, idmap=idmap, devices=devices)


def _completed_interfaces(domain: DomainDefinition) -> tuple[Interface, ...]:
    taken = {each.mac for each in domain.devices.interfaces if each.mac}
    free = (mac for mac in _mac_addresses(domain.uuid) if mac not in taken)
    done: list[Interface] = []
    for each in domain.devices.interfaces:
        mac = each.mac or next(free)
        taken.add(mac)
        done.append(replace(each, mac=mac, ips=tuple(map(_with_family, each.ips))))
    return tuple(done)


def unplugged(domain: DomainDefinition) -> DomainDefinition:
    """Return domain without what a running one's cards of virtual networks are plugged into."""
    cards = domain.devices.interfaces
    plain = tuple(map(unplugged_card, cards))
    if all(new is old for new, old in zip(plain, cards, strict=True)):
        return domain
    return replace(domain, devices=replace(domain.devices, interfaces=plain))


def unplugged_card(card: Interface) -> Interface:
    """Return a card without its port, and what that is of, if it is one of a virtual network: the network says that."""
    source = card.source
    if card.type is not InterfaceType.NETWORK or source is None:
        return card
    plain = replace(source, port_id=None, bridge=None, device=None)
    return card if plain == source else replace(card, source=plain)


def free_mac(*domains: DomainDefinition) -> MacAddress:
    """Return the address for an interface without one, which none has in any of these definitions of one domain."""
    taken = {each.mac for domain in domains for each in domain.devices.interfaces}
    return next(mac for mac in _mac_addresses(domains[0].uuid) if mac not in taken)


def _mac_addresses(uuid: UUID) -> Iterator[MacAddress]:
    """Yield addresses for the domain with this UUID, the same ones each time: one text always makes one domain."""
    for number in count():
        tail = sha256(uuid.bytes + number.to_bytes(4)).hexdigest()
        yield MacAddress(f"{MAC_PREFIX}:{tail[:2]}:{tail[2:4]}:{tail[4:6]}")


def _with_family(ip: InterfaceIp) -> InterfaceIp:
    return ip if ip.family else replace(ip, family=family_of(ip.address))


def _completed_console(port: int, console: Console, kind: ConsoleTargetType) -> Console:
    target = console.target or ConsoleTarget()
    return replace(console, target=replace(target, type=target.type or kind, port=port))


def _completed_host_device(device: HostDevice) -> HostDevice:
    if device.mode is HostDeviceMode.CAPABILITIES or device.managed is not None:
        return device
    return replace(device, managed=YesNo.NO)
