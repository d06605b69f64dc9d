"""One change of a domain at a time: libvirt's state change lock, and work that outlives a caller who went away."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from insula.errors import OperationTimeoutError

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
    """

    def __init__(self, domain: str, *, patience: float = LOCK_PATIENCE, jobs: Jobs | None = None) -> None:
        self._domain = domain
        self._jobs = jobs or Jobs()
        self._patience = patience
        self._lock = asyncio.Lock()
        self._holder = ""
        self._since = 0.0

    @property
    def holder(self) -> str | None:
        """The verb that is changing the domain now, None when nobody is."""
        return self._holder or None

    @property
    def held_for(self) -> float:
        """Seconds since the present holder began; 0 when nobody holds it."""
        return asyncio.get_running_loop().time() - self._since if self._holder else 0.0

    async def perform(self, verb: str, work: Callable[[], Coroutine[Any, Any, T]], *, endlessly: bool = False) -> T:
        """Return what work() returns, performed once no other verb changes the domain.

        endlessly: wait however long another verb takes, for what must happen.
        Raises: OperationTimeoutError if another verb holds the domain for longer than the patience.
        """
        patience = None if endlessly else self._patience
        return await outlived(self._jobs.begin(self._perform(verb, work, patience), f"{verb} {self._domain}"))

    async def _perform(self, verb: str, work: Callable[[], Awaitable[T]], patience: float | None) -> T:
        await self._acquire(patience)
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
