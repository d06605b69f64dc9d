"""Taking memory from guests that hold more than they are to have: jobs, as long as they take.

the record says what is being put ─► the balloon is blown up, beside other verbs ─► the limit, and the live definition
that says so ─► the balloon is let out ─► the record: nothing is being put

Given up, refused, or cut short by our death, the guest has all it had: we let the balloon out, or the next daemon
puts on the guest what its live definition says (`LiveLimits.settle_interrupted`).
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Event

from insula.engine.launch.balloon import Balloon
from insula.engine.launch.limits import only
from insula.engine.spec import Bytes
from insula.engine.threads import in_own_thread
from insula.errors import InsulaError, OperationFailedError
from insula.model.domain import DomainDefinition
from insula.model.numbers import Affect, JobOperation
from insula.model.sizes import KiB
from insula.service.domainlimits import limits_of
from insula.service.events import BalloonChange, Events, JobCompleted, LimitChangeFailed
from insula.service.impact import Changes
from insula.service.jobs import JobProgress, MemoryJob, OperationKind, job_parameters
from insula.service.managed import ManagedDomain, Run
from insula.service.runs import Runs

LOGGER = logging.getLogger(__name__)

ANSWER = 5.0
"""Seconds after which a caller is told that it was accepted, while it goes on."""
_TOLD_APART = 1.0
"""Seconds between two events of a changing balloon; a hypervisor's are as far apart."""

Changed = Callable[[DomainDefinition], DomainDefinition]


class MemoryJobs:
    """Takes memory from guests."""

    def __init__(self, *, changes: Changes, runs: Runs, events: Events) -> None:
        self._changes = changes
        self._runs = runs
        self._events = events

    async def take(self, managed: ManagedDomain, affect: Affect, changed: Changed) -> None:
        """Make a guest have no more than the definition that changed makes, and let that count then.

        Returns once that is so, or after `ANSWER` seconds, and the job goes on.
        Raises: whatever changed raises; ResourceBusyError, OperationFailedError if the guest cannot do with that;
        OperationAbortedError if the job was given up; OperationTimeoutError if the domain is busy otherwise.
        """
        run = managed.require_run()
        wanted = only(limits_of(changed(managed.current)), {"memory", "memory_soft"})
        job = MemoryJob(operation=JobOperation.UNKNOWN, verb="set memory", wanted=wanted)
        job.ended = lambda: self._events.publish(JobCompleted(domain=managed.ref, parameters=job_parameters(job)))
        taking = _Taking(managed=managed, run=run, job=job, affect=affect, changed=changed)
        try:
            async with asyncio.timeout(ANSWER):
                await managed.lock.perform_job(job, partial(self._work, taking))
        except TimeoutError:
            LOGGER.info("domain '%s' is giving memory back, which goes on", managed.name)

    async def give_up(self, managed: ManagedDomain, because: str) -> None:
        """Give up the job that takes memory from a guest, if there is one; return once the guest has what it had."""
        job = None if managed.run is None else managed.run.memory_job
        if job is not None:
            job.abort(because)
            await job.over.wait()

    async def _work(self, taking: "_Taking") -> None:
        job, managed, run = taking.job, taking.managed, taking.run
        await managed.lock.step(job, partial(self._begin, taking))
        balloon, limited = None, False
        try:
            assert job.wanted.memory is not None
            balloon = _balloon(taking, job.wanted.memory, partial(self._seen, taking, asyncio.get_running_loop()))
            await _inflated(balloon, taking.stop)
            await self._limit(taking)
            limited = True
        finally:
            # In a task of its own: this one may have been cancelled, and may be so again.
            end = managed.tasks.begin(self._end(taking, balloon, limited), f"end of set memory {managed.name}")
            await asyncio.shield(end)
            if managed.run is run and (limited or taking.told):
                self._events.publish(BalloonChange(domain=managed.ref, actual=managed.balloon))
            if managed.run is run and not limited:
                with suppress(InsulaError):  # another definition by now, which cannot have so much
                    wanted = taking.changed(managed.current).memory_now
                    self._events.publish(LimitChangeFailed(domain=managed.ref, resource="mem", wanted=wanted))

    async def _begin(self, taking: "_Taking") -> None:
        managed, run = taking.managed, taking.run
        if managed.run is not run:
            raise OperationFailedError("the guest has ended meanwhile")
        run.memory_job = taking.job
        try:
            self._runs.journal.change(managed, replace(run.record, limiting=run.limiting(run.record.limiting)))
        except OSError as error:
            run.memory_job = None
            raise OperationFailedError(
                f"the memory of domain '{managed.name}' stays: the next insulad would not know that it is being taken, "
                f"as its run directory cannot be written ({error.strerror})"
            ) from error

    async def _limit(self, taking: "_Taking") -> None:
        """Let the limit hold and count. Once begun, this is not given up any more."""
        managed = taking.managed

        async def work() -> None:
            if managed.run is not taking.run:
                raise OperationFailedError("the guest has ended meanwhile")
            effect = self._changes.limiting(lambda domain: only(limits_of(domain), {"memory"}))
            await self._changes.change(managed, taking.affect, taking.changed, apply=effect)

        await managed.lock.last_step(taking.job, work)

    async def _end(self, taking: "_Taking", balloon: Balloon | None, limited: bool) -> None:
        """Let the balloon out, and the record say that nothing is being put."""
        managed, run = taking.managed, taking.run
        try:
            if balloon is not None:
                await in_own_thread(partial(balloon.let_out, limited=limited))
        except OSError as error:
            if managed.run is run:
                LOGGER.error("domain '%s' may be short of memory: %s", managed.name, error)
                managed.notice(f"it may be short of memory, which it could not be given back: {error.strerror}")
        run.memory_job = None
        taking.job.over.set()

        async def work() -> None:
            if managed.run is run and not run.ending:
                self._runs.journal.record_container(managed, run.container)

        # In the lock: the record tells of the devices, too, that another verb may be attaching right now.
        await managed.lock.perform_surely("end of set memory", work, change=OperationKind.ENDING)

    def _seen(self, taking: "_Taking", loop: asyncio.AbstractEventLoop, used: int) -> None:
        """Note what the guest holds; called in the thread that the balloon is blown up in."""
        job, limit = taking.job, taking.job.wanted.memory or 0
        left = max(0, used - limit)
        total = max(job.progress.memory_total, left)
        job.progress = JobProgress(memory_total=total, memory_done=total - left)
        job.bound = KiB(max(used, limit) // 1024)
        now = time.monotonic()
        if now - taking.told_at >= _TOLD_APART:
            taking.told_at = now
            loop.call_soon_threadsafe(self._tell, taking)

    def _tell(self, taking: "_Taking") -> None:
        managed = taking.managed
        if managed.run is taking.run and not taking.job.over.is_set() and managed.balloon != managed.current.memory_now:
            taking.told = True
            self._events.publish(BalloonChange(domain=managed.ref, actual=managed.balloon))


@dataclass(kw_only=True, slots=True)
class _Taking:
    """What one job is about. stop: is set to give up; told: clients have heard of it; told_at: when they could last."""

    managed: ManagedDomain
    run: Run
    job: MemoryJob
    affect: Affect
    changed: Changed
    stop: Event = field(default_factory=Event)
    told: bool = False
    told_at: float = field(default_factory=time.monotonic)


def _balloon(taking: _Taking, memory: Bytes, seen: Callable[[int], None]) -> Balloon:
    try:
        return Balloon(taking.run.container.group, memory, rest=taking.stop.wait, tell=seen)
    except OSError as error:
        raise OperationFailedError(
            f"the memory of domain '{taking.managed.name}' cannot be looked at: {error.strerror}"
        ) from error


async def _inflated(balloon: Balloon, stop: Event) -> None:
    """Return once the guest holds no more than it is to have. Cancelled, it is once nobody takes from it any more."""
    work = asyncio.ensure_future(in_own_thread(balloon.inflate))
    try:
        await asyncio.shield(work)
    except asyncio.CancelledError:
        stop.set()
        try:
            await work
        except InsulaError:
            LOGGER.debug("memory was being taken, and that was given up")
        raise
