"""A small epoll loop: fds with handlers, and moments at which something is due."""

import heapq
import itertools
import select
import time
import traceback
from collections.abc import Callable

Handler = Callable[[int], None]
"""Called with the events of its fd."""

READABLE = select.EPOLLIN
WRITABLE = select.EPOLLOUT
HUNG_UP = select.EPOLLHUP
NEWLY_READABLE = select.EPOLLIN | select.EPOLLET


class EventLoop:
    """Handlers by fd. One handler runs at a time, and may watch and unwatch whatever it wants."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._pending: set[int] = set()
        self._numbers = itertools.count()

    def watch(self, fd: int, events: int, handler: Handler) -> None:
        self._handlers[fd] = handler
        self._epoll.register(fd, events)

    def rewatch(self, fd: int, events: int) -> None:
        """Wait for other events; what is there already counts anew for an edge-triggered one."""
        self._epoll.modify(fd, events)

    def unwatch(self, fd: int) -> None:
        """Stop watching, before the fd is closed; one that is not watched is fine."""
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def watches(self, fd: int) -> bool:
        return fd in self._handlers

    def is_watched_by(self, fd: int, handler: Handler) -> bool:
        """Whether it is this very handler that is called; an fd's number may be another file's after it was closed."""
        return self._handlers.get(fd) is handler

    def after(self, seconds: float, action: Callable[[], None]) -> int:
        """Do something later; return a number to cancel it by."""
        number = next(self._numbers)
        heapq.heappush(self._due, (time.monotonic() + seconds, number, action))
        self._pending.add(number)
        return number

    def cancel(self, number: int) -> None:
        """Do it not; what has been done already, or was cancelled, is fine."""
        self._pending.discard(number)

    def turn(self) -> None:
        """Wait for something to happen, and handle all that has."""
        for fd, events in self._epoll.poll(self._patience()):
            # An earlier handler of this turn may have closed it.
            handler = self._handlers.get(fd)
            if handler is not None:
                self._handle(fd, handler, events)
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            _, number, action = heapq.heappop(self._due)
            if number in self._pending:
                self._pending.discard(number)
                try:
                    action()
                except Exception:
                    traceback.print_exc()  # as with a handler

    def _handle(self, fd: int, handler: Handler, events: int) -> None:
        try:
            handler(events)
        except Exception:
            # A mistake of ours about one fd must not be the end of all others: it is told, and the fd left alone.
            traceback.print_exc()
            self.unwatch(fd)

    def close(self) -> None:
        """Watch nothing any more."""
        self._epoll.close()
        self._handlers.clear()

    def _patience(self) -> float | None:
        while self._due and self._due[0][1] not in self._pending:
            heapq.heappop(self._due)
        return max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
