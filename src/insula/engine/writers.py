"""A few threads for work on disks that may never answer: a task waits for the work, the process never does.

`asyncio.to_thread` shares its threads with everything else, and the process waits for them at its end: a file on a
server that does not answer would take both.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

_IDLE = 5.0
"""Seconds after which a thread without work ends."""

_Work = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[[], Any]]


class Writers:
    """At most limit threads, begun when they are needed. name: of the threads."""

    def __init__(self, name: str, limit: int) -> None:
        self._name = name
        self._limit = limit
        self._lock = threading.Lock()
        self._begun = 0
        self._free = 0
        self._queue: SimpleQueue[_Work] = SimpleQueue()

    async def perform(self, work: Callable[[], T]) -> T:
        """Return work(), done in one of the threads once one is free; what it raises is raised."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        with self._lock:
            self._queue.put((loop, done, work))
            begin = self._free < self._queue.qsize() and self._begun < self._limit
            self._begun += begin
        if begin:
            threading.Thread(target=self._serve, name=self._name, daemon=True).start()
        return await done

    def _next(self) -> _Work | None:
        """Return what is to be done next, None after an idle time: the thread ends then."""
        with self._lock:
            self._free += 1
        try:
            work = self._queue.get(timeout=_IDLE)
        except Empty:
            work = None
        with self._lock:
            self._free -= 1
            if work is None and not self._queue.empty():
                work = self._queue.get_nowait()
            self._begun -= work is None
        return work

    def _serve(self) -> None:
        while (next_work := self._next()) is not None:
            loop, done, work = next_work
            result, error = None, None
            try:
                result = work()
            except Exception as raised:
                error = raised
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(_settle, done, result, error)
            del next_work, done, work, result, error


def _settle(done: "asyncio.Future[Any]", result: object, error: Exception | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(result)
    else:
        done.set_exception(error)
