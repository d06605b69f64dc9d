"""A few threads for work on disks that may never answer: a task waits for the work, the process never does.

`asyncio.to_thread` shares its threads with everything else, and the process waits for them at its end: a file on a
server that does not answer would take both.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
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
        self._ready = threading.Condition()
        self._begun = 0
        self._idle = 0
        self._queue: deque[_Work] = deque()

    async def perform(self, work: Callable[[], T]) -> T:
        """Return work(), done in one of the threads once one is free; what it raises is raised."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        with self._ready:
            self._queue.append((loop, done, work))
            self._ready.notify()
            begin = self._idle < len(self._queue) and self._begun < self._limit
            self._begun += begin
        if begin:
            threading.Thread(target=self._serve, name=self._name, daemon=True).start()
        return await done

    def _next(self) -> _Work | None:
        """Return what is to be done next, None after an idle time: the thread ends then.

        Work is taken and the thread no longer idle in one go: whoever brings more meanwhile would count on it, and wait
        as long as this work takes.
        """
        with self._ready:
            self._idle += 1
            self._ready.wait_for(lambda: self._queue, timeout=_IDLE)
            self._idle -= 1
            if self._queue:
                return self._queue.popleft()
            self._begun -= 1
            return None

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
