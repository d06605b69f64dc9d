"""Attach, detach, update a device of a definition, and of a running guest where that can take it.

Devices are told apart as libvirt does it: an interface by its MAC address, or because it is the only one; a file
system by its place in the guest, a disk by its name there, a host device by where it comes from.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from insula.errors import (
    DeviceMissingError,
    InsulaError,
    InvalidArgumentError,
    OperationFailedError,
    OperationInvalidError,
    OperationUnsupportedError,
    UnsupportedConfigError,
)
from insula.model.devices import Devices, HostDevice
from insula.model.domain import DomainDefinition, completed
from insula.model.filesystems import Disk, Filesystem
from insula.model.interfaces import Interface
from insula.model.numbers import Affect
from insula.model.validate import validate
from insula.model.xmlmap import Mapped
from insula.model.xmlreader import read
from insula.model.xmlsource import parse
from insula.service import live
from insula.service.documents import Documents
from insula.service.events import DeviceAdded, DeviceRemoved, Events
from insula.service.impact import Changes
from insula.service.livedevices import LiveDevices
from insula.service.managed import ManagedDomain


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceClass:
    """One kind of device: its class, where a definition keeps it, and what tells one from another.

    key: None of a device that does not say which one it is; named: the key in an error's words; taken, absent: the
    errors that libvirt has for one that is there already, and for one that is not there.
    """

    mapped: type[Mapped]
    listed: Callable[[Devices], Sequence[Any]]
    key: Callable[[Any], str | None]
    named: str
    put: Callable[[Devices, tuple[Any, ...]], Devices]
    taken: type[InsulaError]
    absent: type[InsulaError]


def _source(device: HostDevice) -> str:
    source = device.source
    if source.vendor is not None or source.product is not None:
        return f"{source.vendor}:{source.product}"
    return str(source.block or source.character or source.interface or source.address)


KINDS: dict[str, DeviceClass] = {
    "disk": DeviceClass(
        mapped=Disk,
        listed=lambda devices: devices.disks,
        key=lambda each: str(each.target.device),
        named="target",
        put=lambda devices, those: replace(devices, disks=those),
        taken=InvalidArgumentError,
        absent=InvalidArgumentError,
    ),
    "filesystem": DeviceClass(
        mapped=Filesystem,
        listed=lambda devices: devices.filesystems,
        key=lambda each: str(each.target),
        named="target",
        put=lambda devices, those: replace(devices, filesystems=those),
        taken=OperationInvalidError,
        absent=DeviceMissingError,
    ),
    "interface": DeviceClass(
        mapped=Interface,
        listed=lambda devices: devices.interfaces,
        key=lambda each: each.mac,
        named="MAC address",
        put=lambda devices, those: replace(devices, interfaces=those),
        taken=OperationInvalidError,
        absent=DeviceMissingError,
    ),
    "hostdev": DeviceClass(
        mapped=HostDevice,
        listed=lambda devices: devices.host_devices,
        key=_source,
        named="source",
        put=lambda devices, those: replace(devices, host_devices=those),
        taken=InvalidArgumentError,
        absent=InvalidArgumentError,
    ),
}
"""The kinds that come and go; a console stays as long as its domain is defined."""

LIVE = frozenset({"filesystem", "hostdev", "disk"})
"""Those that a running guest takes."""


class DeviceVerbs:
    def __init__(self, *, changes: Changes, documents: Documents, guests: LiveDevices, events: Events) -> None:
        self._changes = changes
        self._documents = documents
        self._guests = guests
        self._events = events

    async def attach(self, managed: ManagedDomain, xml: str, affect: Affect) -> None:
        """Add a device. Raises: what its kind has for one that is taken, if the domain has one in its place."""
        await self._change(managed, xml, affect, "attached", _attached)

    async def detach(self, managed: ManagedDomain, xml: str, affect: Affect) -> None:
        """Take a device away. Raises: what its kind has for one that is absent; OperationFailedError for several."""
        await self._change(managed, xml, affect, "detached", _detached)

    async def update(self, managed: ManagedDomain, xml: str, affect: Affect) -> None:
        """Replace the device that is told apart in the same way. Raises: as detach."""
        await self._change(managed, xml, affect, "updated", _updated)

    async def _change(
        self,
        managed: ManagedDomain,
        xml: str,
        affect: Affect,
        verb: str,
        edit: Callable[[Sequence[Any], Any, DeviceClass], tuple[Any, ...]],
    ) -> None:
        tag, kind, device = await self._documents.read(_read, xml)

        def changed(domain: DomainDefinition) -> DomainDefinition:
            devices = kind.put(domain.devices, edit(kind.listed(domain.devices), device, kind))
            if domain.id is not None:
                devices = live.named(devices)
            whole = completed(replace(domain, devices=devices))
            validate(whole)
            return whole

        async def refuse(managed: ManagedDomain, domain: DomainDefinition) -> None:
            raise OperationUnsupportedError(
                f"no {tag} can be {verb} while the container runs; change its definition (--config) and restart it"
            )

        async def work() -> None:
            before = managed.current.devices if managed.is_active else None
            apply = refuse if edit is _updated or tag not in LIVE else self._guests.change
            await self._changes.change(managed, affect, changed, apply=apply)
            if before is not None:
                self._tell(managed, _aliases(kind, before), _aliases(kind, managed.current.devices))

        await managed.lock.perform(f"change a {tag}", work)

    def _tell(self, managed: ManagedDomain, before: list[str], now: list[str]) -> None:
        for alias in (each for each in before if each not in now):
            self._events.publish(DeviceRemoved(domain=managed.ref, alias=alias))
        for alias in (each for each in now if each not in before):
            self._events.publish(DeviceAdded(domain=managed.ref, alias=alias))


def _aliases(kind: DeviceClass, devices: Devices) -> list[str]:
    return [each.alias for each in kind.listed(devices) if each.alias]


def _read(xml: str) -> tuple[str, DeviceClass, Any]:
    element = parse(xml)
    tag = str(element.tag)
    kind = KINDS.get(tag)
    if kind is None:
        raise UnsupportedConfigError(f"a <{tag}> cannot be attached, detached or updated; only {', '.join(KINDS)} can")
    return tag, kind, read(kind.mapped, element)


def _attached(present: Sequence[Any], device: Any, kind: DeviceClass) -> tuple[Any, ...]:
    key = kind.key(device)
    if key is not None and any(kind.key(each) == key for each in present):
        raise kind.taken(f"a device with the {kind.named} '{key}' is there already")
    return (*present, device)


def _detached(present: Sequence[Any], device: Any, kind: DeviceClass) -> tuple[Any, ...]:
    meant = _meant(present, device, kind)
    return tuple(each for each in present if each is not meant)


def _updated(present: Sequence[Any], device: Any, kind: DeviceClass) -> tuple[Any, ...]:
    meant = _meant(present, device, kind)
    if isinstance(device, Interface):
        device = replace(device, mac=meant.mac)
    return tuple(device if each is meant else each for each in present)


def _meant(present: Sequence[Any], device: Any, kind: DeviceClass) -> Any:
    """Return the device that is meant. Raises: OperationFailedError if that may be several, as libvirt does."""
    key = kind.key(device)
    found = [each for each in present if key is None or kind.key(each) == key]
    if not found:
        which = "" if key is None else f" with the {kind.named} '{key}'"
        raise kind.absent(f"there is no such device{which}")
    if len(found) > 1:
        raise OperationFailedError(f"multiple matching devices found; say which by its {kind.named}")
    return found[0]
