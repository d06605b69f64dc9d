"""Attach, detach, update a device of a definition. A running guest takes none yet, and says so.

Devices are told apart as libvirt does it: an interface by its MAC address, a file system by its place in the guest, a
disk by its name there, a host device by where it comes from.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from insula.errors import DeviceMissingError, OperationInvalidError, OperationUnsupportedError, UnsupportedConfigError
from insula.model.devices import Devices, HostDevice
from insula.model.domain import DomainDefinition, completed
from insula.model.filesystems import Disk, Filesystem
from insula.model.interfaces import Interface
from insula.model.numbers import Affect
from insula.model.validate import validate
from insula.model.xmlmap import Mapped
from insula.model.xmlreader import read
from insula.model.xmlsource import parse
from insula.service.documents import Documents
from insula.service.impact import Changes
from insula.service.managed import ManagedDomain


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceClass:
    """One kind of device: its class, where a definition keeps it, and what tells one from another."""

    mapped: type[Mapped]
    listed: Callable[[Devices], Sequence[Any]]
    key: Callable[[Any], str]
    put: Callable[[Devices, tuple[Any, ...]], Devices]


KINDS: dict[str, DeviceClass] = {
    "disk": DeviceClass(
        mapped=Disk,
        listed=lambda devices: devices.disks,
        key=lambda each: f"target '{each.target.device}'",
        put=lambda devices, those: replace(devices, disks=those),
    ),
    "filesystem": DeviceClass(
        mapped=Filesystem,
        listed=lambda devices: devices.filesystems,
        key=lambda each: f"target '{each.target}'",
        put=lambda devices, those: replace(devices, filesystems=those),
    ),
    "interface": DeviceClass(
        mapped=Interface,
        listed=lambda devices: devices.interfaces,
        key=lambda each: f"MAC address '{each.mac}'",
        put=lambda devices, those: replace(devices, interfaces=those),
    ),
    "hostdev": DeviceClass(
        mapped=HostDevice,
        listed=lambda devices: devices.host_devices,
        key=lambda each: f"source '{_source(each)}'",
        put=lambda devices, those: replace(devices, host_devices=those),
    ),
}
"""The kinds that come and go; a console stays as long as its domain is defined."""


class DeviceVerbs:
    def __init__(self, changes: Changes, documents: Documents) -> None:
        self._changes = changes
        self._documents = documents

    async def attach(self, managed: ManagedDomain, xml: str, affect: Affect) -> None:
        """Add a device. Raises: OperationInvalidError if the domain has one in its place."""
        await self._change(managed, xml, affect, "attached", _attached)

    async def detach(self, managed: ManagedDomain, xml: str, affect: Affect) -> None:
        """Take a device away. Raises: DeviceMissingError."""
        await self._change(managed, xml, affect, "detached", _detached)

    async def update(self, managed: ManagedDomain, xml: str, affect: Affect) -> None:
        """Replace the device that is told apart in the same way. Raises: DeviceMissingError."""
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
            whole = completed(replace(domain, devices=devices))
            validate(whole)
            return whole

        async def refuse(managed: ManagedDomain, domain: DomainDefinition) -> None:
            raise OperationUnsupportedError(
                f"no {tag} can be {verb} while the container runs; change its definition (--config) and restart it"
            )

        await managed.perform(f"change a {tag}", lambda: self._changes.change(managed, affect, changed, apply=refuse))


def _read(xml: str) -> tuple[str, DeviceClass, Any]:
    element = parse(xml)
    tag = str(element.tag)
    kind = KINDS.get(tag)
    if kind is None:
        raise UnsupportedConfigError(f"a <{tag}> cannot be attached, detached or updated; only {', '.join(KINDS)} can")
    return tag, kind, read(kind.mapped, element)


def _attached(present: Sequence[Any], device: Any, kind: DeviceClass) -> tuple[Any, ...]:
    if any(kind.key(each) == kind.key(device) for each in present) and not _is_nameless(device):
        raise OperationInvalidError(f"a device with {kind.key(device)} is there already")
    return (*present, device)


def _detached(present: Sequence[Any], device: Any, kind: DeviceClass) -> tuple[Any, ...]:
    _require(present, device, kind)
    return tuple(each for each in present if kind.key(each) != kind.key(device))


def _updated(present: Sequence[Any], device: Any, kind: DeviceClass) -> tuple[Any, ...]:
    _require(present, device, kind)
    return tuple(device if kind.key(each) == kind.key(device) else each for each in present)


def _require(present: Sequence[Any], device: Any, kind: DeviceClass) -> None:
    if not any(kind.key(each) == kind.key(device) for each in present):
        raise DeviceMissingError(f"no device matching {kind.key(device)} was found")


def _is_nameless(device: Any) -> bool:
    """An interface without MAC address gets one of its own."""
    return isinstance(device, Interface) and device.mac is None


def _source(device: HostDevice) -> str:
    source = device.source
    if source.vendor is not None or source.product is not None:
        return f"{source.vendor}:{source.product}"
    return str(source.block or source.character or source.interface or source.address)
