"""Device classes that a running guest is given and that are taken away: which nodes and mounts come and go.

What two of them share stays as long as one of them does. The numbers of the guest's own groups are found by a look.
"""

import errno
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import partial

from insula.engine.fragments.guestdevices import host_id
from insula.engine.launch.runningcontainer import ContainerRecord, Running
from insula.engine.look.looking import Sight
from insula.engine.spec import BindMount, ContainerSpec, Device
from insula.engine.threads import in_own_thread
from insula.errors import OperationFailedError, UnsupportedConfigError
from insula.model.devicegrants import DeviceGrant
from insula.model.domain import DomainDefinition
from insula.service.containers import Looking
from insula.service.grantednodes import NOTHING_GRANTED, DeviceGrants, GrantedDevices
from insula.service.hostdevices import names_of


@dataclass(frozen=True, kw_only=True, slots=True)
class GrantChange:
    """gone, come: devices; taken_off, put_on: mounts; remarks: see `GrantedDevices`."""

    gone: tuple[Device, ...] = ()
    come: tuple[Device, ...] = ()
    taken_off: tuple[BindMount, ...] = ()
    put_on: tuple[BindMount, ...] = ()
    remarks: tuple[str, ...] = ()


class LiveGrants:
    """Finds out what a change of a domain's grants is for its guest; nothing is touched."""

    def __init__(self, grants: DeviceGrants, looker: Looking) -> None:
        self._grants = grants
        self._looker = looker

    async def planned(self, container: Running, before: DomainDefinition, after: DomainDefinition) -> GrantChange:
        """Return what makes a guest's granted devices those of its changed definition.

        Raises: UnsupportedConfigError for what the host has not; OperationFailedError if the guest does not tell its
        groups.
        """
        former, wanted = before.settings.grants, after.settings.grants
        if former == wanted:
            return GrantChange()
        come = [each for each in wanted if each not in former]
        new = await in_own_thread(partial(self._grants.resolve, come))
        kept = await in_own_thread(partial(self._known, wanted))
        record = container.record
        gone_keys = {each.key for each in former} - {each.key for each in wanted}
        stay = {each.guest for each in (*kept.devices, *new.devices)}
        stay |= names_of(after.devices.host_devices, after.shown_disks)
        gone = [
            each for each in record.spec.devices if _goes(each.asked_by, gone_keys, wanted) and each.guest not in stay
        ]
        targets = {each.target for each in (*kept.mounts, *new.mounts)}
        binds = [each for each in record.spec.mounts if isinstance(each, BindMount)]
        given = {each.guest for each in record.spec.devices}
        shown = {each.target for each in record.spec.mounts}
        missing = [each for each in new.devices if each.guest not in given]
        return GrantChange(
            gone=tuple(gone),
            come=await self.owned(container, missing),
            taken_off=tuple(
                each for each in binds if _goes(each.asked_by, gone_keys, wanted) and each.target not in targets
            ),
            put_on=tuple(each for each in new.mounts if each.target not in shown),
            remarks=(*new.remarks, *_late_remarks(new)),
        )

    def _known(self, grants: Iterable[DeviceGrant]) -> GrantedDevices:
        """Return what the host still has for each of these."""
        found = NOTHING_GRANTED
        for each in grants:
            try:
                one = self._grants.resolve([each])
            except UnsupportedConfigError:  # it had it once: what is of that alone is told by the record
                continue
            found = replace(found, devices=(*found.devices, *one.devices), mounts=(*found.mounts, *one.mounts))
        return found

    async def owned(self, container: Running, devices: Iterable[Device]) -> tuple[Device, ...]:
        """Return devices with the numbers of the guest's groups that they are to belong to, where it has them."""
        numbers: dict[str, int | None] = {}
        owned = []
        for device in devices:
            for name in device.groups:
                if name not in numbers:
                    numbers[name] = await self._number(container, name)
            found = next((numbers[name] for name in device.groups if numbers[name] is not None), None)
            owned.append(device if found is None else replace(device, gid=found))
        return tuple(owned)

    async def _number(self, container: Running, group: str) -> int | None:
        arguments = {"pid": container.pid, "user": "0", "group": group}
        sight = Sight(whose=container.uuid, name=f"domain '{container.name}'")
        try:
            account = await self._looker.look(sight, "find-account", arguments, {"init": container.pidfd})
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None
            raise OperationFailedError(
                f"the group '{group}' of domain '{container.name}' is not found out: {error.strerror}"
            ) from error
        gid = int(account[1])
        return gid if _is_mapped(container.record.spec, gid) else None


def with_grants_of(domain: DomainDefinition, record: ContainerRecord) -> DomainDefinition:
    """Return a live definition without the grants of which its guest has nothing any more."""
    grants = domain.settings.grants
    there = {key for each in record.spec.devices for key in each.asked_by}
    there |= {key for each in record.spec.mounts if isinstance(each, BindMount) for key in each.asked_by}
    left = tuple(each for each in grants if each.key in there or each.startup_policy is not None)
    if left == grants or domain.metadata is None:
        return domain
    settings = replace(domain.settings, grants=left)
    return replace(domain, metadata=replace(domain.metadata, settings=settings))


def is_granted(asked_by: Collection[str], grants: Iterable[DeviceGrant]) -> bool:
    """Whether any of the grants by which something was asked for is among these."""
    return any(each.key in asked_by for each in grants)


def _goes(asked_by: Collection[str], gone: Collection[str], wanted: Iterable[DeviceGrant]) -> bool:
    return any(each in gone for each in asked_by) and not is_granted(asked_by, wanted)


def _late_remarks(new: GrantedDevices) -> tuple[str, ...]:
    if not new.environment:
        return ()
    names = ", ".join(name for name, _ in new.environment)
    return (f"its init does not have the variables {names} before its next start",)


def _is_mapped(spec: ContainerSpec, gid: int) -> bool:
    return spec.idmap is None or host_id(spec.idmap.gids, gid) is not None
