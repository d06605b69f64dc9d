"""Devices of a guest that runs: those that it has are those that are told, whoever dies amid a change.

A file system is attached and detached by its place, a host device or disk by its name below /dev.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from insula.engine.launch.holdings import GuestMount
from insula.engine.threads import in_own_thread
from insula.errors import InsulaError, OperationFailedError, OperationUnsupportedError
from insula.service.hostdevices import devices_of, name_of, names_of
from insula.storage.filesystemmounts import mounts_of

if TYPE_CHECKING:
    from insula.engine.launch.runningcontainer import ContainerRecord, Running
    from insula.engine.spec import ContainerSpec
    from insula.model.domain import DomainDefinition
    from insula.service.containers import ContainerEngine
    from insula.service.managed import ManagedDomain
    from insula.service.rundirectory import RunRecord
    from insula.service.runs import Runs

LOGGER = logging.getLogger(__name__)


class LiveDevices:
    """Gives devices to guests and takes them away. Callers hold the domain's lock."""

    def __init__(self, engine: ContainerEngine, runs: Runs) -> None:
        self._engine = engine
        self._runs = runs

    async def change(self, managed: ManagedDomain, domain: DomainDefinition) -> None:
        """Let the guest have the devices of a changed live definition: what is gone goes first.

        Raises: OperationUnsupportedError for what was there when it was started, and goes with its next start only;
        UnsupportedConfigError for what the host has not; StepError, everything taken back.
        """
        container = managed.require_run().container
        gone, come = _without(managed.current, domain), _without(domain, managed.current)
        if any(each.moved_interface is not None for part in (gone, come) for each in part.devices.host_devices):
            raise OperationUnsupportedError(
                "no network device can be attached or detached while the container runs; "
                "change its definition (--config) and restart it"
            )
        idmap = container.record.spec.idmap
        mounts = await in_own_thread(partial(mounts_of, come, idmap))
        devices = await in_own_thread(partial(devices_of, come))
        write = partial(self._write, managed)
        for target in map(str, (each.target for each in gone.devices.filesystems)):
            if target not in _attached(container):
                raise OperationUnsupportedError(
                    f"the file system at {target} was there when the guest was started, and stays while it runs; "
                    "change its definition (--config) and restart it"
                )
        names = names_of(gone)
        run = managed.require_run()
        self._note(managed, replace(run.record, attaching=True))
        try:
            for filesystem in gone.devices.filesystems:
                await managed.lock.unless_overtaken(
                    self._engine.changes.detach(container, str(filesystem.target), write)
                )
            for device in [each for each in container.record.spec.devices if each.guest in names]:
                await managed.lock.unless_overtaken(self._engine.changes.detach_device(container, device, write))
            for mount in mounts:
                await managed.lock.unless_overtaken(self._engine.changes.attach(container, mount, write))
            for device in devices:
                await managed.lock.unless_overtaken(self._engine.changes.attach_device(container, device, write))
        except (OSError, InsulaError) as error:
            if managed.run is run:
                self._runs.record_container(managed, container)
            if isinstance(error, OSError):
                raise OperationFailedError(f"the devices of domain '{managed.name}' stay: {error}") from error
            raise

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
        true = _with_what_is_there(managed.current, container.record.spec)
        self._runs.change_domain(managed, true)

    async def _settled(self, managed: ManagedDomain, container: Running) -> None:
        container.refuse_unless_entered()
        write = partial(self._write, managed)
        await managed.lock.unless_overtaken(self._engine.changes.settle(container, write))
        spec = container.record.spec
        told = {str(each.target) for each in managed.current.devices.filesystems}
        names = names_of(managed.current)
        for device in [each for each in spec.devices if each.guest not in names]:
            await managed.lock.unless_overtaken(self._engine.changes.detach_device(container, device, write))
        for target in [each.target for each in spec.mounts if each.target not in told]:
            if target in _attached(container):
                await managed.lock.unless_overtaken(self._engine.changes.detach(container, target, write))

    def _note(self, managed: ManagedDomain, record: RunRecord) -> None:
        try:
            self._runs.change(managed, record)
        except OSError as error:
            raise OperationFailedError(
                f"the devices of domain '{managed.name}' stay: the next insulad would not know them, as its run "
                f"directory cannot be written ({error.strerror})"
            ) from error

    def _write(self, managed: ManagedDomain, record: ContainerRecord) -> None:
        run = managed.require_run()
        self._runs.change(managed, replace(run.record, container=record.encode()))


def _without(domain: DomainDefinition, other: DomainDefinition) -> DomainDefinition:
    """Return a domain with those of its devices only that another has not."""
    devices, others = domain.devices, other.devices
    return replace(
        domain,
        devices=replace(
            devices,
            filesystems=tuple(each for each in devices.filesystems if each not in others.filesystems),
            host_devices=tuple(each for each in devices.host_devices if each not in others.host_devices),
            disks=tuple(each for each in devices.disks if each not in others.disks),
        ),
    )


def _with_what_is_there(domain: DomainDefinition, spec: ContainerSpec) -> DomainDefinition:
    """Return a live definition without the devices that its guest has not any more."""
    targets, names = {each.target for each in spec.mounts}, {each.guest for each in spec.devices}
    devices = domain.devices
    return replace(
        domain,
        devices=replace(
            devices,
            filesystems=tuple(each for each in devices.filesystems if each.is_root or str(each.target) in targets),
            host_devices=tuple(each for each in devices.host_devices if (name_of(each) or "") in {*names, ""}),
            disks=tuple(each for each in devices.disks if each.target.device in names),
        ),
    )


def _attached(container: Running) -> set[str]:
    return {each.target for each in container.record.holdings if isinstance(each, GuestMount)}
