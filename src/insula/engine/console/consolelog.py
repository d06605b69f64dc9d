"""The log file of one console: raw bytes as the guest wrote them, rotated by size, written off the event loop.

`NAME` is the newest file, `NAME.1` the one before, and so on. A disk that does not keep up, fails or never answers
holds neither the guest nor its end: what does not fit into the bounded queue is left out, and the log says how many
bytes are missing. Each write opens the file anew: whoever moves it away gets a new one made in its place.
"""

import asyncio
import errno
import logging
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from insula.engine.console.consolering import RING_BYTES, news
from insula.engine.writers import Writers
from insula.kernel.beneath import Resolve, open_beneath
from insula.kernel.fds import Fd

MAX_BYTES = 2 * 1024 * 1024
"""Size at which a log is rotated; libvirt's own log daemon uses the same."""
BACKUPS = 3
QUEUE_BYTES = 4 * 1024 * 1024
"""What may wait for the disk, per console."""
CLOSING_PATIENCE = 5.0
"""Seconds that the end of a console waits for the disk."""

_REASONS = {errno.ELOOP: "a symbolic link is on the way", errno.ENOENT: "its directory is not there"}
"""What is to be done about it, where the kernel's words do not say."""

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
    """Appends to a file from a thread; the caller never waits.

    writers: whose threads write; given: the path comes from a definition: its directory must be there, and no symbolic
    link on the way is followed, since a guest may have put it there. tell: called with what an administrator should
    know, once until it is well again.
    """

    def __init__(
        self,
        path: Path,
        *,
        writers: Writers | None = None,
        given: bool = False,
        max_bytes: int = MAX_BYTES,
        backups: int = BACKUPS,
        patience: float = CLOSING_PATIENCE,
        tell: Callable[[str], None] = _logger.warning,
    ) -> None:
        self.path = path
        self._writers = writers or Writers("console log", 1)
        self._given = given
        self._max_bytes = max_bytes
        self._backups = backups
        self._patience = patience
        self._tell = tell
        self._pending = bytearray()
        self._first: Callable[[], None] | None = None
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
        self._go_on()

    def truncate(self) -> None:
        """Empty the file before anything else is written."""
        self._first = self._empty
        self._go_on()

    def catch_up(self, said: bytes) -> None:
        """Before anything else, append what the end of the stream, said, tells beyond what the file has."""
        self._first = lambda: self._write_all(news(said, tail(self.path, RING_BYTES)))
        self._go_on()

    def look_back(self, found: Callable[[bytes], None]) -> None:
        """Before anything else is written, read the file's end; found is called with it."""
        loop = asyncio.get_running_loop()
        self._first = lambda: _told_in(loop, found, tail(self.path, RING_BYTES))
        self._go_on()

    @property
    def writing(self) -> bool:
        """Whether something is not in the file yet."""
        return self._writing is not None

    async def close(self) -> None:
        """Return when everything queued is in the file, or cannot be, or the disk does not answer for some seconds."""
        try:
            async with asyncio.timeout(self._patience):
                while self._writing is not None:
                    await asyncio.shield(self._writing)
        except TimeoutError:
            self._report(f"the console log {self.path} is left incomplete: the disk does not answer")

    def _go_on(self) -> None:
        if self._writing is None:
            self._writing = asyncio.create_task(self._drain(), name=f"console log {self.path.name}")

    async def _drain(self) -> None:
        try:
            while self._pending or self._first is not None:
                first, self._first = self._first, None
                chunk = bytes(self._pending)
                self._pending.clear()
                try:
                    await self._writers.perform(lambda first=first, chunk=chunk: self._write(first, chunk))  # type: ignore[misc]
                    self._failed = False
                except OSError as error:
                    self._report(
                        f"cannot write the console log {self.path}: {_REASONS.get(error.errno or 0, error.strerror)}"
                    )
        finally:
            self._writing = None

    def _report(self, text: str) -> None:
        """Once, not for every line of a guest on a full disk."""
        if not self._failed:
            self._failed = True
            self._tell(text)

    # In a thread

    def _write(self, first: Callable[[], None] | None, chunk: bytes) -> None:
        if first is not None:
            first()
        self._write_all(chunk)

    def _write_all(self, chunk: bytes) -> None:
        """Append chunk, rotating where the size limit falls inside it."""
        rest = memoryview(chunk)
        if not rest:
            return
        directory = self._directory()
        try:
            while rest:
                rest = rest[self._write_until_full(directory, rest) :]
        finally:
            os.close(directory)

    def _directory(self) -> Fd:
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        if not self._given:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return Fd(os.open(self.path.parent, flags))
        top = os.open("/", flags)
        try:
            return open_beneath(top, os.fspath(self.path.parent), flags, resolve=Resolve.NO_LINKS)
        finally:
            os.close(top)

    def _open(self, directory: Fd, flags: int) -> Fd:
        """Open the newest file; nothing but a regular one, and without waiting for whoever reads from a pipe."""
        descriptor = os.open(
            self.path.name,
            os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | flags,
            0o600,
            dir_fd=directory,
        )
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "it is no regular file", os.fspath(self.path))
        return Fd(descriptor)

    def _write_until_full(self, directory: Fd, data: memoryview) -> int:
        """Return how many bytes of data went into the newest file; rotate when it is full."""
        descriptor = self._open(directory, 0)
        try:
            room = max(self._max_bytes - os.fstat(descriptor).st_size, 0)
            written = os.write(descriptor, data[:room]) if room else 0
        finally:
            os.close(descriptor)
        if written >= room:
            self._rotate(directory)
        return written

    def _empty(self) -> None:
        directory = self._directory()
        try:
            os.close(self._open(directory, os.O_TRUNC))
        finally:
            os.close(directory)

    def _rotate(self, directory: Fd) -> None:
        if not self._backups:
            os.unlink(self.path.name, dir_fd=directory)
            return
        for number in range(self._backups, 0, -1):
            older = self._numbered(number)
            newer = self._numbered(number - 1) if number > 1 else self.path.name
            with suppress(FileNotFoundError):
                os.replace(newer, older, src_dir_fd=directory, dst_dir_fd=directory)

    def _numbered(self, number: int) -> str:
        return f"{self.path.name}.{number}"


def _told_in(loop: asyncio.AbstractEventLoop, found: Callable[[bytes], None], data: bytes) -> None:
    with suppress(RuntimeError):  # the loop has ended meanwhile
        loop.call_soon_threadsafe(found, data)
