"""One viewer of a console: what it has yet to read, and its way to type."""

import asyncio
from enum import Enum
from typing import Protocol

from insula.errors import OperationAbortedError, OperationInvalidError


class Viewing(Enum):
    """What a viewer may do."""

    INTERACTIVE = "interactive"
    WATCHING = "watching"


def last_lines(data: bytes, count: int) -> bytes:
    """Return the last count lines of data; what follows the last line end is one, too."""
    at = len(data) - data.endswith(b"\n")
    for _ in range(count):
        at = data.rfind(b"\n", 0, at)
        if at < 0:
            return data
    return data[at + 1 :]


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

    def begin_with(self, lines: int) -> None:
        """Of what is replayed, leave only the last lines. For a channel that nobody has read from."""
        self._backlog = bytearray(last_lines(bytes(self._backlog), lines))
        if not self._backlog and not self._ended:
            self._arrived.clear()

    def end(self) -> None:
        """Nothing more will come."""
        self._ended = True
        self._arrived.set()
