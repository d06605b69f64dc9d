"""One change of a domain at a time: libvirt's state change lock, and work that outlives a caller who went away."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from insula.errors import OperationAbortedError, OperationTimeoutError

LOGGER = logging.getLogger(__name__)

LOCK_PATIENCE = 30.0
"""Seconds a verb waits for another one on the same domain; libvirt's LXC driver waits as long."""

T = TypeVar("T")


class Jobs:
    """What is being done to domains; the daemon's end waits for it."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def begin(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Do work in a task of its own."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def ended(self, patience: float) -> None:
        """Return once nothing is done any more; what takes longer than patience (seconds) is given up, and named."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience
        while self._tasks and (left := deadline - loop.time()) > 0:
            await asyncio.wait(self._tasks, timeout=left)
        if self._tasks:
            names = ", ".join(sorted(task.get_name() for task in self._tasks))
            LOGGER.error("not finished within %g s, and left to the next insulad: %s", patience, names)
        for task in self._tasks:
            task.cancel()


class StateChangeLock:
    """Lets one verb at a time change a domain. Reads take no part in it and never wait.

    A verb that has begun runs to its end even if its caller is cancelled (a client that hung up), so that no domain is
    left half way; what it raises then goes to the log.

    Where a verb waits for something that the guest can hold up, it does so in `unless_overtaken`: a verb that ends the
    guest does not sit that out. It makes all who hold or await the lock, up to its own turn, give up at that point.
    """

    def __init__(self, domain: str, *, patience: float = LOCK_PATIENCE, jobs: Jobs | None = None) -> None:
        self._domain = domain
        self._jobs = jobs or Jobs()
        self._patience = patience
        self._lock = asyncio.Lock()
        self._holder = ""
        self._since = 0.0
        self._overtaking = ""
        self._overtakers = 0
        self._wait: asyncio.Task[Any] | None = None
        """What the holder waits for, and may be overtaken in."""

    @property
    def holder(self) -> str | None:
        """The verb that is changing the domain now, None when nobody is."""
        return self._holder or None

    @property
    def held_for(self) -> float:
        """Seconds since the present holder began; 0 when nobody holds it."""
        return asyncio.get_running_loop().time() - self._since if self._holder else 0.0

    async def perform(
        self,
        verb: str,
        work: Callable[[], Coroutine[Any, Any, T]],
        *,
        endlessly: bool = False,
        overtaking: bool = False,
    ) -> T:
        """Return what work() returns, performed once no other verb changes the domain.

        endlessly: wait however long another verb takes, for what must happen. overtaking: it ends the guest, so no verb
        before it waits for that any longer.
        Raises: OperationTimeoutError if another verb holds the domain for longer than the patience.
        """
        patience = None if endlessly else self._patience
        steps = self._overtake(verb, work, patience) if overtaking else self._perform(verb, work, patience)
        return await outlived(self._jobs.begin(steps, f"{verb} {self._domain}"))

    async def unless_overtaken(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what work returns; for the lock's holder, where it waits for what the guest can hold up.

        Raises: OperationAbortedError when a verb that ends the guest comes; work is cancelled then.
        """
        if self._overtakers:
            work.close()
            raise self._overtaken()
        wait = asyncio.get_running_loop().create_task(work, name=f"{self._holder} {self._domain}: wait")
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
        return OperationAbortedError(f"given up, because {self._overtaking} of domain '{self._domain}' came meanwhile")

    async def _overtake(self, verb: str, work: Callable[[], Awaitable[T]], patience: float | None) -> T:
        self._overtaking = verb
        self._overtakers += 1
        if self._wait is not None:
            self._wait.cancel()
        try:
            await self._acquire(patience)
        finally:
            self._overtakers -= 1
        return await self._hold(verb, work)

    async def _perform(self, verb: str, work: Callable[[], Awaitable[T]], patience: float | None) -> T:
        await self._acquire(patience)
        return await self._hold(verb, work)

    async def _hold(self, verb: str, work: Callable[[], Awaitable[T]]) -> T:
        self._holder, self._since = verb, asyncio.get_running_loop().time()
        try:
            return await work()
        finally:
            self._holder = ""
            self._lock.release()

    async def _acquire(self, patience: float | None) -> None:
        try:
            async with asyncio.timeout(patience):
                await self._lock.acquire()
        except TimeoutError as error:
            raise OperationTimeoutError(
                "cannot acquire state change lock "
                f"(held by {self._holder} of domain '{self._domain}' for {self.held_for:.0f} s)"
            ) from error


async def outlived(task: asyncio.Task[T]) -> T:
    """Return what the task returns. It goes on if the caller is cancelled; what it raises then goes to the log."""
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.done():
            task.add_done_callback(_log_orphan)
        raise


def tell_failure(task: asyncio.Task[Any]) -> None:
    """Name in the log what a task raised that nobody waits for; a done callback."""
    if not task.cancelled() and (error := task.exception()) is not None:
        LOGGER.error("%s failed", task.get_name(), exc_info=error)


def _log_orphan(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        LOGGER.error("%s failed after its caller had gone: %s", task.get_name(), error)
