"""Waiting for terminals by edges, on an event loop that only knows levels.

epoll reports a master whose other end nobody has open as hung up, all the time: asyncio's own readers would spin.
Edge-triggered, it is reported once for each change. One epoll instance holds all terminals, and the loop reads that.
"""

import asyncio
import logging
import select
from collections.abc import Callable

_EVENTS = select.EPOLLIN | select.EPOLLOUT | select.EPOLLET
_READY_AT_A_TIME = 64
"""Terminals served before other work of the loop gets its turn."""

_logger = logging.getLogger(__name__)


class TerminalWatch:
    """The terminals of one event loop. Its epoll instance lives as long as something is watched."""

    def __init__(self) -> None:
        self._epoll: select.epoll | None = None
        self._ready: dict[int, Callable[[], None]] = {}

    def add(self, master: int, ready: Callable[[], None]) -> None:
        """Call ready at each change: bytes came, room to write came, the other end was closed.

        It reads and writes until the terminal blocks; when it stops before that, it calls `again` for the rest.
        """
        if self._epoll is None:
            self._epoll = select.epoll()
            asyncio.get_running_loop().add_reader(self._epoll, self._turn)
        self._epoll.register(master, _EVENTS)
        self._ready[master] = ready

    def again(self, master: int) -> None:
        """Call ready once more in the loop's next turns, if there is something to read or room to write."""
        if self._epoll is not None and master in self._ready:
            self._epoll.modify(master, _EVENTS)

    def remove(self, master: int) -> None:
        """Watch it no more; to be called before it is closed. One that is not watched is fine."""
        if self._epoll is None or self._ready.pop(master, None) is None:
            return
        self._epoll.unregister(master)
        if not self._ready:
            asyncio.get_running_loop().remove_reader(self._epoll)
            self._epoll.close()
            self._epoll = None

    def _turn(self) -> None:
        if self._epoll is None:
            return
        for master, _ in self._epoll.poll(0, _READY_AT_A_TIME):
            # An earlier one of this turn may have removed it.
            ready = self._ready.get(master)
            if ready is None:
                continue
            try:
                ready()
            except Exception:
                # An edge comes once: the other terminals of this turn must not miss theirs.
                _logger.exception("a terminal could not be served")
