"""One change of a domain at a time: libvirt's state change lock, and the job that may have the domain meanwhile."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from insula.errors import OperationAbortedError, OperationTimeoutError
from insula.model.numbers import JobType
from insula.service.jobs import NOTHING, Job, OperationKind
from insula.service.tasks import BackgroundTasks, outlived

LOCK_PATIENCE = 30.0
"""Seconds a verb waits for another one on the same domain; libvirt's LXC driver waits as long."""

T = TypeVar("T")


def nobody() -> None:
    """Hurry nobody: nothing holds the domain up."""


class StateChangeLock:
    """Lets one verb at a time change a domain. Reads take no part in it and never wait.

    A verb that has begun runs to its end even if its caller is cancelled (a client that hung up), so that no domain is
    left half way; what it raises then goes to the log.

    A job (see jobs) has the domain for longer than the lock: while it goes on, only changes that it allows are let in,
    and others wait, in their patience, for its end. What ends the guest makes it give up and waits for nothing of it.

    Where a verb waits for something that the guest can hold up, it does so in `unless_overtaken`: a verb that ends the
    guest does not sit that out. It makes all who hold or await the lock, up to its own turn, give up at that point.

    name, noun: of what is changed, for messages; it may be another noun than a domain, which has no jobs and no guest.
    admit: called when the turn of what a caller asked for has come; raises where that is not to be done any more.
    """

    def __init__(
        self,
        name: str,
        *,
        noun: str = "domain",
        patience: float = LOCK_PATIENCE,
        tasks: BackgroundTasks | None = None,
        admit: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self._noun = noun
        self._admit = admit
        self.hurry: Callable[[], None] = nobody
        """Lets what holds the domain up for now come first."""
        self._tasks = tasks or BackgroundTasks()
        self._patience = patience
        self._lock = asyncio.Lock()
        self._waiting = 0
        self._holder = ""
        self._since = 0.0
        self._overtaking = ""
        self._overtakers = 0
        self._wait: asyncio.Task[Any] | None = None
        """What the holder waits for, and may be overtaken in."""
        self._job: Job | None = None
        self._job_over = asyncio.Event()
        self.last_job: Job | None = None
        """The job that ended last."""

    @property
    def job(self) -> Job | None:
        """The job that has the domain now."""
        return self._job

    @property
    def holder(self) -> str | None:
        """The verb that is changing the domain now, or its job; None when there is neither."""
        return self._holder or (self._job.verb if self._job is not None else None)

    @property
    def held_for(self) -> float:
        """Seconds since the present holder began; 0 when nobody holds it."""
        if self._holder:
            return asyncio.get_running_loop().time() - self._since
        return self._job.elapsed if self._job is not None else 0.0

    async def perform(
        self,
        verb: str,
        work: Callable[[], Coroutine[Any, Any, T]],
        *,
        change: OperationKind = OperationKind.LIFE,
        overtaking: bool = False,
    ) -> T:
        """Return what work() returns, performed once no other verb changes the domain; whatever holds it up hurries.

        change: what kind it is of, for the job that may have the domain. overtaking: it ends the guest, so no verb
        before it waits for that any longer.
        Raises: OperationTimeoutError if another verb holds the domain for longer than the patience; what `admit` does.
        """
        self.hurry()
        asked = partial(self._admitted, work)
        steps = self._overtake(verb, asked) if overtaking else self._perform(verb, asked, self._patience, change)
        return await outlived(self._tasks.begin(steps, f"{verb} {self.name}"))

    async def perform_surely(
        self, verb: str, work: Callable[[], Coroutine[Any, Any, T]], *, change: OperationKind = OperationKind.LIFE
    ) -> T:
        """Return what work() returns, which no caller asked for and which must happen, however long that waits."""
        steps = self._perform(verb, work, None, change)
        return await outlived(self._tasks.begin(steps, f"{verb} {self.name}"))

    async def perform_job(self, job: Job, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return what work() returns, which is a job: it has the domain, and takes the lock in `step` only.

        It goes on if the caller is cancelled. Aborted, work is cancelled; it may clean up, and nobody waits for that.
        Raises: OperationTimeoutError if another verb or job has the domain for longer than the patience;
        OperationAbortedError if the job was aborted; what `admit` does.
        """
        self.hurry()
        steps = self._perform_job(job, partial(self._admitted, work))
        return await outlived(self._tasks.begin(steps, f"{job.verb} {self.name}"))

    async def _admitted(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        self._admit()
        return await work()

    async def step(self, job: Job, work: Callable[[], Awaitable[T]]) -> T:
        """Return what work() returns: a part of the job during which nothing else changes the domain.

        Raises: OperationAbortedError for a job that has the domain no more; it cleans up without the lock.
        """
        await self._take()
        if self._job is not job:
            self._lock.release()
            raise OperationAbortedError(f"{job.verb} of {self._noun} '{self.name}' was given up")
        return await self._hold(job.verb, work)

    async def last_step(self, job: Job, work: Callable[[], Awaitable[T]]) -> T:
        """Return what work() returns: the step in which the job's outcome is made. Once begun, it is not given up any
        more, and the job counts as whatever comes of it.

        Raises: as `step`; asyncio.CancelledError if the job is given up before the step begins.
        """
        begun = False

        async def outcome() -> T:
            nonlocal begun
            begun = True
            return await work()

        task = self._tasks.begin(self.step(job, outcome), f"{job.verb} {self.name}: last step")
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not begun:
                task.cancel()
                raise
            await asyncio.wait({task})
            return task.result()

    async def _perform_job(self, job: Job, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        await self._acquire(self._patience, NOTHING)
        self._job, self._job_over = job, asyncio.Event()
        self._lock.release()
        task = asyncio.get_running_loop().create_task(work(), name=f"{job.verb} {self.name}: work")
        job.began, job.give_up = time.monotonic(), lambda: self._given_up(job, task)
        if job.aborted_by:
            job.give_up()
        try:
            result = await task
        except asyncio.CancelledError as error:
            if not job.aborted_by:
                task.cancel()
                job.end(JobType.CANCELLED, "given up")
                raise
            job.end(JobType.CANCELLED, f"given up, because of {job.aborted_by}")
            raise OperationAbortedError(
                f"{job.verb} of {self._noun} '{self.name}' was given up, because of {job.aborted_by}"
            ) from error
        except BaseException as error:
            job.end(JobType.FAILED, str(error))
            raise
        else:
            job.end(JobType.COMPLETED)
            return result
        finally:
            self.last_job = job
            self._leave(job)

    def _given_up(self, job: Job, task: asyncio.Task[Any]) -> None:
        """Take the domain from a job that is to give up: how long its cleaning up takes is nobody's business."""
        task.cancel()
        self._leave(job)

    def _leave(self, job: Job) -> None:
        if self._job is job:
            self._job = None
            self._job_over.set()

    async def unless_overtaken(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what work returns; for the lock's holder, where it waits for what the guest can hold up.

        Raises: OperationAbortedError when a verb that ends the guest comes; work is cancelled then.
        """
        if self._overtakers:
            work.close()
            raise self._overtaken()
        wait = asyncio.get_running_loop().create_task(work, name=f"{self._holder} {self.name}: wait")
        self._wait = wait
        try:
            return await wait
        except asyncio.CancelledError:
            if self._overtakers:
                raise self._overtaken() from None
            raise
        finally:
            self._wait = None

    def _overtaken(self) -> OperationAbortedError:
        return OperationAbortedError(
            f"given up, because {self._overtaking} of {self._noun} '{self.name}' came meanwhile"
        )

    async def _overtake(self, verb: str, work: Callable[[], Awaitable[T]]) -> T:
        self._overtaking = verb
        self._overtakers += 1
        if self._wait is not None:
            self._wait.cancel()
        if self._job is not None:
            self._job.abort(f"{verb} of the domain")
        try:
            await self._acquire(self._patience, OperationKind.ENDING)
        finally:
            self._overtakers -= 1
        return await self._hold(verb, work)

    async def _perform(
        self, verb: str, work: Callable[[], Awaitable[T]], patience: float | None, change: OperationKind
    ) -> T:
        await self._acquire(patience, change)
        return await self._hold(verb, work)

    async def _hold(self, verb: str, work: Callable[[], Awaitable[T]]) -> T:
        self._holder, self._since = verb, asyncio.get_running_loop().time()
        try:
            return await work()
        finally:
            self._holder = ""
            self._lock.release()

    async def _acquire(self, patience: float | None, change: OperationKind) -> None:
        """Take the lock once no job forbids what is to be done."""
        if self._is_free and self._lets_in(change):
            await self._lock.acquire()  # which waits for nothing, and needs no clock
            return
        try:
            async with asyncio.timeout(patience):
                await self._take()
                while not self._lets_in(change):
                    self._lock.release()
                    await self._job_over.wait()
                    await self._take()
        except TimeoutError as error:
            raise OperationTimeoutError(
                "cannot acquire state change lock "
                f"(held by {self.holder} of {self._noun} '{self.name}' for {self.held_for:.0f} s)"
            ) from error

    async def _take(self) -> None:
        """Take the lock, after all who wait for it."""
        self._waiting += 1
        try:
            await self._lock.acquire()
        finally:
            self._waiting -= 1

    @property
    def _is_free(self) -> bool:
        """Whether nobody has the lock, and nobody's turn has come who does not know yet."""
        return not self._waiting and not self._lock.locked()

    def _lets_in(self, change: OperationKind) -> bool:
        return self._job is None or self._job.allows(change)
