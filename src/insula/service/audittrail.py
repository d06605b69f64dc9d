"""What an auditor wants to know of domains, in libvirt's form: starts, ends, and what guests are given of the host.

    virt=lxc op=start reason=booted vm="web" uuid=… vm-pid=4711 res=success
    virt=lxc resrc=disk reason=attach vm="web" uuid=… old-disk=? new-disk="/dev/sdb" res=success

It is told from the service's events, so whoever or whatever brought it about is in it. Source: libvirt's documentation
of its audit log.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol
from uuid import UUID

from insula.errors import InsulaError
from insula.kernel.audit import AuditKind, encoded
from insula.model.devices import HostDevice
from insula.model.domain import DomainDefinition
from insula.model.domainstates import LifecycleKind, StoppedDetail
from insula.model.filesystems import Disk, Filesystem
from insula.model.interfaces import Interface
from insula.service.domains import Domains
from insula.service.events import (
    BalloonChange,
    DeviceAdded,
    DeviceChangeFailed,
    DeviceRemovalFailed,
    DeviceRemoved,
    DeviceUpdated,
    DomainEvent,
    DomainIdentity,
    Event,
    Events,
    LifecycleEvent,
    LimitChangeFailed,
    MetadataChange,
    Reboot,
    StartFailed,
    Tunable,
    VcpusChanged,
)
from insula.service.managed import ManagedDomain

NOTHING: Final = "?"
_REASONS: Final[Mapping[int, str]] = {
    StoppedDetail.SHUTDOWN: "shutdown",
    StoppedDetail.DESTROYED: "destroyed",
    StoppedDetail.CRASHED: "crashed",
    StoppedDetail.FAILED: "failed",
}


class Recorder(Protocol):
    """Where records go. wanted: whether any are kept."""

    @property
    def wanted(self) -> bool: ...

    def record(self, kind: AuditKind, text: str) -> None:
        """Take a record. Never waits, never fails."""


_CHANGES: Final = (
    DeviceAdded,
    DeviceRemoved,
    DeviceUpdated,
    MetadataChange,
    BalloonChange,
    Tunable,
    VcpusChanged,
)
"""After which a guest may have something else of the host than before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """What a guest has of the host: devices by alias, as kind and value; memory in KiB."""

    devices: Mapping[str, tuple[str, str]]
    memory: int
    vcpus: int


class AuditTrail:
    """Hears the events and writes the records. Its subscribers' place must be before clients are told."""

    def __init__(self, *, domains: Domains, recorder: Recorder) -> None:
        self._domains = domains
        self._recorder = recorder
        self._given: dict[UUID, Given] = {}

    def attend(self, events: Events) -> None:
        """Hear of what happens from now on, if records are kept."""
        if self._recorder.wanted:
            events.subscribe(self.heard)

    def take_stock(self) -> None:
        """Know what guests have that an earlier daemon started; called once they are known. Nothing is recorded."""
        for each in self._domains if self._recorder.wanted else ():
            if each.is_active:
                with suppress(InsulaError):  # what it is described by cannot be made out, which its verbs tell
                    self._given[each.uuid] = given(each)

    def heard(self, event: Event) -> None:
        """Write what an event comes to."""
        if not isinstance(event, DomainEvent):
            return
        managed = self._domains.find(event.domain.uuid)
        match event:
            case LifecycleEvent(kind=LifecycleKind.STARTED) | Reboot() if managed is not None:
                self._started(managed, "rebooted" if isinstance(event, Reboot) else "booted")
            case LifecycleEvent(kind=LifecycleKind.STOPPED):
                self._given.pop(event.domain.uuid, None)
                self._control(event.domain, "stop", _REASONS.get(event.detail, NOTHING))
            case StartFailed():
                self._control(event.domain, "start", "booted", success=False)
            case DeviceRemovalFailed():
                self._device(event.domain, event.alias, "detach", success=False)
            case DeviceChangeFailed():
                resource = _RESOURCES.get(event.device, "dev")
                self._resource(event.domain, resource, event.reason, NOTHING, NOTHING, success=False)
            case LimitChangeFailed():
                self._limit_failed(event)
            case _ if isinstance(event, _CHANGES) and managed is not None and managed.is_active:
                self._compared(managed)

    def _started(self, managed: ManagedDomain, reason: str) -> None:
        now = self._given[managed.uuid] = given(managed)
        for resource, value in now.devices.values():
            self._resource(managed.ref, resource, "start", NOTHING, value)
        self._resource(managed.ref, "mem", "start", "0", str(now.memory))
        self._resource(managed.ref, "vcpu", "start", "0", str(now.vcpus))
        self._control(managed.ref, "start", reason)

    def _compared(self, managed: ManagedDomain) -> None:
        """Write what has become different since the last look."""
        before = self._given.get(managed.uuid) or Given(devices={}, memory=0, vcpus=0)
        now = self._given[managed.uuid] = given(managed)
        had = _by_present_aliases(before.devices, now.devices)
        for alias in {**had, **now.devices}:
            resource, _ = now.devices.get(alias) or had[alias]
            old, new = (each.get(alias, ("", NOTHING))[1] for each in (had, now.devices))
            if old != new:
                reason = "attach" if old == NOTHING else "detach" if new == NOTHING else "update"
                self._resource(managed.ref, resource, reason, old, new)
        for resource, was, is_ in (("mem", before.memory, now.memory), ("vcpu", before.vcpus, now.vcpus)):
            if was != is_:
                self._resource(managed.ref, resource, "update", str(was), str(is_))

    def _device(self, domain: DomainIdentity, alias: str, reason: str, *, success: bool) -> None:
        known = self._given.get(domain.uuid)
        if (
            known is not None
            and alias not in known.devices
            and (managed := self._domains.find(domain.uuid)) is not None
        ):
            known = given(managed)
        resource, value = known.devices.get(alias, ("dev", alias)) if known is not None else ("dev", alias)
        self._resource(domain, resource, reason, value, NOTHING, success=success)

    def _limit_failed(self, event: LimitChangeFailed) -> None:
        known = self._given.get(event.domain.uuid)
        old = NOTHING if known is None else str(known.memory if event.resource == "mem" else known.vcpus)
        self._resource(event.domain, event.resource, "update", old, str(event.wanted), success=False)

    def _control(self, domain: DomainIdentity, operation: str, reason: str, *, success: bool = True) -> None:
        text = f"virt=lxc op={operation} reason={reason} {_who(domain)} vm-pid={domain.id} {_result(success)}"
        self._recorder.record(AuditKind.CONTROL, text)

    def _resource(
        self, domain: DomainIdentity, resource: str, reason: str, old: str, new: str, *, success: bool = True
    ) -> None:
        before, after = (_value(f"{which}-{resource}", each) for which, each in (("old", old), ("new", new)))
        text = f"virt=lxc resrc={resource} reason={reason} {_who(domain)} {before} {after} {_result(success)}"
        self._recorder.record(AuditKind.RESOURCE, text)


def given(managed: ManagedDomain) -> Given:
    """Return what a domain has as it is described at present."""
    described = managed.current
    return Given(devices=dict(_devices(described)), memory=described.memory_now, vcpus=len(described.vcpus_in_use))


def _by_present_aliases(
    before: Mapping[str, tuple[str, str]], now: Mapping[str, tuple[str, str]]
) -> Mapping[str, tuple[str, str]]:
    """Return what a guest had, under the aliases that it has now: those of an earlier daemon's guest are known late."""
    found = dict(before)
    for alias in (each for each in now if each not in before):
        former = next((each for each, what in found.items() if each not in now and what == now[alias]), None)
        if former is not None:
            found[alias] = found.pop(former)
    return found


def _devices(domain: DomainDefinition) -> Iterator[tuple[str, tuple[str, str]]]:
    devices = domain.devices
    listed: Sequence[Any] = (*devices.disks, *devices.filesystems, *devices.interfaces, *devices.host_devices)
    for each in listed:
        resource, value = _RESOURCES[type(each)], value_of(each)
        yield each.alias or f"{resource} {value}", (resource, value)
    for grant in domain.settings.grants:
        yield grant.key, ("dev", grant.cdi or grant.device_class or NOTHING)


_RESOURCES: Final[Mapping[type, str]] = {Disk: "disk", Filesystem: "fs", Interface: "net", HostDevice: "dev"}


def value_of(device: Any) -> str:
    """Return what of the host a device is: a path, a card's MAC address, an address on a bus."""
    source = device.source
    if isinstance(device, Interface):
        return str(device.mac or NOTHING)
    if isinstance(device, HostDevice):
        address = source.address
        usb = f"{address.bus}.{address.device}" if address is not None else f"{source.vendor}:{source.product}"
        return str(source.block or source.character or source.interface or usb)
    if source is None:
        return NOTHING
    return str(source.file or source.device or source.directory or getattr(source, "name", None) or NOTHING)


def _who(domain: DomainIdentity) -> str:
    return f"{encoded('vm', domain.name)} uuid={domain.uuid}"


def _value(name: str, value: str) -> str:
    return f"{name}={value}" if value == NOTHING or (value.isascii() and value.isdecimal()) else encoded(name, value)


def _result(success: bool) -> str:
    return "res=success" if success else "res=failed"
