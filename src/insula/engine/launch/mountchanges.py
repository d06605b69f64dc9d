"""Mounts that a guest is given while it runs, and that are taken off again, those of its start as well.

What is taken off is known by the kernel's id of it, which is written down before: a daemon that dies amid that does not
know whether it happened, and its successor finds out (`MountChanges.settle`).
"""

from dataclasses import replace
from functools import partial

from insula.engine.facts import Facts
from insula.engine.fragments.guestmounts import fetched_alive, shown_elsewhere
from insula.engine.launch.changes import Change, RunningChanges, WriteRecord, mounts_of, nothing_written, shown_at
from insula.engine.launch.guestviews import all_mounts
from insula.engine.launch.holdings import AddedMount, FormerMount, GuestMount, Holding, LeavingMount, RenewedMount
from insula.engine.launch.release import detachment
from insula.engine.launch.runningcontainer import ContainerRecord, Running
from insula.engine.spec import ContainerSpec, GuestBindMount, Mount
from insula.engine.steps.guest.gueststep import GuestStep
from insula.engine.steps.guest.roottree import AttachMount, TakeMountOff
from insula.engine.steps.host.hoststep import HostContext, Offload, inline
from insula.errors import OperationInvalidError

_NAME = "mount"
_RENEWAL = RenewedMount | FormerMount
"""What is left of a renewal that was cut short."""


class MountChanges:
    """Changes which mounts a guest has. changes: performs it; offload: performs what may block."""

    def __init__(self, *, facts: Facts, changes: RunningChanges, offload: Offload = inline) -> None:
        self._facts = facts
        self._changes = changes
        self._offload = offload

    async def attach(self, running: Running, mount: Mount, write: WriteRecord = nothing_written) -> None:
        """Show something of the host, memory, or something of its own in a guest that runs. See `perform`.

        Raises: OperationInvalidError if it has a mount there already.
        """
        spec = running.record.spec
        if any(each.target == mount.target for each in spec.mounts):
            raise OperationInvalidError(f"something is attached at {mount.target} of {running.name} already")
        if isinstance(mount, GuestBindMount):
            await self._attach_own(running, mount, write)
            return
        change = Change(
            host=fetched_alive(spec, self._facts, mount, _NAME),
            inside=(AttachMount(why="asked for", source=_NAME, target=mount.target),),
            holds=lambda context: (shown_at(context.fds[_NAME], mount.target),),
            spec=replace(spec, mounts=(*spec.mounts, mount)),
        )
        await self._changes.perform(running, change, write)

    async def _attach_own(self, running: Running, mount: GuestBindMount, write: WriteRecord) -> None:
        """Show something of the guest's own elsewhere: what its top is nobody here knows beforehand."""
        spec = running.record.spec
        former = await self._offload(partial(mounts_of, running, mount.target))
        added = AddedMount(target=mount.target, former=former[-1] if former else None)
        change = Change(
            inside=(shown_elsewhere(mount),),
            holds=lambda context: (added,),
            becomes=lambda holding: () if holding == added else (holding,),
            spec=replace(spec, mounts=(*spec.mounts, mount)),
        )
        await self._changes.perform(running, change, write)

    async def detach(
        self, running: Running, target: str, write: WriteRecord = nothing_written, *, force: bool = True
    ) -> None:
        """Take off what the spec has at target, unless the guest has done so.

        force: in use or not; who uses it goes on. Else the kernel refuses what is in use, or has mounts below it.
        Raises: OperationInvalidError if the spec has nothing there, if what was there at the start is not to be told
        from others, or is covered; StepError, with EBUSY for what is in use.
        """
        record = running.record
        if all(each.target != target for each in record.spec.mounts):
            raise OperationInvalidError(f"nothing was attached at {target} of {running.name}")
        if any(isinstance(each, _RENEWAL) and each.target == target for each in record.holdings):
            raise OperationInvalidError(
                f"the renewal of {target} of {running.name} was cut short: renew it again first"
            )
        held = _held(record, target)
        mounts = await self._offload(partial(mounts_of, running, target))
        if held is None:
            mount = only_mount(running, target, mounts)
            step: GuestStep = TakeMountOff(why="no longer wanted", target=target, mount=mount, force=force)
        else:
            step = detachment(held, force=force)

        def leaving(context: HostContext) -> tuple[Holding, ...]:
            return tuple(LeavingMount(target=target, mount=each) for each in mounts[-1:])

        change = Change(
            inside=(step,),
            holds=leaving,
            becomes=lambda holding: () if isinstance(holding, LeavingMount) else (holding,),
            drops=() if held is None else (held,),
            spec=_without(record.spec, target),
        )
        await self._changes.perform(running, change, write)

    async def settle(self, running: Running, write: WriteRecord = nothing_written) -> None:
        """Let the record say of mounts whether they are there that an earlier daemon was about to take off."""
        leaving = [each for each in running.record.holdings if isinstance(each, LeavingMount)]
        if not leaving:
            return
        there = await self._offload(partial(all_mounts, running.pid))
        record = running.record
        for each in leaving:
            kept = [held for held in record.holdings if held != each]
            if each.mount not in there:
                kept = [held for held in kept if held != _held(record, each.target)]
                record = replace(record, spec=_without(record.spec, each.target))
            record = replace(record, holdings=tuple(kept))
        write(record)
        running.record = record


def only_mount(running: Running, target: str, mounts: list[int]) -> int:
    """Return the id of the mount at target. Raises: OperationInvalidError if there is none, or another one above it.

    mounts: what `mounts_of` tells.
    """
    if not mounts:
        raise OperationInvalidError(
            f"nothing is mounted at {target} of {running.name}: the guest has taken it off, or a link there leads away"
        )
    if len(mounts) > 1:
        raise OperationInvalidError(f"several mounts are at {target} of {running.name}: take off what is above ours")
    return mounts[0]


def _held(record: ContainerRecord, target: str) -> GuestMount | None:
    """Return what is held of a mount that was attached while the guest ran; None: it was there at the start."""
    return next((each for each in record.holdings if isinstance(each, GuestMount) and each.target == target), None)


def _without(spec: ContainerSpec, target: str) -> ContainerSpec:
    return replace(spec, mounts=tuple(each for each in spec.mounts if each.target != target))
