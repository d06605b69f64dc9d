"""What is typed at a console, on its way to the guest: bounded, in order, and never in the way of what it prints."""

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import suppress

INPUT_BOUND = 64 * 1024
"""Bytes typed and not yet read by the guest at which a writer waits."""

_logger = logging.getLogger(__name__)


class ConsoleInput:
    """Writes to a terminal's master, which is non-blocking.

    patience: seconds without any progress after which typed bytes are dropped; more: called when there is room again
    for who asked with `has_room`.
    """

    def __init__(self, master: int, *, name: str, patience: float, more: Callable[[], None]) -> None:
        self._master = master
        self._name = name
        self._patience = patience
        self._more = more
        self._waiting = bytearray()
        self._room = asyncio.Event()
        self._room.set()
        self._written = 0
        self._closed = False

    @property
    def has_room(self) -> bool:
        return self._room.is_set()

    def offer(self, data: bytes) -> None:
        """Type data without waiting; the caller looks at `has_room` first."""
        self._waiting += data
        self.flush()

    async def type(self, data: bytes) -> None:
        """Type data; return when it is on its way, having waited for a guest that does not read, but not for ever."""
        self.offer(data)
        while not self.has_room:
            before = self._written
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience):
                    await self._room.wait()
            if not self.has_room and self._written == before:
                _logger.info("the guest does not read the %s; %d typed bytes are dropped", self._name, self.waiting)
                self._waiting.clear()
                self.flush()

    @property
    def waiting(self) -> int:
        """Bytes that the terminal did not take yet."""
        return len(self._waiting)

    def flush(self) -> None:
        """Write what the terminal takes now; to be called again when it takes more."""
        while self._waiting and not self._closed:
            try:
                count = os.write(self._master, bytes(self._waiting[:4096]))
            except BlockingIOError:
                break
            except OSError as error:
                _logger.debug("the %s takes no input: %s", self._name, error)
                self._waiting.clear()
                break
            self._written += count
            del self._waiting[:count]
        had_room = self.has_room
        if len(self._waiting) > INPUT_BOUND:
            self._room.clear()
        elif not had_room:
            self._room.set()
            self._more()

    def close(self) -> None:
        """Forget what is on its way, and let nobody wait; the master is the caller's."""
        self._closed = True
        self._waiting.clear()
        self._room.set()
