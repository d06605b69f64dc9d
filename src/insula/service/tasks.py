"""Work that nobody's going away ends: tasks of the service, and what becomes of those that nobody waits for."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

LOGGER = logging.getLogger(__name__)

T = TypeVar("T")


class BackgroundTasks:
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
