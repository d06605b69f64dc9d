"""The life of a domain: started, paused, ended, restarted. Changes take the domain's lock; events follow the fact."""

import asyncio
import logging
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

from insula.engine.exitstatus import ExitStatus
from insula.errors import DomainNotFoundError, OperationFailedError, OperationInvalidError, StepError
from insula.kernel.process import has_ended
from insula.model.domain import DomainDefinition
from insula.model.domainstates import DomainState, Happening
from insula.service.domains import Domains
from insula.service.endings import happening_of, how_it_ended, what_follows
from insula.service.jobs import OperationKind
from insula.service.live import defined
from insula.service.managed import ManagedDomain, Run, Stopped
from insula.service.runrecord import REBOOTS, Next, RunRecord, StopReason
from insula.service.runs import Runs
from insula.service.startoptions import Launch
from insula.service.tasks import tell_failure

LOGGER = logging.getLogger(__name__)

QUICK = 10.0
"""Seconds: a guest that ends sooner, unasked, is restarted with growing delay from the second time on."""
QUICK_REBOOT = 1.0
REBOOTS_FREE = 20
"""A reboot of the guest's own is one that somebody in it wanted: only so many in a row, by guests that lived shorter
than that, in seconds, are taken for a guest that cannot boot."""
DELAY_FIRST, DELAY_MAX = 1.0, 60.0
"""Seconds until such a guest is started again: at first, doubled each time, and at most."""
END_PATIENCE = 10.0
"""Seconds the daemon's end waits for what is under way."""


class LifecycleVerbs:
    """Starts and ends domains, and reacts to guests that end by themselves."""

    def __init__(self, *, registry: Domains, runs: Runs) -> None:
        self._registry = registry
        self._runs = runs
        self._closing = False
        self._held_back: list[tuple[UUID, ExitStatus]] | None = None

    async def start(self, managed: ManagedDomain, launch: Launch) -> ManagedDomain:
        """Start a domain that is defined, or was kept after its end; return it.

        Raises: OperationInvalidError if it runs, UnsupportedConfigError, StepError.
        """

        async def work() -> None:
            if managed.is_active:
                raise OperationInvalidError("domain is already running")
            self._drop_restart(managed)
            await self._runs.begin(managed, managed.config or managed.current, launch)

        await managed.lock.perform("start", work)
        return managed

    async def note_failed_start(self, managed: ManagedDomain, error: Exception) -> None:
        """Let a domain that does not run show why it was not even tried to start it."""

        async def work() -> None:
            if not managed.is_active and managed.ended_record is None:
                managed.past = self._runs.past.failed(managed.uuid, error)
                managed.end(Happening.START_FAILED)

        await managed.lock.perform("start", work)

    async def create(self, domain: DomainDefinition, launch: Launch) -> ManagedDomain:
        """Start domain, which is transient unless it is defined already; return it.

        Raises: DomainExistsError; OperationInvalidError if it runs.
        """
        known = self._registry.admit(domain.name, domain.uuid)
        managed = known or self._registry.new(domain)

        async def work() -> None:
            if managed.is_active:
                raise OperationInvalidError(f"domain '{domain.name}' is already active")
            self._drop_restart(managed)
            try:
                await self._runs.begin(managed, domain, launch)
            except Exception:
                if self._is_over(managed):
                    await self._runs.release(managed.uuid)
                    self._registry.remove(managed)
                raise

        try:
            await managed.lock.perform("create", work)
        except DomainNotFoundError:
            # It ended or was undefined while we waited for our turn: then this is a new domain.
            return await self.create(domain, launch)
        return managed

    async def destroy(self, managed: ManagedDomain, *, run: Run | None = None) -> None:
        """Kill the guest at once. One that waits for its restart, or was kept after its end, is off for good.

        run: the one that is meant, None for any. Raises: OperationInvalidError if it is over.
        """

        async def work() -> None:
            managed.refuse_unless(run)
            await self.destroy_locked(managed)

        managed.refuse_unless(run)  # a guest that is not meant is not even disturbed
        await managed.lock.perform("destroy", work, change=OperationKind.ENDING, overtaking=True)

    async def destroy_locked(self, managed: ManagedDomain) -> None:
        """The same, for who holds the domain's lock."""
        if managed.ended_record is not None:
            self._drop_restart(managed)
            await self._runs.discard_kept(managed)
            await self._gone_if_over(managed)
            self._stopped(managed, StopReason.DESTROYED, None)
        else:
            record = await self._runs.kill(managed, StopReason.DESTROYED)
            self._stopped(managed, StopReason.DESTROYED, record.status)

    async def reset(self, managed: ManagedDomain, *, run: Run | None = None) -> None:
        """Kill the guest at once and start it again, as the reset button does: to clients it is the same domain, which
        rebooted. One that is paused begins paused. What a reboot of the guest's own would do does not matter.

        run: as for `destroy`.
        Raises: OperationInvalidError if it does not run; OperationFailedError if it cannot be started again: it is off.
        """

        async def work() -> None:
            managed.refuse_unless(run)
            await self.reset_locked(managed)

        managed.refuse_unless(run)
        await managed.lock.perform("reset", work, change=OperationKind.ENDING, overtaking=True)

    async def reset_locked(self, managed: ManagedDomain) -> None:
        """The same, for who holds the domain's lock."""
        if managed.will_restart:
            raise OperationInvalidError("domain is not running: it waits for its restart, which `start` makes at once")
        record = await self._runs.kill(managed, StopReason.RESET, Next.RESTART)
        await self.follow(managed, record)
        if not managed.is_active:
            failure = managed.past.failure
            raise OperationFailedError(
                f"domain '{managed.name}' is off: it was killed, and cannot be started again"
                + ("" if failure is None else f": {failure.text}")
            )

    async def crash_locked(self, managed: ManagedDomain) -> None:
        """Kill the guest, and let that count as its crash, which nothing follows; for who holds the domain's lock."""
        record = await self._runs.kill(managed, StopReason.CRASHED)
        self._stopped(managed, StopReason.CRASHED, record.status)

    async def suspend(self, managed: ManagedDomain) -> bool:
        """Let the guest stand still; nothing happens if it does already. Return whether it did not."""
        return await self.quiesce(managed, 0) is not None

    async def quiesce(self, managed: ManagedDomain, count: int) -> Run | None:
        """Let the guest stand still, for so many file systems of its to be written out; return its run, None if it
        stands still already."""

        async def work() -> Run | None:
            run = managed.require_run()
            if managed.state.state is DomainState.PAUSED:
                return None
            await managed.lock.unless_overtaken(self._runs.suspend(run))
            if count:
                self._runs.journal.write_record(managed, replace(run.record, quiesced=count))
            managed.happen(Happening.SUSPENDED)
            return run

        return await managed.lock.perform("suspend", work, change=OperationKind.SUSPENSION)

    async def unquiesce(self, managed: ManagedDomain, run: Run) -> int:
        """Let a run go on that stands still for its file systems; return how many were written out for that.

        0 if it does not: it may have been resumed, and paused by somebody else, since.
        """

        async def work() -> int:
            count = run.record.quiesced
            if managed.run is not run or not count or managed.state.state is not DomainState.PAUSED:
                return 0
            await managed.lock.unless_overtaken(self._runs.resume(run))
            self._goes_on(managed, run)
            return count

        return await managed.lock.perform("resume", work, change=OperationKind.SUSPENSION)

    async def resume(self, managed: ManagedDomain) -> None:
        """Let the guest go on. Raises: OperationInvalidError if it does already; StepError if it cannot even begin."""

        async def work() -> None:
            run = managed.require_run()
            if managed.state.state is not DomainState.PAUSED:
                raise OperationInvalidError("domain is already running")
            held = run.container.awaiting_exec
            try:
                await managed.lock.unless_overtaken(self._runs.resume(run))
            except StepError as error:
                if held:
                    # It was never executed, and there is nothing to go on.
                    await self._runs.end(managed, StopReason.FAILED, ExitStatus(status=None), Next.OFF)
                    managed.past = self._runs.past.failed(managed.uuid, error)
                    self._stopped(managed, StopReason.FAILED, None)
                raise
            self._goes_on(managed, run)

        await managed.lock.perform("resume", work, change=OperationKind.SUSPENSION)

    def _goes_on(self, managed: ManagedDomain, run: Run) -> None:
        self._runs.journal.write_record(managed, replace(run.record, resumed=True, quiesced=0, held=False))
        managed.happen(Happening.RESUMED)

    async def wait(self, managed: ManagedDomain) -> Stopped:
        """Return how the domain went off, once it has, or how it last did; restarts are waited through.

        Raises: OperationInvalidError if it never ran.
        """
        if managed.over is None:
            managed.require_run()
        assert managed.over is not None
        return await asyncio.shield(managed.over)

    async def connection_closed(self, owner: object) -> None:
        """Destroy what was started to live no longer than this connection, also what is being started."""
        for managed in self._registry:
            if managed.owner is owner:
                try:
                    await self.destroy(managed)
                except (OperationInvalidError, DomainNotFoundError):
                    LOGGER.debug("domain '%s' had ended before its connection", managed.name)
                except Exception as error:  # whatever it was, the others are to end
                    LOGGER.warning("domain '%s' should have ended with its connection: %s", managed.name, error)

    @contextmanager
    def ends_held_back(self) -> Iterator[None]:
        """React to no end before the block is left: of a guest that is not taken over yet it would be nobody's."""
        held_back: list[tuple[UUID, ExitStatus]] = []
        self._held_back = held_back
        try:
            yield
        finally:
            self._held_back = None
            for uuid, status in held_back:
                self.guest_ended(uuid, status)

    def guest_ended(self, uuid: UUID, status: ExitStatus) -> None:
        """React to the end of a guest's init, which the keeper tells. Returns at once."""
        if self._held_back is not None:
            self._held_back.append((uuid, status))
            return
        try:
            managed = self._registry.by_uuid(uuid)
        except DomainNotFoundError:
            return

        was_off = not managed.is_active
        if managed.run is not None:
            managed.run.note_oom_kills()

        async def work() -> None:
            if managed.run is None:
                if was_off and not managed.gone:
                    await self._runs.disown(uuid)
            # The word may be about a run that was ended by us meanwhile, while the next one is alive.
            elif not managed.run.is_ours or has_ended(managed.run.container.pidfd):
                await self.ended(managed, status)

        self.spawn(
            managed.lock.perform_surely("react to the guest's end", work, change=OperationKind.ENDING),
            f"end {managed.name}",
        )

    async def close(self, patience: float = END_PATIENCE) -> None:
        """Give up restarts that are due later, let what is under way end, and let go of the guests: they stay.

        patience: seconds; what is still under way then is for the next daemon.
        """
        self._closing = True
        for managed in self._registry:
            self._drop_restart(managed)
        await self._registry.tasks.ended(patience)
        self._held_back = []  # who ends from now on has ended for the next daemon, whom the keeper tells too
        for managed in self._registry:
            if managed.run is not None and managed.lock.holder is None:
                await self._runs.let_go(managed.run)

    async def ended(self, managed: ManagedDomain, status: ExitStatus) -> None:
        """Bring a run to its end whose guest is gone, and do what the domain's on_… wants. Callers hold the lock."""
        reason = how_it_ended(status, managed.require_run().record.asked)
        then = what_follows(managed.current, reason)
        LOGGER.info("domain '%s' ended (%s): %s, then %s", managed.name, status, reason, then)
        record = await self._runs.end(managed, reason, status, then)
        if then is Next.RESTART:
            await self.follow(managed, record)
        else:
            self._stopped(managed, reason, status.status, then)

    async def follow(self, managed: ManagedDomain, record: RunRecord, *, shown_off: bool = False) -> None:
        """Start a domain again whose run, of which record is kept, is over. Callers hold the lock.

        At once, but after several runs that were too short, later; what a client asked for is always at once.
        shown_off: this daemon has not shown it as running. Where nobody can have seen it off, a guest's reboot or reset
        is told as one; else it stopped, and started.
        """
        reboot = record.reason in REBOOTS
        free, quick = (REBOOTS_FREE, QUICK_REBOOT) if reboot else (1, QUICK)
        if record.due:  # an earlier daemon has decided
            restarts, at_once = record.restarts, False
        else:
            too_short = record.asked not in REBOOTS and record.age < quick
            restarts = record.restarts + 1 if too_short else 0
            at_once = restarts <= free
        rebooted = reboot and at_once and not shown_off
        if managed.state.state is DomainState.PAUSED and not record.held:
            # It ended right before it was to stand still. Nobody is told of its end, and the next run goes on.
            managed.happen(Happening.RESUMED)
        happening = happening_of(record.reason or StopReason.UNKNOWN)
        if rebooted:
            happening = Happening.REBOOTING_PAUSED if record.held else Happening.REBOOTING
        managed.end(happening, restarts=True)
        if at_once:
            await self._again(managed, record, restarts, rebooted=rebooted)
            return
        if not record.due:
            delay = min(DELAY_FIRST * 2.0 ** (restarts - free - 1), DELAY_MAX)
            record = replace(record, restarts=restarts, due=time.time() + delay)
            self._runs.journal.keep_ended(managed, record)
        elif record.due - time.time() > DELAY_MAX:  # the host's clock was set back since that was decided
            record = replace(record, due=time.time() + DELAY_MAX)
            self._runs.journal.keep_ended(managed, record)
        if self._closing:
            return
        delay = max(0.0, record.due - time.time())
        LOGGER.warning("domain '%s' ended %d times too soon, next try in %.0f s", managed.name, restarts, delay)

        async def later() -> None:
            await asyncio.sleep(delay)
            managed.restart = None
            await managed.lock.perform_surely("restart", work)

        async def work() -> None:
            # Another record of the same run is there if its storage was noted to stay, or not to, meanwhile.
            ended = managed.ended_record
            if ended is not None and ended.begun == record.begun:
                await self._again(managed, ended, restarts)

        managed.restart = self.spawn(later(), f"restart {managed.name}")

    async def repeat(self, managed: ManagedDomain) -> None:
        """Make a restart again that was cut short, of which a record is kept. Callers hold the lock."""
        assert managed.ended_record is not None
        await self._again(managed, managed.ended_record, managed.ended_record.restarts)

    async def _again(self, managed: ManagedDomain, record: RunRecord, restarts: int, *, rebooted: bool = False) -> None:
        try:
            launch = Launch(paused=record.held, owner=managed.owner, restarts=restarts, rebooted=rebooted)
            await self._runs.begin(managed, defined(managed.current), launch)
        except Exception as error:  # whatever it was, it is off, and whoever waits for it is told
            LOGGER.error("domain '%s' cannot be started again: %s", managed.name, error)
            await self._gone_if_over(managed)
            self._stopped(managed, StopReason.FAILED, record.status)

    def _stopped(self, managed: ManagedDomain, reason: StopReason, status: int | None, then: Next = Next.OFF) -> None:
        """Let the domain be off, and tell that; a transient one is no more."""
        managed.owner = None
        if not managed.is_persistent and managed.ended_record is None:
            self._registry.remove(managed)
        managed.end(happening_of(reason, then))
        end = managed.past.end
        memory = end is not None and end.out_of_memory and end.reason is reason
        managed.tell_stopped(Stopped(reason=reason, status=status, out_of_memory=memory))

    async def _gone_if_over(self, managed: ManagedDomain) -> None:
        """Let others have the ids of a domain that is no more, as long as its name and UUID are taken."""
        if self._is_over(managed):
            await self._runs.release(managed.uuid)

    def _is_over(self, managed: ManagedDomain) -> bool:
        """Whether nothing is left to speak of: a transient domain that is off for good."""
        return not managed.is_persistent and not managed.is_active and managed.ended_record is None

    def _drop_restart(self, managed: ManagedDomain) -> None:
        if managed.restart is not None:
            managed.restart.cancel()
            managed.restart = None

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Do something that nobody waits for; close() does. What it raises goes to the log."""
        task = self._registry.tasks.begin(work, name)
        task.add_done_callback(tell_failure)
        return task
