"""Whose turn it is among one client's calls: some at once, the others parked; urgent ones never behind usual ones."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Any

from insula.daemon.incomingcall import IncomingCall, Work


class Lane(Enum):
    """Which of a client's calls hold each other up. The value: how many of them run at once, None as configured."""

    USUAL = None
    URGENT = 20
    """High priority."""
    WAITING = 1000
    """They only wait for something to happen, and cost nothing meanwhile."""
    BULK = 1
    """Their answers may be as large as packets can be, and are in memory several times over while they are made."""


Perform = Callable[[IncomingCall, Work], Coroutine[Any, Any, None]]


@dataclass(kw_only=True, slots=True)
class _Queue:
    limit: int
    running: int = 0
    parked: deque[tuple[IncomingCall, Work]] = field(default_factory=deque)


class CallQueue:
    """Runs calls as tasks.

    usual: how many usual calls at once; perform: awaits the work and answers the request; freed: called when a call is
    over, and what it left room for has begun.
    """

    def __init__(self, *, usual: int, perform: Perform, freed: Callable[[], None]) -> None:
        self._perform = perform
        self._freed = freed
        self._queues = {lane: _Queue(limit=lane.value or usual) for lane in Lane}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._parked = 0
        """How many calls wait for room, in all lanes."""

    @property
    def full(self) -> bool:
        """Whether calls are parked: then no more should be read."""
        return self._parked > 0

    def take(self, lane: Lane, request: IncomingCall, work: Work) -> None:
        """Perform the work now, or when its lane has room."""
        queue = self._queues[lane]
        if queue.running < queue.limit:
            self._start(queue, request, work)
        else:
            queue.parked.append((request, work))
            self._parked += 1

    def close(self) -> None:
        """Give up what runs and what is parked."""
        self._closed = True
        for queue in self._queues.values():
            for request, work in queue.parked:
                work.close()
                request.dispose()
            queue.parked.clear()
        self._parked = 0
        for task in self._tasks:
            task.cancel()

    async def ended(self) -> None:
        """Return once nothing runs any more; for after close()."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, queue: _Queue, request: IncomingCall, work: Work) -> None:
        queue.running += 1
        name = f"{request.client} {request.call.procedure.name}"
        task = asyncio.create_task(self._perform(request, work), name=name)
        self._tasks.add(task)
        task.add_done_callback(partial(self._over, queue, request, work))

    def _over(self, queue: _Queue, request: IncomingCall, work: Work, task: asyncio.Task[None]) -> None:
        """A call is over; it may have been given up before it began."""
        self._tasks.discard(task)
        work.close()
        request.dispose()
        queue.running -= 1
        if queue.parked and not self._closed:
            self._parked -= 1
            self._start(queue, *queue.parked.popleft())
        self._freed()
