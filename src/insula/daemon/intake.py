"""What a client sent, handled a few milliseconds at a time: one read may hold hundreds of calls, and others wait."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from insula.rpc.events import Event

SLICE = 0.005
"""Seconds of one client's calls after which the others get their turn."""


class Intake:
    """Events in the order they came.

    handle: takes one; ready: whether the next may be taken now, else `work` is to be called once it may; worked: called
    after each slice.
    """

    def __init__(
        self, handle: Callable[[Event], None], *, ready: Callable[[], bool], worked: Callable[[], None]
    ) -> None:
        self._handle = handle
        self._ready = ready
        self._worked = worked
        self._events: deque[Event] = deque()
        self._loop = asyncio.get_running_loop()
        self._next: asyncio.Handle | None = None

    @property
    def waiting(self) -> bool:
        """Whether events are left: then no more should be read."""
        return bool(self._events)

    def add(self, events: Iterable[Event]) -> None:
        """Take events, and handle what may be handled now."""
        self._events.extend(events)
        if self._next is None:
            self._work()

    def work(self) -> None:
        """Go on, in the loop's next round, if something waits."""
        if self._events and self._next is None:
            self._next = self._loop.call_soon(self._go_on)

    def clear(self) -> Iterator[Event]:
        """Handle nothing any more; yield what was left."""
        if self._next is not None:
            self._next.cancel()
        while self._events:
            yield self._events.popleft()

    def _go_on(self) -> None:
        self._next = None
        self._work()

    def _work(self) -> None:
        end = time.monotonic() + SLICE
        while self._events and self._ready():
            self._handle(self._events.popleft())
            if time.monotonic() > end:
                self.work()
                break
        self._worked()
