"""What a client sent, handled a few milliseconds at a time: one read may hold hundreds of calls, and others wait."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from insula.daemon.rounds import SLICE, Turn
from insula.rpc.arrivals import Arrival


class Intake:
    """Events in the order they came.

    turn: when to go on after a slice; handle: takes one; ready: whether the next may be taken now, else `work` is to be
    called once it may; worked: called after each slice.
    """

    def __init__(
        self, turn: Turn, handle: Callable[[Arrival], None], *, ready: Callable[[], bool], worked: Callable[[], None]
    ) -> None:
        self._turn = turn
        self._handle = handle
        self._ready = ready
        self._worked = worked
        self._events: deque[Arrival] = deque()
        self._ahead = False

    @property
    def waiting(self) -> bool:
        """Whether events are left: then no more should be read."""
        return bool(self._events)

    def add(self, events: Iterable[Arrival]) -> None:
        """Take events, and handle what may be handled now."""
        self._events.extend(events)
        if not self._ahead:
            self._work()

    def work(self) -> None:
        """Go on, when it is the client's turn, if something waits."""
        if self._events and not self._ahead:
            self._ahead = True
            self._turn.take(self._go_on)

    def clear(self) -> Iterator[Arrival]:
        """Handle nothing any more; yield what was left."""
        while self._events:
            yield self._events.popleft()

    def _go_on(self) -> None:
        self._ahead = False
        self._work()

    def _work(self) -> None:
        end = time.monotonic() + SLICE
        while self._events and self._ready():
            self._handle(self._events.popleft())
            if time.monotonic() > end:
                self.work()
                break
        self._worked()
