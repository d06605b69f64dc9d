"""The log file of one console: raw bytes as the guest wrote them, rotated by size, written off the event loop.

`NAME` is the newest file, `NAME.1` the one before, and so on; beside each are its times (`consoletimes`), if they are
kept. A disk that does not keep up, fails or never answers
holds neither the guest nor its end: what does not fit into the bounded queue is left out, and the log says how many
bytes are missing. Each write opens the file anew: whoever moves it away gets a new one made in its place.
"""

import asyncio
import errno
import itertools
import logging
import os
import stat
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from insula.engine.console.consolering import RING_BYTES, news
from insula.engine.console.consoletimes import SUFFIX, PendingMarks, TimeMark, TimesFile, part
from insula.engine.writers import Writers
from insula.kernel.beneath import Resolve, open_beneath
from insula.kernel.fds import Fd

QUEUE_BYTES = 4 * 1024 * 1024
"""What may wait for the disk, per console."""
CLOSING_PATIENCE = 5.0
"""Seconds that the end of a console waits for the disk."""

_REASONS = {errno.ELOOP: "a symbolic link is on the way", errno.ENOENT: "its directory is not there"}
"""What is to be done about it, where the kernel's words do not say."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class LogLimits:
    """How large logs become. file_bytes: size at which a file is rotated; old_files: rotated ones that are kept.

    The defaults are those of libvirt's own log daemon.
    """

    file_bytes: int = 2 * 1024 * 1024
    old_files: int = 3


USUAL_LIMITS = LogLimits()


class ConsoleLog:
    """Appends to a file from a thread; the caller never waits.

    writers: whose threads write; given: the path comes from a definition: its directory must be there, and no symbolic
    link on the way is followed, since a guest may have put it there. timed: keep when each part was said, beside it.
    tell: called with what an administrator should know, once until it is well again. clock: seconds since the epoch.
    """

    def __init__(
        self,
        path: Path,
        *,
        writers: Writers | None = None,
        given: bool = False,
        timed: bool = False,
        limits: LogLimits = USUAL_LIMITS,
        patience: float = CLOSING_PATIENCE,
        tell: Callable[[str], None] = _logger.warning,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = path
        self._writers = writers or Writers("console log", 1)
        self._given = given
        self._limits = limits
        self._patience = patience
        self._tell = tell
        self._clock = clock
        self._times = TimesFile(path.name, limits.file_bytes) if timed else None
        self._pending = bytearray()
        self._marks = PendingMarks()
        self._first: Callable[[], None] | None = None
        self._missing = 0
        """Bytes that the queue had no room for since the last that it had."""
        self._lost = 0
        """Bytes that could not be written right before the first that waits."""
        self._unwritten = 0
        """Of what is being written, the bytes that are not in the file; a thread's while it writes."""
        self._failed = False
        self._writing: asyncio.Task[None] | None = None

    def append(self, data: bytes) -> None:
        """Queue data for the file; beyond QUEUE_BYTES it is counted and left out."""
        if len(self._pending) + len(data) > QUEUE_BYTES:
            self._missing += len(data)
            return
        self._marks.note(len(self._pending), self._now())
        if self._missing:
            self._pending += _gap(self._missing)
            self._missing = 0
        self._pending += data
        self._go_on()

    def truncate(self) -> None:
        """Empty the file before anything else is written."""
        self._first = self._empty
        self._go_on()

    def catch_up(self, said: bytes) -> None:
        """Before anything else, append what the end of the stream, said, tells beyond what the file has."""
        now = TimeMark(0, self._now())  # the latest it can have been
        self._first = lambda: self._write_all(news(said, self._tail(RING_BYTES)), (now,))
        self._go_on()

    def look_back(self, found: Callable[[bytes], None]) -> None:
        """Before anything else is written, read the file's end; found is called with it."""
        loop = asyncio.get_running_loop()
        self._first = lambda: _told_in(loop, found, self._tail(RING_BYTES))
        self._go_on()

    @property
    def writing(self) -> bool:
        """Whether something is not in the file yet."""
        return self._writing is not None

    @property
    def failing(self) -> bool:
        """Whether what was written last could not be."""
        return self._failed

    async def written(self) -> None:
        """Return when everything queued is in the file, or cannot be."""
        while self._writing is not None:
            await asyncio.shield(self._writing)

    async def close(self) -> None:
        """Return when everything queued is in the file, or cannot be, or the disk does not answer for some seconds."""
        try:
            async with asyncio.timeout(self._patience):
                await self.written()
        except TimeoutError:
            self._report(f"the console log {self.path} is left incomplete: the disk does not answer")

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _go_on(self) -> None:
        if self._writing is None:
            self._writing = asyncio.create_task(self._drain(), name=f"console log {self.path.name}")

    async def _drain(self) -> None:
        try:
            while self._pending or self._first is not None:
                first, self._first = self._first, None
                said, marks = bytes(self._pending), self._marks.take()
                self._pending.clear()
                gap = _gap(self._lost) if self._lost and said else b""
                marks = [TimeMark(each.offset + len(gap), each.moment) for each in marks]
                self._unwritten = len(gap + said)
                try:
                    await self._writers.perform(partial(self._write, first, gap + said, marks))
                    self._failed = False
                    self._lost = 0 if gap else self._lost
                except OSError as error:
                    told = gap and self._unwritten <= len(said)
                    self._lost = (0 if told else self._lost) + min(self._unwritten, len(said))
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

    def _write(self, first: Callable[[], None] | None, chunk: bytes, marks: Sequence[TimeMark]) -> None:
        if first is not None:
            first()
        self._write_all(chunk, marks)

    def _write_all(self, chunk: bytes, marks: Sequence[TimeMark]) -> None:
        """Append chunk, rotating where the size limit falls inside it. marks: when it was said."""
        if not chunk:
            return
        directory = self._directory()
        try:
            written = 0
            while written < len(chunk):
                written += self._write_until_full(directory, chunk, written, marks)
                self._unwritten = len(chunk) - written
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

    def _tail(self, size: int) -> bytes:
        """Return the last size bytes of the newest file: fewer when it is shorter, none when it is missing, unreadable
        or no regular file. As for writing, nobody's pipe is waited for, and no link leads to another's file."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        try:
            directory = self._directory()
            try:
                descriptor = os.open(self.path.name, flags, dir_fd=directory)
            finally:
                os.close(directory)
            try:
                found = os.fstat(descriptor)
                return os.pread(descriptor, size, max(0, found.st_size - size)) if stat.S_ISREG(found.st_mode) else b""
            finally:
                os.close(descriptor)
        except OSError:
            return b""

    def _write_until_full(self, directory: Fd, chunk: bytes, start: int, marks: Sequence[TimeMark]) -> int:
        """Return how many bytes of chunk, from start on, went into the newest file; rotate when it is full."""
        descriptor = self._open(directory, 0)
        try:
            found = os.fstat(descriptor)
            end = min(start + max(self._limits.file_bytes - found.st_size, 0), len(chunk))
            full = self._note_times(directory, found, [*part(marks, start, end)]) if end > start else False
            written = os.write(descriptor, memoryview(chunk)[start:end]) if end > start else 0
            if self._times is not None:
                self._times.written(os.fstat(descriptor))
        except OSError:
            if self._times is not None:
                self._times.doubt()
            raise
        finally:
            os.close(descriptor)
        if full or found.st_size + written >= self._limits.file_bytes:
            self._rotate(directory)
        return written

    def _note_times(self, directory: Fd, found: os.stat_result, marks: Sequence[TimeMark]) -> bool:
        """Return whether there are so many that the log must be rotated. A log goes on without its times."""
        if self._times is None:
            return False
        try:
            return self._times.write(directory, found, marks)
        except OSError as error:
            self._report(f"cannot keep the times of the console log {self.path}: {error.strerror or error}")
            return False

    def _empty(self) -> None:
        directory = self._directory()
        try:
            os.close(self._open(directory, os.O_TRUNC))
        finally:
            os.close(directory)

    def _rotate(self, directory: Fd) -> None:
        """Move each file on, the log before its times: those of an emptied place are known to be none of a new log."""
        names = ("",) if self._times is None else ("", SUFFIX)
        if self._times is not None:
            self._times.doubt()
        if not self._limits.old_files:
            for suffix in names:
                with suppress(FileNotFoundError):
                    os.unlink(f"{self.path.name}{suffix}", dir_fd=directory)
            return
        self._drop_surplus(directory)
        for number in range(self._limits.old_files, 0, -1):
            for suffix in names:
                older = f"{self._numbered(number)}{suffix}"
                newer = f"{self._numbered(number - 1) if number > 1 else self.path.name}{suffix}"
                try:
                    os.replace(newer, older, src_dir_fd=directory, dst_dir_fd=directory)
                except FileNotFoundError:
                    if suffix:  # a log without times must not find another's
                        with suppress(FileNotFoundError):
                            os.unlink(older, dir_fd=directory)

    def _drop_surplus(self, directory: Fd) -> None:
        """Remove what a daemon that kept more files left."""
        for number in itertools.count(self._limits.old_files + 1):
            with suppress(FileNotFoundError):
                os.unlink(f"{self._numbered(number)}{SUFFIX}", dir_fd=directory)
            try:
                os.unlink(self._numbered(number), dir_fd=directory)
            except FileNotFoundError:
                return

    def _numbered(self, number: int) -> str:
        return f"{self.path.name}.{number}"


def _gap(size: int) -> bytes:
    """What stands in a log where so many bytes are missing."""
    return b"\r\n[insula: %d bytes are missing here, the disk did not keep up]\r\n" % size


def _told_in(loop: asyncio.AbstractEventLoop, found: Callable[[bytes], None], data: bytes) -> None:
    with suppress(RuntimeError):  # the loop has ended meanwhile
        loop.call_soon_threadsafe(found, data)
