"""The log file of one console: raw bytes as the guest wrote them, rotated by size, written off the event loop.

`NAME` is the newest file, `NAME.1` the one before, and so on. A disk that does not keep up never holds the guest: what
does not fit into the bounded queue is left out, and the log says how many bytes are missing.
"""

import asyncio
import logging
import os
from contextlib import suppress
from pathlib import Path

MAX_BYTES = 2 * 1024 * 1024
"""Size at which a log is rotated; libvirt's own log daemon uses the same."""
BACKUPS = 3
QUEUE_BYTES = 4 * 1024 * 1024
"""What may wait for the disk, per console."""

_logger = logging.getLogger(__name__)


def tail(path: Path, size: int) -> bytes:
    """Return the last size bytes of a log (fewer when it is shorter, none when it is missing or unreadable)."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - size))
            return file.read(size)
    except OSError:
        return b""


class ConsoleLog:
    """Appends to a file from a thread; the caller never waits."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES, backups: int = BACKUPS) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._backups = backups
        self._pending = bytearray()
        self._missing = 0
        self._failed = False
        self._writing: asyncio.Task[None] | None = None

    def append(self, data: bytes) -> None:
        """Queue data for the file; beyond QUEUE_BYTES it is counted and left out."""
        if len(self._pending) + len(data) > QUEUE_BYTES:
            self._missing += len(data)
            return
        if self._missing:
            self._pending += b"\r\n[insula: %d bytes are missing here, the disk did not keep up]\r\n" % self._missing
            self._missing = 0
        self._pending += data
        if self._writing is None:
            self._writing = asyncio.create_task(self._drain(), name=f"console log {self.path.name}")

    async def close(self) -> None:
        """Return when everything queued is in the file, or cannot be."""
        while self._writing is not None:
            await self._writing

    async def _drain(self) -> None:
        try:
            while self._pending:
                chunk = bytes(self._pending)
                self._pending.clear()
                await asyncio.to_thread(self._write, chunk)
        finally:
            self._writing = None

    def _write(self, chunk: bytes) -> None:
        """Append chunk, rotating where the size limit falls inside it (thread)."""
        try:
            rest = memoryview(chunk)
            while rest:
                rest = rest[self._write_until_full(rest) :]
            self._failed = False
        except OSError as error:
            if not self._failed:  # once, not for every line of a guest on a full disk
                _logger.warning("cannot write the console log %s: %s", self.path, error)
            self._failed = True

    def _write_until_full(self, data: memoryview) -> int:
        """Return how many bytes of data went into the newest file; rotate when it is full."""
        self.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            room = max(self._max_bytes - os.fstat(descriptor).st_size, 0)
            written = os.write(descriptor, data[:room]) if room else 0
        finally:
            os.close(descriptor)
        if written >= room:
            self._rotate()
        return written

    def _rotate(self) -> None:
        if not self._backups:
            self.path.unlink()
            return
        for number in range(self._backups, 0, -1):
            older = self._numbered(number)
            newer = self._numbered(number - 1) if number > 1 else self.path
            with suppress(FileNotFoundError):
                newer.replace(older)

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")
