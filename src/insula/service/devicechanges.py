"""Attach, detach, update a device of a definition, and of a running guest where that can take it.

Devices are told apart as libvirt does it: an interface by its MAC address, or because it is the only one; a file
system by its place in the guest, a disk by its name there, a host device by where it comes from. `<insula:device>` goes
the same way, though it stands among our settings.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from insula.errors import (
    DeviceMissingError,
    InsulaError,
    InvalidArgumentError,
    OperationFailedError,
    OperationInvalidError,
    OperationUnsupportedError,
    ResourceBusyError,
    StepError,
    UnsupportedConfigError,
)
from insula.model.devicegrants import DeviceGrant
from insula.model.devices import HostDevice
from insula.model.domain import DomainDefinition, completed, free_mac, unplugged_card
from insula.model.extensions import Metadata
from insula.model.filesystems import Disk, Filesystem
from insula.model.interfaces import Interface
from insula.model.numbers import Affect, MetadataType
from insula.model.validate import validate
from insula.model.xmlmap import Mapped, is_generated_alias
from insula.model.xmlnamespaces import INSULA_NAMESPACE
from insula.model.xmlreader import read
from insula.model.xmlsource import parse
from insula.service import live
from insula.service.documents import Documents
from insula.service.events import (
    DeviceAdded,
    DeviceChangeFailed,
    DeviceRemovalFailed,
    DeviceRemoved,
    DeviceUpdated,
    Events,
    MetadataChange,
)
from insula.service.impact import Changes, impact
from insula.service.livedevices import LiveDevices
from insula.service.managed import ManagedDomain
from insula.service.usbchoice import in_words, is_same_plug


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceClass:
    """One kind of device: its class, where a definition keeps it, and what tells one from another.

    listed, put: what of a domain it is about; key: None of a device that does not say which one it is; named: the key
    in an error's words; taken, absent: the errors that libvirt has for one that is there already, and for one that is
    not there; alike: whether one that is there is meant though it has another key.
    """

    mapped: type[Mapped]
    listed: Callable[[DomainDefinition], Sequence[Any]]
    key: Callable[[Any], str | None]
    named: str
    put: Callable[[DomainDefinition, tuple[Any, ...]], DomainDefinition]
    taken: type[InsulaError]
    absent: type[InsulaError]
    alike: Callable[[Any, Any], bool] = lambda _present, _asked: False


def _source(device: HostDevice) -> str:
    source = device.source
    return in_words(device) if device.is_usb else str(source.block or source.character or source.interface)


def _with_grants(domain: DomainDefinition, those: tuple[Any, ...]) -> DomainDefinition:
    metadata = domain.metadata or Metadata()
    return replace(domain, metadata=replace(metadata, settings=replace(domain.settings, grants=those)))


GRANT = "insula:device"
KINDS: dict[str, DeviceClass] = {
    "disk": DeviceClass(
        mapped=Disk,
        listed=lambda domain: domain.devices.disks,
        key=lambda each: str(each.target.device),
        named="target",
        put=lambda domain, those: replace(domain, devices=replace(domain.devices, disks=those)),
        taken=InvalidArgumentError,
        absent=InvalidArgumentError,
    ),
    "filesystem": DeviceClass(
        mapped=Filesystem,
        listed=lambda domain: domain.devices.filesystems,
        key=lambda each: str(each.target),
        named="target",
        put=lambda domain, those: replace(domain, devices=replace(domain.devices, filesystems=those)),
        taken=OperationInvalidError,
        absent=DeviceMissingError,
    ),
    "interface": DeviceClass(
        mapped=Interface,
        listed=lambda domain: domain.devices.interfaces,
        key=lambda each: each.mac,
        named="MAC address",
        put=lambda domain, those: replace(domain, devices=replace(domain.devices, interfaces=those)),
        taken=OperationInvalidError,
        absent=DeviceMissingError,
    ),
    "hostdev": DeviceClass(
        mapped=HostDevice,
        listed=lambda domain: domain.devices.host_devices,
        key=_source,
        named="source",
        put=lambda domain, those: replace(domain, devices=replace(domain.devices, host_devices=those)),
        taken=InvalidArgumentError,
        absent=InvalidArgumentError,
        alike=is_same_plug,
    ),
    GRANT: DeviceClass(
        mapped=DeviceGrant,
        listed=lambda domain: domain.settings.grants,
        key=lambda each: each.key,
        named="class",
        put=_with_grants,
        taken=InvalidArgumentError,
        absent=InvalidArgumentError,
    ),
}
"""The kinds that come and go; a console stays as long as its domain is defined."""

LIVE = frozenset({"filesystem", "hostdev", "disk", "interface", GRANT})
"""Those that a running guest takes."""
CHANGEABLE = frozenset({"interface", "filesystem"})
"""Those that may become different while a running guest has them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Edit:
    """What becomes of the devices of a kind. verb: what is done; force: also to what a guest uses."""

    verb: str
    edit: Callable[[Sequence[Any]], tuple[Any, ...]]
    force: bool = False


class DeviceVerbs:
    def __init__(self, *, changes: Changes, documents: Documents, guests: LiveDevices, events: Events) -> None:
        self._changes = changes
        self._documents = documents
        self._guests = guests
        self._events = events

    async def attach(self, managed: ManagedDomain, xml: str, affect: Affect) -> None:
        """Add a device. Raises: what its kind has for one that is taken, if the domain has one in its place."""
        await self._change_by(managed, xml, affect, "attached", _attached, force=True)  # what it puts in, it takes back

    async def detach(self, managed: ManagedDomain, xml: str, affect: Affect, *, force: bool = False) -> None:
        """Take a device away. force: also one that the guest uses.

        Raises: what its kind has for one that is absent; OperationFailedError for several; ResourceBusyError.
        """
        await self._change_by(managed, xml, affect, "detached", _detached, force=force)

    async def detach_alias(self, managed: ManagedDomain, alias: str, affect: Affect, *, force: bool = False) -> None:
        """Take the device of that alias away. Raises: DeviceMissingError, ResourceBusyError."""

        def tag_of(domain: DomainDefinition) -> str | None:
            listed = {tag: kind.listed(domain) for tag, kind in KINDS.items()}
            return next((tag for tag, those in listed.items() if any(each.alias == alias for each in those)), None)

        meant = impact(managed, affect)
        domains = [managed.current] if meant.run is not None else []
        domains += [meant.config] if meant.config is not None else []
        tag = next(filter(None, map(tag_of, domains)), None)
        if tag is None:
            raise _no_alias(alias)

        def without(present: Sequence[Any]) -> tuple[Any, ...]:
            left = tuple(each for each in present if each.alias != alias)
            if len(left) == len(present):
                raise _no_alias(alias)
            return left

        await self._change(managed, tag, affect, _Edit(verb="detached", edit=without, force=force))

    async def update(self, managed: ManagedDomain, xml: str, affect: Affect) -> None:
        """Replace the device that is told apart in the same way. Raises: as detach."""
        await self._change_by(managed, xml, affect, "updated", _updated)

    async def _change_by(
        self,
        managed: ManagedDomain,
        xml: str,
        affect: Affect,
        verb: str,
        edit: Callable[[Sequence[Any], Any, DeviceClass], tuple[Any, ...]],
        *,
        force: bool = False,
    ) -> None:
        tag, kind, device = await self._documents.read(_read, xml)
        if edit is _attached and device.alias is not None and is_generated_alias(device.alias):
            device = replace(device, alias=None)
        if isinstance(device, Interface):
            device = unplugged_card(device)
            if device.mac is None and edit is _attached:
                # Once for all definitions that it is put into.
                device = replace(device, mac=free_mac(managed.current, *filter(None, (managed.config,))))
        wanted = _Edit(verb=verb, edit=lambda present: edit(present, device, kind), force=force)
        await self._change(managed, tag, affect, wanted)

    async def _change(self, managed: ManagedDomain, tag: str, affect: Affect, wanted: "_Edit") -> None:
        kind = KINDS[tag]

        def changed(domain: DomainDefinition) -> DomainDefinition:
            domain = kind.put(domain, wanted.edit(kind.listed(domain)))
            if domain.id is not None:
                domain = replace(domain, devices=live.named(domain.devices))
            whole = completed(domain)
            validate(whole)
            return whole

        async def refuse(managed: ManagedDomain, domain: DomainDefinition) -> None:
            raise OperationUnsupportedError(
                f"no {tag} can be {wanted.verb} while the container runs; change its definition (--config) and restart "
                "it"
            )

        async def work() -> None:
            before = managed.current if managed.is_active else None
            allowed = CHANGEABLE if wanted.verb == "updated" else LIVE
            apply = partial(self._guests.change, force=wanted.force) if tag in allowed else refuse
            try:
                await self._changes.change(managed, affect, changed, apply=apply)
            except Exception as error:
                if before is not None and wanted.verb != "detached":
                    reason = "attach" if wanted.verb == "attached" else "update"
                    failed = DeviceChangeFailed(domain=managed.ref, device=kind.mapped, reason=reason)
                    self._events.publish(failed)
                if not isinstance(error, ResourceBusyError | StepError):
                    raise
                if before is not None and wanted.verb == "detached":
                    left = {each.alias for each in wanted.edit(kind.listed(before))}
                    for alias in (each for each in _aliases(kind, before) if each not in left):
                        self._events.publish(DeviceRemovalFailed(domain=managed.ref, alias=alias))
                raise
            if before is not None:
                self._tell(managed, _aliases(kind, before), _aliases(kind, managed.current))
                if wanted.verb == "updated":
                    self._events.publish(DeviceUpdated(domain=managed.ref))
            if tag == GRANT:
                told = MetadataChange(domain=managed.ref, kind=MetadataType.ELEMENT, uri=INSULA_NAMESPACE)
                self._events.publish(told)

        await managed.lock.perform(f"change a {tag}", work)

    def _tell(self, managed: ManagedDomain, before: list[str], now: list[str]) -> None:
        for alias in (each for each in before if each not in now):
            self._events.publish(DeviceRemoved(domain=managed.ref, alias=alias))
        for alias in (each for each in now if each not in before):
            self._events.publish(DeviceAdded(domain=managed.ref, alias=alias))


def _aliases(kind: DeviceClass, domain: DomainDefinition) -> list[str]:
    return [each.alias for each in kind.listed(domain) if each.alias]


def _no_alias(alias: str) -> DeviceMissingError:
    return DeviceMissingError(
        f"no device found with alias '{alias}'; what is defined keeps only aliases that begin with 'ua-'"
    )


def _read(xml: str) -> tuple[str, DeviceClass, Any]:
    element = parse(xml)
    tag = str(element.tag).replace(f"{{{INSULA_NAMESPACE}}}", "insula:")
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
    if device.alias != meant.alias:
        device = replace(device, alias=meant.alias)
    if isinstance(device, Interface):
        device = replace(device, mac=meant.mac)
    return tuple(device if each is meant else each for each in present)


def _meant(present: Sequence[Any], device: Any, kind: DeviceClass) -> Any:
    """Return the device that is meant. Raises: OperationFailedError if that may be several, as libvirt does."""
    key = kind.key(device)
    found = [each for each in present if key is None or kind.key(each) == key or kind.alike(each, device)]
    if device.alias is not None and (len(found) > 1 or not is_generated_alias(device.alias)):
        found = [each for each in found if each.alias == device.alias]
    if not found:
        which = "" if key is None else f" with the {kind.named} '{key}'"
        raise kind.absent(f"there is no such device{which}")
    if len(found) > 1:
        raise OperationFailedError(f"multiple matching devices found; say which by its {kind.named}")
    return found[0]
