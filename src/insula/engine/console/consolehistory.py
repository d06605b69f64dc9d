"""Reading a console's log, all its files as one text: from a moment on, or its last lines, with times if wanted.

A reader goes on at the end as the log grows, over rotations: it follows files, not names. Blocking: the disk may never
answer.
"""

import glob
import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from insula.engine.console.consoletimes import SUFFIX, TimesReader
from insula.kernel.fds import Fd

PIECE = 32 * 1024
"""Bytes of the log that are read at once; with a time before each line, they may become thirty times as many."""
_LINE_BACK = 4096
"""Bytes that are looked back for the beginning of a line that was going on."""
_TRIES = 8
"""Attempts at opening files and their times together, while they are rotated."""
_READING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
STAMP_WIDTH = len("2026-01-01T00:00:00.000+0000")


@dataclass(frozen=True, kw_only=True, slots=True)
class LogSelection:
    """What of a log is wanted. since: milliseconds since the epoch, None for all; lines: of that the last so many, None
    for all; stamped: each line begins with when it began."""

    since: int | None = None
    lines: int | None = None
    stamped: bool = False


class ConsoleHistory:
    """One reader of one console's log. path: its newest file."""

    def __init__(self, path: Path, wanted: LogSelection) -> None:
        self._path = path
        self._wanted = wanted
        self._files: list[_LogFile] = []
        """Those that are not read to their end, oldest first; the newest stays."""
        self._begun = False
        self._line_start = True
        self._reading = threading.Lock()
        self._closed = False

    def read(self) -> bytes:
        """Return the next piece; b"" where there is no more at present. Raises: OSError."""
        try:
            with self._reading:
                return b"" if self._closed else self._next()
        finally:
            if self._closed:
                self.close()

    def close(self) -> None:
        """Read no more. Waits for no read: one that is under way closes what it has when it ends."""
        self._closed = True
        if self._reading.acquire(blocking=False):
            try:
                while self._files:
                    self._files.pop().close()
            finally:
                self._reading.release()

    def _next(self) -> bytes:
        if not self._files:
            self._files = _opened(self._path)
        if self._files and not self._begun:
            self._begin()
        self._begun = True  # where no file was, all that comes is wanted
        while self._files:
            file = self._files[0]
            start = file.position
            if data := file.read():
                return self._stamped(file, start, data) if self._wanted.stamped else data
            if len(self._files) > 1:
                self._files.pop(0).close()
                continue
            self._files += _opened(self._path, after=file)
            if len(self._files) == 1:
                break
            # There is a newer one: nothing is written to this one any more, but something may have been since the look.
        return b""

    def _begin(self) -> None:
        """Leave out what is not wanted."""
        skipped = 0 if self._wanted.since is None else self._before(self._wanted.since)
        if self._wanted.lines is not None:
            skipped = max(skipped, self._before_lines(self._wanted.lines, skipped))
        begins_line = True
        while len(self._files) > 1 and skipped >= self._files[0].size:
            skipped -= self._files[0].size
            begins_line = self._files[0].begins_line(self._files[0].size)
            self._files.pop(0).close()
        self._files[0].position = skipped
        self._line_start = self._files[0].begins_line(skipped) if skipped else begins_line

    def _before(self, moment: int) -> int:
        """How many bytes were said before a moment."""
        before = 0
        for file in self._files:
            if (offset := file.since(moment)) is not None:
                return before + offset
            before += file.size
        return before

    def _before_lines(self, lines: int, skipped: int) -> int:
        """How many bytes stand before the last lines, which are looked for behind the skipped bytes, from the end on.

        What follows the last line end is a line, too.
        """
        end = behind = sum(each.size for each in self._files)
        if not lines:
            return end
        for file in reversed(self._files):
            begin = behind - file.size
            while behind > max(begin, skipped):
                start = max(behind - PIECE, begin, skipped)
                piece = os.pread(file.descriptor, behind - start, start - begin)
                at = len(piece) - (behind == end and piece.endswith(b"\n"))
                while (at := piece.rfind(b"\n", 0, at)) >= 0:
                    lines -= 1
                    if not lines:
                        return start + at + 1
                behind = start
            if begin <= skipped:
                break
        return skipped

    def _stamped(self, file: "_LogFile", start: int, data: bytes) -> bytes:
        pieces: list[bytes] = []
        at = 0
        while at < len(data):
            if self._line_start:
                pieces.append(stamp(file.times.moment(start + at)) + b" ")
            end = data.find(b"\n", at) + 1 or len(data)
            pieces.append(data[at:end])
            self._line_start = data[end - 1] == 0x0A
            at = end
        return b"".join(pieces)


class _LogFile:
    """One open file of the log, with its times. size: when it was opened; position: where is read next."""

    def __init__(self, descriptor: Fd, times: TimesReader) -> None:
        self.descriptor = descriptor
        self.times = times
        self.position = 0
        found = os.fstat(descriptor)
        self.inode, self.size = found.st_ino, found.st_size
        times.refresh()

    def read(self) -> bytes:
        if os.fstat(self.descriptor).st_size < self.position:  # somebody emptied it
            self.position = 0
        data = os.pread(self.descriptor, PIECE, self.position)
        self.position += len(data)
        if data:
            self.times.refresh()
        return data

    def since(self, moment: int) -> int | None:
        """Where begins what was said since, with all of the line that it belongs to; None if nothing was.

        What has no time is taken to have been said at the next time that is known: nothing is left out by that.
        """
        offset = self.times.since(moment)
        if offset is not None:
            return 0 if self.times.moment(offset - 1) is None else self._line_of(offset)
        written = os.fstat(self.descriptor).st_mtime_ns // 1_000_000
        return 0 if self.times.moment(self.size) is None and written >= moment else None

    def _line_of(self, offset: int) -> int:
        start = max(offset - _LINE_BACK, 0)
        before = os.pread(self.descriptor, offset - start, start)
        return start + before.rfind(b"\n") + 1 if b"\n" in before else (0 if not start else offset)

    def begins_line(self, offset: int) -> bool:
        return not offset or os.pread(self.descriptor, 1, offset - 1) == b"\n"

    def close(self) -> None:
        os.close(self.descriptor)
        self.times.close()


def _opened(path: Path, after: _LogFile | None = None) -> list[_LogFile]:
    """Open the log's files, oldest first; after: those that are newer than this one, all if it is there no more."""
    for _ in range(_TRIES):
        listed = _listed(path)
        inodes = [inode for _, inode in listed]
        newer = listed[inodes.index(after.inode) + 1 :] if after is not None and after.inode in inodes else listed
        files = [each for each in (_file(name) for name, _ in newer) if each is not None]
        # A look at a directory amid a rotation may see a file twice, or not at all.
        if [each.inode for each in files] == [inode for _, inode in newer] and _listed(path) == listed:
            return files
        for each in files:
            each.close()
    return []


def _file(path: Path) -> "_LogFile | None":
    try:
        descriptor = Fd(os.open(path, _READING))
    except FileNotFoundError:
        return None
    try:
        times: int | None = os.open(path.with_name(f"{path.name}{SUFFIX}"), _READING)
    except OSError:
        times = None
    return _LogFile(descriptor, TimesReader(times))


def _listed(path: Path) -> list[tuple[Path, int]]:
    """The log's files and their inodes, oldest first."""
    found = []
    for each in _names(path):
        with suppress(FileNotFoundError):
            found.append((each, each.lstat().st_ino))
    return found


def _names(path: Path) -> list[Path]:
    """The log's files, oldest first."""
    older = [each for each in path.parent.glob(f"{glob.escape(path.name)}.*") if each.suffix[1:].isdecimal()]
    return [*sorted(older, key=lambda each: -int(each.suffix[1:])), path]


def stamp(moment: int | None) -> bytes:
    """Return a moment, in milliseconds since the epoch, as it stands before a line; None: nobody knows when."""
    if moment is None:
        return b"-".ljust(STAMP_WIDTH)
    local = time.localtime(moment // 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', local)}.{moment % 1000:03}{time.strftime('%z', local)}".encode()
