"""Devices of a guest that runs: those that it has are those that are told, whoever dies amid a change.

A file system is attached and detached by its place, a host device or disk by its name below /dev; for interfaces see
`service.liveinterfaces`, for device classes `service.livegrants`.
"""

from __future__ import annotations

import errno
import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from insula.engine.launch.holdings import GuestMount
from insula.engine.launch.nodechanges import place_of
from insula.engine.spec import BindMount
from insula.engine.threads import in_own_thread
from insula.errors import InsulaError, OperationFailedError, OperationUnsupportedError, StepError
from insula.model.filesystems import FilesystemType
from insula.service.deviceusers import refusal
from insula.service.hostdevices import devices_of, names_of, without_absent
from insula.service.livegrants import is_granted, with_grants_of
from insula.service.liveinterfaces import with_interfaces_of
from insula.storage.filesystemmounts import mounts_of
from insula.storage.sources import access_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from insula.engine.launch.changes import WriteRecord
    from insula.engine.launch.runningcontainer import ContainerRecord, Running
    from insula.engine.spec import Device
    from insula.model.domain import DomainDefinition
    from insula.model.filesystems import Filesystem
    from insula.service.containers import ContainerEngine
    from insula.service.deviceusers import DeviceUsers
    from insula.service.livegrants import LiveGrants
    from insula.service.liveinterfaces import LiveInterfaces
    from insula.service.managed import ManagedDomain
    from insula.service.runrecord import RunRecord
    from insula.service.runs import Runs
    from insula.service.usbchoice import UsbChoice

LOGGER = logging.getLogger(__name__)


class LiveDevices:
    """Gives devices to guests and takes them away. Callers hold the domain's lock."""

    def __init__(
        self,
        engine: ContainerEngine,
        runs: Runs,
        interfaces: LiveInterfaces,
        grants: LiveGrants,
        users: DeviceUsers,
        usb: UsbChoice,
    ) -> None:
        self._engine = engine
        self._runs = runs
        self._interfaces = interfaces
        self._grants = grants
        self._users = users
        self._usb = usb

    async def change(
        self, managed: ManagedDomain, domain: DomainDefinition, *, force: bool = False
    ) -> DomainDefinition:
        """Let the guest have the devices of a changed live definition; return it with the addresses of USB devices.

        force: what is in use goes too; who uses it keeps it as long as it likes.
        Raises: ResourceBusyError naming who uses what is to go; UnsupportedConfigError for what the host has not;
        StepError, everything taken back.
        """
        async with self._usb.located(managed, domain) as located:
            await self.put(managed, located.domain, force=force)
        self._usb.tell(managed, located)
        return located.domain

    async def put(self, managed: ManagedDomain, domain: DomainDefinition, *, force: bool) -> None:
        """Let the guest have the devices of a live definition, with these addresses: what is gone goes first.

        Raises: as `change`.
        """
        container = managed.require_run().container
        renewed = _renewed(managed.current, domain)
        gone, come = _without(managed.current, domain, renewed), _without(domain, managed.current, renewed)
        idmap = container.record.spec.idmap
        mounts = await in_own_thread(partial(mounts_of, come, idmap))
        devices = await in_own_thread(partial(devices_of, come.devices.host_devices, come.devices.disks))
        granted = await self._grants.planned(container, managed.current, domain)
        plugs = await self._interfaces.planned(container.record, managed.current.devices, domain.devices)
        write = partial(self._write, managed)
        names = names_of(gone.devices.host_devices, gone.devices.disks)
        wanted = domain.settings.grants
        given = [
            each
            for each in container.record.spec.devices
            if each in granted.gone or (each.guest in names and not is_granted(each.asked_by, wanted))
        ]
        mounts, devices = (*mounts, *granted.put_on), (*devices, *granted.come)
        if not force:
            await self._refuse_used(managed, container, given)
        run = managed.require_run()
        self._note(managed, replace(run.record, attaching=True))
        try:
            targets = [str(each.target) for each in gone.devices.filesystems]
            for target in (*targets, *(each.target for each in granted.taken_off)):
                await self._take_off(managed, container, target, write, force=force)
            for device in given:
                await managed.lock.unless_overtaken(self._engine.nodes.detach_device(container, device, write))
            await self._interfaces.apply(managed, container, plugs, write)
            for filesystem in renewed:
                await managed.lock.unless_overtaken(self._renew(container, filesystem, write))
            for mount in mounts:
                await managed.lock.unless_overtaken(self._engine.mounts.attach(container, mount, write))
            for device in devices:
                await managed.lock.unless_overtaken(self._engine.nodes.attach_device(container, device, write))
        except (OSError, InsulaError) as error:
            if managed.run is run:
                self._runs.journal.record_container(managed, container)
            if isinstance(error, OSError):
                raise OperationFailedError(f"the devices of domain '{managed.name}' stay: {error}") from error
            raise
        for remark in granted.remarks:
            managed.notice(remark)

    async def _refuse_used(self, managed: ManagedDomain, container: Running, devices: Sequence[Device]) -> None:
        for device in devices:
            place = place_of(device)
            use = await managed.lock.unless_overtaken(self._users.of_place(container, place, device))
            if use.who or use.below:
                raise refusal(f"the device {place}", container, use)

    async def _take_off(
        self, managed: ManagedDomain, container: Running, target: str, write: WriteRecord, *, force: bool
    ) -> None:
        """Take a file system off. The kernel tells whether it is in use; of one with mounts in it, our look does."""
        detach = partial(self._engine.mounts.detach, container, target, write)
        try:
            await managed.lock.unless_overtaken(detach(force=force))
        except StepError as error:
            if force or error.errno != errno.EBUSY:
                raise
            use = await managed.lock.unless_overtaken(self._users.of_place(container, target))
            if use.who or not use.below:
                raise refusal(f"the file system at {target}", container, use) from error
            await managed.lock.unless_overtaken(detach(force=True))

    async def _renew(self, container: Running, filesystem: Filesystem, write: WriteRecord) -> None:
        access = access_of(filesystem)
        await self._engine.views.renew(container, str(filesystem.target), write, access=access)

    async def adopt(self, managed: ManagedDomain, container: Running) -> None:
        """Take over what an earlier daemon plugged in, and `settle`."""
        try:
            await self._engine.interfaces.adopt(container)
        except (OSError, InsulaError) as error:
            LOGGER.error("domain '%s': its interfaces are not in our hands: %s", managed.name, error)
            managed.notice(f"its interfaces may lack their filters: {error}")
        await self.settle(managed, container)

    async def settle(self, managed: ManagedDomain, container: Running) -> None:
        """Take back what the daemon before gave a guest and did not live to tell of; tell of what it took away.

        What cannot be taken back is said, and goes with the guest.
        """
        if not container.described or not managed.require_run().record.attaching:
            return
        try:
            await self._settled(managed, container)
        except (OSError, InsulaError) as error:
            LOGGER.error("domain '%s' may have a device that nobody was told of: %s", managed.name, error)
            managed.notice(f"it may have a device that nobody was told of: {error}")
            return
        true = _with_what_is_there(managed.current, container.record)
        self._runs.journal.change_domain(managed, true)

    async def _settled(self, managed: ManagedDomain, container: Running) -> None:
        container.refuse_unless_entered()
        write = partial(self._write, managed)
        await managed.lock.unless_overtaken(self._engine.mounts.settle(container, write))
        await managed.lock.unless_overtaken(self._engine.changes.settle(container, write))
        await managed.lock.unless_overtaken(self._engine.nodes.settle(container, write))
        await self._interfaces.settle(managed, container, write)
        spec = container.record.spec
        grants = managed.current.settings.grants
        told = {str(each.target) for each in managed.current.devices.filesystems}
        binds = [each for each in spec.mounts if isinstance(each, BindMount)]
        told |= {each.target for each in binds if is_granted(each.asked_by, grants)}
        names = names_of(managed.current.devices.host_devices, managed.current.shown_disks)
        names |= {each.guest for each in spec.devices if is_granted(each.asked_by, grants)}
        for device in [each for each in spec.devices if each.guest not in names]:
            await managed.lock.unless_overtaken(self._engine.nodes.detach_device(container, device, write))
        for target in [each.target for each in spec.mounts if each.target not in told]:
            if target in _attached(container):
                await managed.lock.unless_overtaken(self._engine.mounts.detach(container, target, write, force=True))

        for filesystem in managed.current.devices.filesystems:
            mounts = (each for each in container.record.spec.mounts if each.target == str(filesystem.target))
            mount = next(mounts, None)
            if isinstance(mount, BindMount) and mount.access is not access_of(filesystem):
                await managed.lock.unless_overtaken(self._renew(container, filesystem, write))

    def _note(self, managed: ManagedDomain, record: RunRecord) -> None:
        try:
            self._runs.journal.change(managed, record)
        except OSError as error:
            raise OperationFailedError(
                f"the devices of domain '{managed.name}' stay: the next insulad would not know them, as its run "
                f"directory cannot be written ({error.strerror})"
            ) from error

    def _write(self, managed: ManagedDomain, record: ContainerRecord) -> None:
        run = managed.require_run()
        self._runs.journal.change(managed, replace(run.record, container=record.encode()))


def _renewed(before: DomainDefinition, after: DomainDefinition) -> list[Filesystem]:
    """Return the file systems that stay where they are, and are to be read-only or no more, as they will be.

    Raises: OperationUnsupportedError for whatever else would be different, or of another kind.
    """
    if before.root_disk != after.root_disk:
        raise OperationUnsupportedError("the disk with the root stays as it is while the container runs")
    former = {each.target: each for each in before.devices.filesystems}
    changed = [each for each in after.devices.filesystems if each != former.get(each.target, each)]
    for each in changed:
        if each.type is not FilesystemType.MOUNT or replace(former[each.target], read_only=each.read_only) != each:
            raise OperationUnsupportedError(
                f"the file system at {each.target}: only whether a directory of the host's is read-only may change "
                "while the container runs; change its definition (--config) and restart it, or detach and attach it"
            )
        if each.is_root:
            raise OperationUnsupportedError("the root stays as it is while the container runs")
    return changed


def _without(domain: DomainDefinition, other: DomainDefinition, renewed: Sequence[Filesystem]) -> DomainDefinition:
    """Return a domain with those of its devices only that another has not, and that are not only renewed.

    Of its disks those that the guest sees.
    """
    devices, others = domain.devices, other.devices
    stay = {each.target for each in renewed}
    return replace(
        domain,
        devices=replace(
            devices,
            filesystems=tuple(
                each for each in devices.filesystems if each not in others.filesystems and each.target not in stay
            ),
            host_devices=tuple(each for each in devices.host_devices if each not in others.host_devices),
            disks=tuple(each for each in domain.shown_disks if each not in other.shown_disks),
        ),
    )


def _with_what_is_there(domain: DomainDefinition, record: ContainerRecord) -> DomainDefinition:
    """Return a live definition without the devices that its guest has not any more."""
    domain, spec = with_grants_of(domain, record), record.spec
    targets, names = {each.target for each in spec.mounts}, {each.guest for each in spec.devices}
    devices, shown = with_interfaces_of(domain.devices, record), domain.shown_disks
    return replace(
        domain,
        devices=replace(
            devices,
            filesystems=tuple(each for each in devices.filesystems if each.is_root or str(each.target) in targets),
            host_devices=without_absent(devices.host_devices, names),
            disks=tuple(each for each in devices.disks if each.target.device in names or each not in shown),
        ),
    )


def _attached(container: Running) -> set[str]:
    return {each.target for each in container.record.holdings if isinstance(each, GuestMount)}
