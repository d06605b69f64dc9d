"""Changing a container that runs: host steps, steps inside, and the record, which is what is true afterwards.

host steps ──► announced in the record ──► steps inside ──► made, in the record and its spec
                      │ any failure, or a daemon's death
                      └──► the same reverse walk as at a launch, over what this change holds
"""

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from insula.engine.facts import Facts
from insula.engine.fragments.speccheck import own_network
from insula.engine.interfaceperformer import InterfacePerformer
from insula.engine.launch.attempt import step_failed
from insula.engine.launch.guestviews import mounts_at
from insula.engine.launch.holdings import (
    FormerDevices,
    FormerLink,
    FormerPort,
    GuestMount,
    HalfPlugged,
    Holding,
    Interfaces,
)
from insula.engine.launch.insidesteps import InsideSteps
from insula.engine.launch.release import Inside, Release
from insula.engine.launch.runningcontainer import ContainerRecord, Running
from insula.engine.linkchange import LinkChange
from insula.engine.spec import ContainerSpec
from insula.engine.steps.guest.gueststep import GuestStep
from insula.engine.steps.host.guestlinks import ChangeLink
from insula.engine.steps.host.hoststep import HostContext, HostStep, Offload, inline
from insula.engine.steps.host.imagedevices import numbered
from insula.errors import OperationFailedError, OperationInvalidError
from insula.kernel.fds import Fd, close_all

WriteRecord = Callable[[ContainerRecord], None]
"""Writes down what is true of a container from now on. Raises: OSError, and nothing has been written."""
_UNTIL_DONE = FormerDevices | FormerLink | HalfPlugged | FormerPort
"""What was before is held only until the whole change is done."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What is to become different. host, inside: steps, performed in this order; holds: what the steps inside leave,
    known once those of the host are done; drops: what they take away that was held; keeps: what a holding of before is
    afterwards; becomes: what one that was made is, once all is done; spec: the container's when all is done."""

    host: tuple[HostStep, ...] = ()
    inside: tuple[GuestStep, ...] = ()
    holds: Callable[[HostContext], tuple[Holding, ...]] = lambda context: ()
    drops: tuple[Holding, ...] = ()
    keeps: Callable[[Holding], Holding] = lambda holding: holding
    becomes: Callable[[Holding], tuple[Holding, ...]] = lambda holding: (holding,)
    spec: ContainerSpec


def nothing_written(record: ContainerRecord) -> None:
    """For a container whose record lives in this process alone."""


class RunningChanges:
    """Performs changes, one at a time for each container. permitted: returns the mask of the keeper's capabilities."""

    def __init__(
        self,
        *,
        facts: Facts,
        inside: InsideSteps,
        release: Release,
        interfaces: InterfacePerformer | None,
        permitted: Callable[[], int],
        offload: Offload = inline,
    ) -> None:
        self._facts = facts
        self._inside = inside
        self._release = release
        self._interfaces = interfaces
        self._permitted = permitted
        self._offload = offload

    async def change_link(
        self, running: Running, name: str, change: LinkChange, write: WriteRecord = nothing_written
    ) -> None:
        """Change a network link that the guest has, by whatever name it has it now. See `perform`.

        Raises: OperationInvalidError if it has no such link, has what is to be added, or has no network of its own;
        InvalidArgumentError for what no kernel would take.
        """
        change.check()
        spec = running.record.spec
        if not own_network(spec):
            raise OperationInvalidError(f"{running.name} has no network of its own: change the link where it belongs")
        if self._interfaces is None:
            raise OperationFailedError("there is nobody here to change network interfaces")
        network = network_inside(running)
        try:
            former = await self._interfaces.look_at_link(name, change, network=network)
        finally:
            close_all([network])
        given = next((each for each in spec.interfaces if each.guest == name), None)
        lost = given is not None and change.up is True and not former.up
        kept = replace(change, add_addresses=(), add_routes=()).of(given) if given is not None and lost else None
        step = ChangeLink(
            why="asked for",
            name=name,
            former=former,
            change=change,
            addresses=kept.addresses if kept else (),
            routes=kept.routes if kept else (),
        )

        def renamed(holding: Holding) -> Holding:
            if given is None or not isinstance(holding, Interfaces):
                return holding
            connected = (
                replace(each, guest=change.name or name) if each.guest == name else each for each in holding.connected
            )
            return replace(holding, connected=tuple(connected))

        interfaces = tuple(change.of(each) if each is given else each for each in spec.interfaces)
        wanted = Change(host=(step,), keeps=renamed, spec=replace(spec, interfaces=interfaces))
        await self.perform(running, wanted, write)

    async def perform(self, running: Running, change: Change, write: WriteRecord = nothing_written) -> None:
        """Make a running container different; running.record is what is true when this returns or raises.

        write: keeps the record for a later daemon, which ends what was cut short by `settle`.
        Raises: OperationInvalidError for a container that is paused, or has ended; StepError naming the
        step, or what a step raised that speaks for itself; all of it is taken back then,
        and what stays is added to the failure's notes.
        """
        running.refuse_unless_entered()
        before = running.record
        context = self._context(running)
        announced = [each for step in change.host for each in step.announce(before.id)]
        made: list[Holding] = []
        try:
            if announced:
                self._record(running, write, [*before.holdings, *announced], before.spec)
            for step in change.host:
                made += await _performed(step, context)
            left = change.holds(context)
            if left:
                self._record(running, write, [*before.holdings, *made, *map(_announced, left)], before.spec)
            if change.inside:
                await self._inside.perform(running, change.inside, context.fds, permitted=self._permitted())
            made += left
            kept = [change.keeps(each) for each in before.holdings if each not in change.drops]
            done = [each for holding in made for each in change.becomes(holding)]
            lasting = [each for each in done if not isinstance(each, _UNTIL_DONE)]
            self._record(running, write, [*kept, *lasting], numbered(change.spec, context))
        except BaseException as error:
            await self._take_back(running, before, made, write, error)
            raise
        finally:
            context.close()

    async def settle(self, running: Running, write: WriteRecord = nothing_written) -> None:
        """Take back what a change left that an earlier daemon did not live to finish: nobody was told of it.

        Raises: OSError or InsulaError if something stays, and so does the record.
        """
        halves = [each for each in running.record.holdings if not getattr(each, "made", True)]
        await self.release(running, halves, write)

    async def release(self, running: Running, holdings: Sequence[Holding], write: WriteRecord) -> None:
        """Take holdings away, and strike them from the record.

        Raises: OSError or InsulaError if something stays, and so does the record.
        """
        if not holdings:
            return
        record = running.record
        for failure in await self._release.walk(holdings, record.launch, inside=self._inside_of(running)):
            raise failure
        self._record(running, write, [each for each in record.holdings if each not in holdings], record.spec)

    async def _take_back(
        self,
        running: Running,
        before: ContainerRecord,
        made: Sequence[Holding],
        write: WriteRecord,
        error: BaseException,
    ) -> None:
        """Walk over all that the change announced or made, and let the record be as it was."""
        recorded = [each for each in running.record.holdings if each not in before.holdings]
        held = [*(each for each in made if each not in recorded), *recorded]
        stays = await self._release.walk(held, before.launch, inside=self._inside_of(running))
        for each in stays:
            error.add_note(f"taking back failed too: {each}")
        # What stays is told by the record: the walk at the run's end, or `settle`, comes to it.
        running.record = replace(before, holdings=(*before.holdings, *held)) if stays else before
        try:
            write(running.record)
        except OSError as failure:
            error.add_note(f"the record was not written: {failure}")

    def _context(self, running: Running) -> HostContext:
        context = HostContext(
            facts=self._facts,
            performer=self._interfaces,
            identity=running.record.id,
            launch=running.record.launch or "",
            fetch_netlink=_no_netlink,
            offload=self._offload,
            group=running.group,
            child=running.pid,
        )
        try:
            context.process = Fd(os.open(f"/proc/{running.pid}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        except FileNotFoundError as error:
            raise OperationInvalidError(f"{running.name} has ended") from error
        return context

    def _inside_of(self, running: Running) -> Inside:
        return _LivingGuest(running=running, steps=self._inside, permitted=self._permitted)

    @staticmethod
    def _record(running: Running, write: WriteRecord, holdings: Sequence[Holding], spec: ContainerSpec) -> None:
        record = replace(running.record, holdings=tuple(holdings), spec=spec)
        write(record)
        running.record = record


@dataclass(frozen=True, kw_only=True, slots=True)
class _LivingGuest:
    """A guest that runs, for the walk that takes holdings away (`release.Inside`)."""

    running: Running
    steps: InsideSteps
    permitted: Callable[[], int]

    async def perform(self, steps: Sequence[GuestStep]) -> None:
        await self.steps.perform(self.running, steps, {}, permitted=self.permitted())

    def mounts_at(self, target: str) -> list[int]:
        return mounts_of(self.running, target)

    def network(self) -> Fd:
        return network_inside(self.running)


def network_inside(running: Running) -> Fd:
    """Return an open file of a guest's network namespace. Raises: OperationInvalidError if it has ended."""
    try:
        network = Fd(os.open(f"/proc/{running.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        try:
            # Still the same process: its pid was not free as long as it is not reaped.
            signal.pidfd_send_signal(running.pidfd, 0)
        except BaseException:
            close_all([network])
            raise
    except (FileNotFoundError, ProcessLookupError) as error:
        raise OperationInvalidError(f"{running.name} has ended") from error
    return network


async def _performed(step: HostStep, context: HostContext) -> tuple[Holding, ...]:
    try:
        return await step.perform(context)
    except OSError as error:
        raise step_failed(step, error) from error


def mounts_of(running: Running, target: str) -> list[int]:
    """Return what `guestviews.mounts_at` does. Raises: OperationInvalidError if the guest has ended."""
    try:
        return mounts_at(running.pid, target)
    except (FileNotFoundError, ProcessLookupError) as error:
        raise OperationInvalidError(f"{running.name} has ended") from error


def shown_at(tree: Fd, target: str) -> GuestMount:
    """Return the holding of a tree that is shown at target."""
    top = os.fstat(tree)
    return GuestMount(target=target, device=top.st_dev, inode=top.st_ino)


def _announced(holding: Holding) -> Holding:
    return replace(holding, made=False) if isinstance(holding, GuestMount) else holding


async def _no_netlink() -> Fd:
    raise OperationInvalidError("the container runs: there is no child that opens a socket")
