"""Taking away what a run holds on the host: one walk in reverse, after a failed launch, a run's end, a daemon's death.

The guest has ended by then, or has been killed: what it stands in goes after it. Whatever is taken away may be gone
already, or may never have been made; so each walk may be repeated, by a later daemon too.
"""

import errno
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from insula.engine.interfaceperformer import InterfacePerformer
from insula.engine.launch.guestlabels import launch_of
from insula.engine.launch.holdings import (
    AddedMount,
    CardHelpers,
    ControlGroup,
    FormerDevices,
    FormerLink,
    FormerMount,
    FormerPort,
    GuestMount,
    HalfPlugged,
    Holding,
    Interfaces,
    LeavingMount,
    LoopDevice,
    NamedGroup,
    RenewedMount,
    ScopeGroup,
)
from insula.engine.launch.placement import DirectPlacement, Placement, ScopePlacement
from insula.engine.launch.systemdscope import Scopes
from insula.engine.steps.guest.gueststep import GuestStep
from insula.engine.steps.guest.renewal import DetachBeneath, DetachFormer
from insula.engine.steps.guest.roottree import DetachMount
from insula.engine.steps.host.hoststep import Offload, inline
from insula.errors import InsulaError
from insula.kernel.cgroups import Cgroup, Hierarchies
from insula.kernel.cgroups.namedhierarchy import remove_named
from insula.kernel.fds import Fd, close_all
from insula.kernel.loopdevices import clear_loops


class Inside(Protocol):
    """A guest that runs, for what is to be taken back in it."""

    async def perform(self, steps: Sequence[GuestStep]) -> None:
        """Have steps performed inside. Raises: StepError."""
        ...

    def mounts_at(self, target: str) -> list[int]:
        """Return the ids of its mounts at a path without links, the top one last. Raises: as `network`."""
        ...

    def network(self) -> Fd:
        """Return an open file of its network namespace, the caller's to close.

        Raises: OperationInvalidError if it has ended.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """Takes holdings away.

    interfaces: who made them, None where nobody does; scopes: who ends those of systemd; offload: performs what may
    block.
    """

    hierarchies: Hierarchies
    interfaces: InterfacePerformer | None = None
    scopes: Scopes = field(default_factory=Scopes)
    offload: Offload = inline

    async def walk(
        self, holdings: Sequence[Holding], launch: str | None, *, inside: Inside | None = None
    ) -> list[OSError | InsulaError]:
        """Take away what is there, the last first; return why something stays. One that stays holds up no other.

        launch: whose these are, None if that was not written down; what another launch made is left alone. inside: the
        guest, None for one that has ended, with all that was inside.
        """
        failures: list[OSError | InsulaError] = []
        for holding in reversed(holdings):
            try:
                await RELEASES[type(holding)](self, holding, launch, inside)
            except (OSError, InsulaError) as error:
                failures.append(error)
        return failures

    async def _detach(self, holding: GuestMount, launch: str | None, inside: Inside | None) -> None:
        if inside is not None:
            await inside.perform((detachment(holding),))

    async def _take_off_added(self, holding: AddedMount, launch: str | None, inside: Inside | None) -> None:
        mounts = [] if inside is None else inside.mounts_at(holding.target)
        if inside is not None and mounts and mounts[-1] != holding.former:
            await inside.perform((DetachFormer(why="no longer wanted", target=holding.target, mount=mounts[-1]),))

    async def _leave(self, holding: LeavingMount, launch: str | None, inside: Inside | None) -> None:
        """It is the guest's as before, or gone."""

    async def _detach_beneath(self, holding: RenewedMount, launch: str | None, inside: Inside | None) -> None:
        if inside is not None and holding.mount in inside.mounts_at(holding.target):
            ids = {"mount": holding.mount, "former": holding.former}
            await inside.perform((DetachBeneath(why="it takes no place", target=holding.target, **ids),))

    async def _detach_former(self, holding: FormerMount, launch: str | None, inside: Inside | None) -> None:
        if inside is not None:
            await inside.perform((DetachFormer(why="it is renewed", target=holding.target, mount=holding.mount),))

    async def _allow_again(self, holding: FormerDevices, launch: str | None, inside: Inside | None) -> None:
        if inside is not None:
            group = Cgroup(self.hierarchies, holding.path)
            await self.offload(partial(group.allow_devices, holding.rules))

    async def _restore_link(self, holding: FormerLink, launch: str | None, inside: Inside | None) -> None:
        if inside is None or self.interfaces is None:
            return
        network = inside.network()
        try:
            await self.interfaces.restore_link(holding.link, holding.change, network=network)
        finally:
            close_all([network])

    async def _withdraw(self, holding: HalfPlugged, launch: str | None, inside: Inside | None) -> None:
        if inside is None or self.interfaces is None:
            return  # it went with the guest's network
        network = inside.network()
        try:
            await self.offload(partial(self.interfaces.withdraw, holding.interface, launch or "", network=network))
        finally:
            close_all([network])

    async def _plug_as_before(self, holding: FormerPort, launch: str | None, inside: Inside | None) -> None:
        if inside is None or self.interfaces is None:
            return
        network = inside.network()
        try:
            parts = (holding.connected, holding.wanted, holding.interface)
            await self.offload(partial(self.interfaces.change_port, *parts, network=network))
        finally:
            close_all([network])

    async def _end_helpers(self, holding: CardHelpers, launch: str | None, inside: Inside | None) -> None:
        if self.interfaces is not None and launch is not None:
            await self.offload(partial(self.interfaces.end_helpers, launch))

    async def _disconnect(self, holding: Interfaces, launch: str | None, inside: Inside | None) -> None:
        if self.interfaces is not None:
            await self.interfaces.disconnect(holding.connected)

    async def _clear_loop(self, holding: LoopDevice, launch: str | None, inside: Inside | None) -> None:
        if launch is not None:
            await self.offload(partial(clear_loops, holding.mark(launch)))

    async def _remove_group(self, holding: ControlGroup, launch: str | None, inside: Inside | None) -> None:
        placement = DirectPlacement(hierarchies=self.hierarchies)
        await self._vacate(Cgroup(self.hierarchies, holding.path), launch, placement, sure=holding.made)

    async def _end_scope(self, holding: ScopeGroup, launch: str | None, inside: Inside | None) -> None:
        placement = ScopePlacement(hierarchies=self.hierarchies, scopes=self.scopes)
        await self._vacate(Cgroup(self.hierarchies, holding.path), launch, placement)

    async def _remove_named_group(self, holding: NamedGroup, launch: str | None, inside: Inside | None) -> None:
        if launch is not None:
            await self.offload(partial(remove_named, holding.name(launch)))

    async def _vacate(self, group: Cgroup, launch: str | None, placement: Placement, *, sure: bool = True) -> None:
        """Remove a group, and end whoever is in it still: the host's processes can come in at any time.

        sure: it was made for this launch, whether it bears a mark or not; else one without it goes only if it is empty.
        """
        maker = launch_of(group)
        if None not in (maker, launch) and maker != launch:
            return
        if maker is None and not sure and group.inhabited:
            raise OSError(errno.EBUSY, "processes are in the group, and it does not tell who made it", group.path)
        # Most often nobody is left there: then nothing is waited for.
        if not placement.released_at_once(group):
            await self.offload(partial(_vacated, group, placement))


def _vacated(group: Cgroup, placement: Placement) -> None:
    with suppress(OSError):
        group.kill()
    placement.release(group)


def detachment(mount: GuestMount, *, force: bool = True) -> DetachMount:
    """Return the step that takes a mount off inside, if it is there still. force: in use or not."""
    why = "no longer wanted"
    return DetachMount(why=why, target=mount.target, device=mount.device, inode=mount.inode, force=force)


RELEASES: Mapping[type[Holding], Callable[[Release, Any, str | None, Inside | None], Awaitable[None]]] = {
    ControlGroup: Release._remove_group,
    ScopeGroup: Release._end_scope,
    NamedGroup: Release._remove_named_group,
    LoopDevice: Release._clear_loop,
    Interfaces: Release._disconnect,
    GuestMount: Release._detach,
    AddedMount: Release._take_off_added,
    LeavingMount: Release._leave,
    RenewedMount: Release._detach_beneath,
    FormerMount: Release._detach_former,
    FormerDevices: Release._allow_again,
    FormerLink: Release._restore_link,
    HalfPlugged: Release._withdraw,
    FormerPort: Release._plug_as_before,
    CardHelpers: Release._end_helpers,
}
"""How each kind of holding is taken away; what is gone already is fine."""
