"""How a run begins and ends, and what is written down in which order, so that a kill at any instant leaves the truth.

record STARTING ─► files and ids are made ─► the engine launches ─► record RUNNING ─► it counts as running
record ENDING (why, what next) ─► the engine clears up ─► storage is discarded ─► the record is removed
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from uuid import UUID

from insula.engine.console.console import ConsoleHub
from insula.engine.exitstatus import ExitStatus
from insula.engine.fragments.defaultlimits import default_tasks
from insula.engine.launch.holdings import Remains
from insula.engine.launch.runningcontainer import Running
from insula.engine.threads import in_own_thread
from insula.errors import InsulaError, OperationFailedError, OperationTimeoutError
from insula.model.domain import DomainDefinition
from insula.model.domainstates import DomainState, Happening
from insula.service import live
from insula.service.channelhosts import ChannelHosts, OpenChannel, Placed
from insula.service.claims import shortcomings
from insula.service.consolereaders import ConsoleReaders
from insula.service.containers import ContainerEngine, Preparation
from insula.service.events import StartFailed
from insula.service.guarantees import Guarantees, guarantee_of
from insula.service.leftovers import Leftovers
from insula.service.managed import ManagedDomain, Run, state_of
from insula.service.pastruns import PastRuns
from insula.service.rundirectory import LIVE, RunDirectory
from insula.service.runjournal import RunJournal
from insula.service.runrecord import REBOOTS, Next, RunPhase, RunRecord, StopReason, ending, since_boot
from insula.service.runstorage import RunStorage
from insula.service.seating import Seating
from insula.service.startoptions import Launch
from insula.service.translate import PidOf
from insula.service.unread import Description, UnreadDefinition
from insula.service.usbchoice import UsbChoice

LOGGER = logging.getLogger(__name__)


class Runs:
    """Begins and ends runs. Callers hold the domain's lock."""

    def __init__(
        self,
        *,
        engine: ContainerEngine,
        directory: RunDirectory,
        past: PastRuns,
        preparation: Preparation,
        pid_of: PidOf,
        readers: ConsoleReaders,
        boot_id: str,
        seating: Seating,
        usb: UsbChoice,
        guarantees: Guarantees,
    ) -> None:
        self._engine = engine
        self._directory = directory
        self.past = past
        self.storage = RunStorage(preparation, pid_of)
        self._readers = readers
        self._channels = ChannelHosts(directory)
        self._boot_id = boot_id
        self.seating = seating
        self._usb = usb
        self.guarantees = guarantees
        self.journal = RunJournal(directory, seating)
        self.leftovers = Leftovers()

    @property
    def usual_tasks(self) -> int:
        """How many processes and threads a guest may have whose definition names no number."""
        return default_tasks(self._engine.facts.pids_max)

    async def begin(self, managed: ManagedDomain, domain: DomainDefinition, launch: Launch) -> None:
        """Start domain as managed's new run. Raises: InsulaError, and then nothing is left of it."""
        async with AsyncExitStack() as claims:
            await self._begin(managed, domain, launch, claims)

    async def _begin(
        self, managed: ManagedDomain, domain: DomainDefinition, launch: Launch, claims: AsyncExitStack
    ) -> None:
        managed.owner = launch.owner  # before anything is waited for: it may be gone when that is over
        try:
            await self.leftovers.settle(managed.uuid)
        except OperationFailedError:
            if (
                managed.ended_record is not None
            ):  # a restart that cannot be made is over; what is left forgets its record
                managed.ended_record = None
                managed.end(Happening.START_FAILED)
            managed.events.publish(StartFailed(domain=managed.ref))
            raise
        if managed.ended_record is None and not managed.is_persistent:
            await in_own_thread(partial(self.storage.discard_doomed, managed.uuid))
        record = self._first_record(managed, launch)
        begun = record

        def write_intent(remains: Remains) -> None:
            # The first that is written down, and early enough: until now nothing was made that a record must tell of.
            nonlocal begun
            begun = replace(record, intent=remains)
            self._directory.begin(begun, domain)

        try:
            located = await claims.enter_async_context(self._usb.located(managed, domain))
            domain = located.domain
            self.guarantees.claim(managed, guarantee_of(domain))
            placed = await claims.enter_async_context(self._channels.placed(domain))
            spec, remarks = await self.storage.specified(domain, record)
            seated, probed = self.seating.seat(domain, spec.cgroup.partition), domain.settings.is_probed
            record = begun = replace(record, seated=seated, probed=probed)
            if launch.fds:
                spec = replace(spec, inherited_fds=len(launch.fds))
            failure: str | None = None

            def while_inside(container: Running) -> None:
                nonlocal failure
                failure = self._readers.show(container, container.record.spec.consoles)

            container = await self._engine.launch(
                spec,
                inherited=launch.fds,
                paused=launch.paused,
                processors=None if record.seated is None else self.seating.written(record.seated),
                write_intent=write_intent,
                while_inside=while_inside,
            )
            try:
                run = self._taken(managed, domain, container, record, placed)
            except Exception:
                await self._engine.teardown.destroy(container)
                raise
        except Exception as error:  # at the daemon's end, which cancels, the record stays: the next daemon undoes it
            managed.owner = managed.ended_record = None
            self.seating.take(managed.uuid)
            self._usb.forget(managed.uuid)
            reason = self.storage.reason(domain, error)
            managed.past = self.past.failed(managed.uuid, reason)
            managed.end(Happening.START_FAILED)
            managed.events.publish(StartFailed(domain=managed.ref))
            if not await self._undone(begun):
                reason.add_note("something of it stays behind, and is tried again")
            raise reason from reason.__cause__
        managed.ended_record, managed.past = None, self.past.started(managed.uuid)
        # What describes it is made out when somebody asks for it, which no start waits for.
        read = partial(live.running, domain, live.facts_of(container))
        managed.begin(run, UnreadDefinition(name=domain.name, uuid=domain.uuid, read=read), launch.happening)
        unmet = (failure, *container.unmet, *located.absent, *shortcomings(domain, run.record.seated))
        for each in (*unmet, *remarks, *(channel.failure for channel in run.channels)):
            self._warn(managed, each)
        self._usb.tell(managed, located)

    def _taken(
        self, managed: ManagedDomain, domain: DomainDefinition, container: Running, record: RunRecord, placed: Placed
    ) -> Run:
        """What becomes managed's run of a container that was just launched, written down."""
        if container.unmet:
            self.seating.take(managed.uuid)
            record = replace(record, seated=None)
        recorded = replace(record, phase=RunPhase.RUNNING, held=False, container=container.record.encode())
        self._directory.write(recorded)
        consoles, channels = self._read(managed, domain, container, placed, found_again=False)
        return Run(container=container, record=recorded, consoles=consoles, channels=channels)

    def _read(
        self, managed: ManagedDomain, domain: Description, container: Running, placed: Placed, *, found_again: bool
    ) -> tuple[tuple[ConsoleHub, ...], tuple[OpenChannel, ...]]:
        """Return who reads the container's terminals, of consoles and of channels; if it fails nobody does."""
        consoles = self._readers.begin(managed, domain, container, found_again=found_again)
        try:
            return consoles, self._channels.begin(domain, container, placed)
        except BaseException:
            for each in consoles:
                each.let_go()
            container.lent = False
            raise

    def _warn(self, managed: ManagedDomain, failure: str | None) -> None:
        if failure is not None:
            LOGGER.warning("domain '%s': %s", managed.name, failure)
            managed.notice(failure)

    def show(self, managed: ManagedDomain, domain: Description, container: Running, record: RunRecord) -> Run:
        """Let a guest that an earlier daemon began count as running, before anything of it is in our hands."""
        run = Run(container=container, record=record, adoption=asyncio.get_running_loop().create_future())
        if record.seated is not None:
            self.seating.give(managed.uuid, record.seated)
        managed.show(run, domain, state_of(container, record))
        return run

    async def adopted(self, managed: ManagedDomain, container: Running) -> None:
        """Take the guest that is shown already over: its fds, and its consoles. Nothing here needs a disk.

        Raises: OSError, and it is shown as before.
        """
        run = managed.require_run()
        shown = run.container.record
        failure = self._readers.show(container, container.console_count)
        async with self._channels.placed(managed.description, container) as placed:
            run.consoles, run.channels = self._read(managed, managed.description, container, placed, found_again=True)
        run.container = container
        self.seating.found(managed.uuid, container.group)
        for each in (failure, *(channel.failure for channel in run.channels)):
            self._warn(managed, each)
        managed.describe(partial(live.running, facts=live.facts_of(container)))
        if container.awaiting_exec and managed.state.state is not DomainState.PAUSED:
            managed.happen(Happening.SUSPENDED)  # not known when it was shown: it stands still before its program
        if container.described and container.record != shown:
            self.journal.record_container(managed, container)

    async def kill(self, managed: ManagedDomain, reason: StopReason, then: Next = Next.OFF) -> RunRecord:
        """Kill the guest and clear up; return the record as it was decided. The caller tells that.

        reason: one of KILLED; RESTART follows RESET alone.
        Raises: InsulaError, and then it still runs, as far as we know.
        """
        run = managed.require_run()
        # A guest that stands still for its file systems goes on with them, at the latest when it begins anew.
        stands_still = managed.state.state is DomainState.PAUSED and not run.record.quiesced
        held = then is Next.RESTART and (stands_still or run.record.held)
        marked = partial(replace, asked=reason, held=held)
        self._directory.write_or_owe(ending(marked(run.record), reason, then=then))
        run.ending = True
        run.note_oom_kills()
        left: Callable[[], Awaitable[None]] | None = None
        try:
            status = await self._engine.teardown.destroy(run.container)
        except Exception as error:  # at the daemon's end, which cancels, the decision stays: the next one concludes
            if run.container.status is None or not isinstance(error, InsulaError):
                run.ending = False
                # It is killed and only not dead yet: however late, that will have been the reason.
                killed = isinstance(error, OperationTimeoutError)
                self.journal.write_record(managed, marked(run.record) if killed else run.record)
                raise
            LOGGER.error("domain '%s' was killed, and something of it stays behind: %s", managed.name, error)
            status = run.container.status
            left = partial(self._engine.teardown.release, run.container, status)
        managed.past = self.past.ended(run.record, reason, status.status, run.oom_kills)
        record = ending(marked(run.record), reason, status=status.status, then=then)
        await self._over(managed, record, left)
        return record

    async def end(self, managed: ManagedDomain, reason: StopReason, status: ExitStatus, then: Next) -> RunRecord:
        """Clear up after a guest that ended by itself; return the record as it was decided. The caller tells that."""
        run = managed.require_run()
        run.note_oom_kills()
        managed.past = self.past.ended(run.record, reason, status.status, run.oom_kills)
        record = ending(run.record, reason, status=status.status, then=then)
        self._directory.write_or_owe(record)
        run.ending = True
        left: Callable[[], Awaitable[None]] | None = None
        try:
            await self._engine.teardown.release(run.container, status)
        except Exception as error:  # whatever it was, the guest has ended
            LOGGER.error("domain '%s' ended, and something of it stays behind: %s", managed.name, error)
            left = partial(self._engine.teardown.release, run.container, status)
        await self._over(managed, record, left)
        return record

    async def disown(self, uuid: UUID) -> None:
        """Have the keeper drop what it holds of a domain that is off, handed over while its end was under way."""
        await self._engine.teardown.forget(Remains(uuid=str(uuid)))

    async def suspend(self, run: Run) -> None:
        """Let the guest stand still. Raises: OperationFailedError, and it does not."""
        try:
            # The kernel may take its time with a process that waits for a disk: not in the loop.
            await in_own_thread(run.container.group.freeze)
        except OSError as error:
            raise OperationFailedError(f"{run.container.name} cannot be suspended: {error.strerror}") from error

    async def resume(self, run: Run) -> None:
        """Let the guest go on, or begin. Raises: OperationFailedError; StepError if its init cannot be executed."""
        try:
            await self._engine.resume(run.container)
        except OSError as error:
            raise OperationFailedError(f"{run.container.name} cannot be resumed: {error.strerror}") from error

    async def let_go(self, run: Run) -> None:
        """Close what we have open of a guest: its consoles, when all they said is in the log, and its fds."""
        for each in run.channels:
            each.close()
        waiting = [console.finish() for console in run.consoles if not console.finish_at_once()]
        if waiting:
            await asyncio.gather(*waiting)
        await self._channels.remove(run.channels)
        run.container.close()

    async def discard_kept(self, managed: ManagedDomain) -> None:
        """Give up a run that is over and was kept; the caller tells that it is off for good."""
        assert managed.ended_record is not None
        if managed.uuid not in self.leftovers:  # what is left of it forgets it when it is gone
            await self.forget(managed.ended_record)
        managed.ended_record = None

    async def forget(self, record: RunRecord) -> None:
        """Remove what a run that is over leaves: its record and, if it was made for this run only, its storage."""
        if record.ephemeral:
            await self.storage.discard(record.uuid)
        self._directory.remove(record.uuid)

    def get_ready(self, domain: DomainDefinition) -> None:
        """Do at the definition what a start need not wait for, in a thread; what fails is tried again, and told, at
        the start."""
        spec = self.storage.rehearsed(domain)
        try:
            if spec is not None:
                self._engine.get_ready(spec)
            domain.dump(LIVE)
        except (OSError, InsulaError) as error:
            LOGGER.debug("domain '%s' could not be started now: %s", domain.name, error)

    async def release(self, uuid: UUID) -> None:
        """Let others have the ids of a domain that is no more."""
        self.past.forget(uuid)
        await self.storage.release(uuid)

    def console_log(self, name: str, place: int) -> Path:
        """Return the file that gets a copy of what a console prints."""
        return self._readers.log(name, place)

    async def move_logs(self, former: str, name: str) -> None:
        """Let what a domain's consoles said be found by its new name."""
        await in_own_thread(partial(self._readers.move_logs, former, name))

    def _first_record(self, managed: ManagedDomain, launch: Launch) -> RunRecord:
        kept = managed.ended_record
        ephemeral = not managed.is_persistent and not self.storage.is_owned(managed.uuid)
        return RunRecord(
            uuid=managed.uuid,
            name=managed.name,
            boot_id=self._boot_id,
            phase=RunPhase.STARTING,
            begun=time.time(),
            uptime=since_boot(),
            autodestroy=launch.owner is not None,
            ephemeral=ephemeral if kept is None else kept.ephemeral,
            again=launch.restarts is not None,
            held=launch.restarts is not None and launch.paused,
            restarts=launch.restarts or 0,
        )

    async def _undone(self, record: RunRecord) -> bool:
        """Take away all that a failed start may have left, whatever has been undone of it already; or go on trying."""
        try:
            await self.undo(record)
        except (OSError, InsulaError) as error:
            LOGGER.error("something of the failed start of domain '%s' stays behind: %s", record.name, error)
            self.leftovers.clear(record.uuid, record.name, partial(self.undo, record), soon=False)
            return False
        return True

    async def undo(self, record: RunRecord) -> None:
        """Take away what there is of a start that nobody was told of, by its record. May be called again.

        Raises: OSError, InsulaError if something stays behind, and so does the record.
        """
        if record.intent is not None:
            await self._engine.teardown.take_away(record.intent)
        await self.forget(record)

    def clear_later(self, managed: ManagedDomain, record: RunRecord, clear: Callable[[], Awaitable[None]]) -> None:
        """Go on trying to take away what a run left that is over. Its record goes last, unless the run is kept."""

        async def work() -> None:
            await clear()
            if managed.ended_record is None:
                await self.forget(record)

        self.leftovers.clear(record.uuid, record.name, work, soon=False)

    async def _over(
        self, managed: ManagedDomain, record: RunRecord, left: Callable[[], Awaitable[None]] | None
    ) -> None:
        """Let nothing be left of a run that is over but that it is shown. left: takes away what could not be yet."""
        if record.next is Next.RESTART and record.reason in REBOOTS:
            managed.pause_consoles()
        self._usb.forget(managed.uuid)
        await self.let_go(managed.require_run())
        if record.next is Next.OFF:
            if left is None:
                await self.forget(record)
            elif self._directory.owes(managed.uuid):
                # What is written says that it runs. The next daemon finds what is left by its label.
                self._directory.remove(managed.uuid)
            if not managed.is_persistent:
                await self.release(managed.uuid)
        managed.ended_record = None if record.next is Next.OFF else record
        if left is not None:
            self.clear_later(managed, record, left)
