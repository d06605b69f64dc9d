"""One viewer of a console: what it has yet to read, and its way to type."""

import asyncio
from enum import Enum
from typing import Protocol

from insula.engine.console.consolelog import ConsoleLog
from insula.errors import OperationAbortedError, OperationInvalidError


class Viewing(Enum):
    """What a viewer may do."""

    INTERACTIVE = "interactive"
    WATCHING = "watching"


class ConsoleEnd(Protocol):
    """The console, as a viewer needs it."""

    async def type(self, data: bytes) -> None:
        """Type data; return when it is on its way."""

    def resize(self, rows: int, columns: int) -> None:
        """Set the terminal's size."""

    def taken(self, channel: "ConsoleChannel") -> None:
        """The viewer has read something."""

    def left(self, channel: "ConsoleChannel") -> None:
        """The viewer is no viewer any more."""

    @property
    def log(self) -> ConsoleLog | None:
        """The first of its logs."""


class ConsoleChannel:
    """One viewer's end of a console; made by `ConsoleHub.attach`."""

    def __init__(self, console: ConsoleEnd, viewing: Viewing, replay: bytes) -> None:
        self.viewing = viewing
        self._console = console
        self._backlog = bytearray(replay)
        self._skipped = 0
        self._ended = False
        self.taken_over = False
        """Whether the end came because somebody else forced it."""
        self._arrived = asyncio.Event()
        if replay:
            self._arrived.set()

    @property
    def log(self) -> ConsoleLog | None:
        """The first log of the console that it looks at now."""
        return self._console.log

    def move(self, console: ConsoleEnd) -> None:
        """Look at another console from now on: what was read of the former one and what is yet to be stays."""
        self._console = console

    @property
    def backlog(self) -> int:
        """Bytes that arrived and were not read."""
        return len(self._backlog)

    async def read(self, limit: int = 65536) -> bytes:
        """Return the next bytes, at most limit; b"" once the console ended, was closed or was taken over."""
        await self._arrived.wait()
        if self._skipped:
            notice, self._skipped = b"\r\n[insula: %d bytes were skipped]\r\n" % self._skipped, 0
            return notice
        data = bytes(self._backlog[:limit])
        del self._backlog[:limit]
        if not self._backlog and not self._ended:
            self._arrived.clear()
        self._console.taken(self)
        return data

    async def write(self, data: bytes) -> None:
        """Type data; return when it is on its way, having waited for a guest that does not read.

        Raises: OperationAbortedError when the console ended or was taken over, OperationInvalidError when watching.
        """
        if self.viewing is not Viewing.INTERACTIVE:
            raise OperationInvalidError("this viewer only watches the console")
        if self._ended:
            raise OperationAbortedError("the console ended, or somebody else took it over")
        await self._console.type(data)

    def resize(self, rows: int, columns: int) -> None:
        """Tell the guest the viewer's window size; only an interactive viewer has a say."""
        if self.viewing is Viewing.INTERACTIVE and not self._ended:
            self._console.resize(rows, columns)

    def close(self) -> None:
        """Leave. The guest and other viewers notice nothing."""
        self._backlog.clear()
        self.end()
        self._console.left(self)

    def feed(self, data: bytes) -> None:
        """The guest printed data."""
        self._backlog += data
        self._arrived.set()

    def skip(self, keep: int) -> None:
        """Give up all but the newest keep bytes."""
        surplus = len(self._backlog) - keep
        if surplus > 0:
            self._skipped += surplus
            del self._backlog[:surplus]

    def end(self) -> None:
        """Nothing more will come."""
        self._ended = True
        self._arrived.set()
