"""Renewing what a running guest sees of the host: the source's name may be another file's by now.

new mount above the former one ──► the record tells so ──► the former one is taken off from below
     │ any failure, or a daemon's death                          │ the next renewal, or a later daemon, does it
     └──► the new one is taken off: the former one was there all the time
"""

from dataclasses import replace
from functools import partial

from insula.engine.facts import Facts
from insula.engine.fragments.guestmounts import fetched_alive
from insula.engine.launch.changes import Change, RunningChanges, WriteRecord, mounts_of, nothing_written, shown_at
from insula.engine.launch.guestviews import mount_of
from insula.engine.launch.holdings import FormerMount, GuestMount, Holding, RenewedMount
from insula.engine.launch.mountchanges import only_mount
from insula.engine.launch.runningcontainer import Running
from insula.engine.spec import Access, BindMount
from insula.engine.steps.guest.renewal import AttachBeneath
from insula.engine.steps.host.hoststep import HostContext, Offload, inline
from insula.errors import OperationInvalidError

_VIEW = "view"


class ViewRenewal:
    """Renews mounts of the host's in guests. changes: performs it."""

    def __init__(self, *, facts: Facts, changes: RunningChanges, offload: Offload = inline) -> None:
        self._facts = facts
        self._changes = changes
        self._offload = offload

    async def renew(
        self, running: Running, target: str, write: WriteRecord = nothing_written, *, access: Access | None = None
    ) -> None:
        """Show anew what of the host is shown at target, by an attached mount or from the start.

        access: what the guest may do there from now on, None for the same as before; what is open stays as it is.
        Raises: OperationInvalidError if nothing of the host is shown there, if the guest has mounted something above
        it, or if the container is paused; otherwise as `RunningChanges.perform`.
        """
        running.refuse_unless_entered()
        await self._finish(running, target, write)
        spec = running.record.spec
        mount = next((each for each in reversed(spec.mounts) if each.target == target), None)
        if not isinstance(mount, BindMount):
            raise OperationInvalidError(f"nothing of the host's is shown at {target} of {running.name}")
        wanted = mount if access is None else replace(mount, access=access)
        former = only_mount(running, target, await self._offload(partial(mounts_of, running, target)))
        holdings = running.record.holdings
        held = next((each for each in holdings if isinstance(each, GuestMount) and each.target == target), None)

        def beneath(context: HostContext) -> tuple[Holding, ...]:
            tree = context.fds[_VIEW]
            top = shown_at(tree, target)
            mount = mount_of(tree)
            return (RenewedMount(target=target, device=top.device, inode=top.inode, mount=mount, former=former),)

        def renewed(holding: Holding) -> tuple[Holding, ...]:
            return _seen(holding, held=held is not None) if isinstance(holding, RenewedMount) else (holding,)

        change = Change(
            host=fetched_alive(spec, self._facts, wanted, _VIEW),
            inside=(AttachBeneath(why="seen once the former one goes", source=_VIEW, target=target, mount=former),),
            holds=beneath,
            drops=() if held is None else (held,),
            becomes=renewed,
            spec=replace(spec, mounts=tuple(wanted if each is mount else each for each in spec.mounts)),
        )
        await self._changes.perform(running, change, write)
        await self._take_off_former(running, target, write)

    async def _take_off_former(self, running: Running, target: str, write: WriteRecord) -> None:
        """Let a renewed mount be seen. Raises: OSError, InsulaError."""
        holdings = running.record.holdings
        former = [each for each in holdings if isinstance(each, FormerMount) and each.target == target]
        await self._changes.release(running, former, write)

    async def _finish(self, running: Running, target: str, write: WriteRecord) -> None:
        """Let those be seen that an earlier renewal left beneath, and could not take back."""
        record = running.record
        left = [each for each in record.holdings if isinstance(each, RenewedMount) and each.target == target]
        mounts = mounts_of(running, target)
        for each in left:
            held = [other for other in record.holdings if isinstance(other, GuestMount) and other.target == target]
            seen = _seen(each, held=bool(held)) if each.mount in mounts else ()
            gone = [each, *(held if seen else ())]
            record = replace(record, holdings=(*(other for other in record.holdings if other not in gone), *seen))
        if left:
            write(record)
            running.record = record
        await self._take_off_former(running, target, write)


def _seen(renewed: RenewedMount, *, held: bool) -> tuple[Holding, ...]:
    """Return what is held of a renewed mount that is to be seen.

    held: whether the former one was; what is there from the start goes with the guest only.
    """
    shown = GuestMount(target=renewed.target, device=renewed.device, inode=renewed.inode)
    return (*((shown,) if held else ()), FormerMount(target=renewed.target, mount=renewed.former))
