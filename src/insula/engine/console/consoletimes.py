"""When a console's log was said: a file of times beside each log file, which has the guest's bytes and nothing else.

`NAME.times` belongs to `NAME`. A record is 16 bytes: where in the log something begins, and when it was said, in
milliseconds since the epoch; both little-endian. What stands at a place was said when the last record at or before it
says: never later, and earlier only by what the guest's terminal and we take to hand it on. A record is written before
the bytes that it is about; what a death leaves of it points behind the log's end, and does not count. Times that could
be wrong, because somebody else changed the log or the disk is full, are taken away: no time is better than a false one.
"""

import os
import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

SUFFIX = ".times"
MARKS_MAX = 4096
"""Times that may wait for the disk; what is said beyond that shares the last one."""

_RECORD = struct.Struct("<QQ")


class TimeMark(NamedTuple):
    """From this offset on, bytes were said at this moment. moment: milliseconds since the epoch."""

    offset: int
    moment: int


class PendingMarks:
    """The times of bytes that wait for the disk, by where they stand among those."""

    def __init__(self) -> None:
        self._marks: list[TimeMark] = []

    def note(self, offset: int, moment: int) -> None:
        """What is appended at offset was said at moment; the latest there may be, if there are too many."""
        if len(self._marks) < MARKS_MAX:
            self._marks.append(TimeMark(offset, moment))
        else:
            self._marks[-1] = TimeMark(self._marks[-1].offset, moment)

    def take(self) -> Sequence[TimeMark]:
        """Return them all, and begin anew."""
        taken, self._marks = self._marks, []
        return taken


def part(marks: Sequence[TimeMark], start: int, end: int) -> Iterator[TimeMark]:
    """The marks of bytes start to end, counted from start; the first is about the byte at start, if any was noted."""
    first = max(bisect_right(marks, start, key=lambda each: each.offset) - 1, 0)
    for mark in marks[first:]:
        if mark.offset >= end:
            return
        yield TimeMark(max(mark.offset - start, 0), mark.moment)


class TimesFile:
    """Writes the times beside one log, whose directory and present state are told each time. Blocking.

    name: of the log; max_bytes: beyond which the log should be rotated.
    """

    def __init__(self, name: str, max_bytes: int) -> None:
        self._name = f"{name}{SUFFIX}"
        self._max_bytes = max_bytes
        self._expected: tuple[int, int] | None = None
        """The log's inode and size as we left it; None if that is not known."""

    def write(self, directory: int, log: os.stat_result, marks: Sequence[TimeMark]) -> bool:
        """Note marks of what is appended to the log next, by their offsets in that; return whether the file is full.

        Raises: OSError if they cannot be kept; those there were are gone then.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        try:
            descriptor = os.open(self._name, flags, 0o600, dir_fd=directory)
            try:
                end = self._true_part(descriptor, log)
                data = b"".join(_RECORD.pack(log.st_size + each.offset, each.moment) for each in marks)
                if os.pwrite(descriptor, data, end) < len(data):
                    raise OSError("the disk took a part")
                os.ftruncate(descriptor, end + len(data))
            finally:
                os.close(descriptor)
        except OSError:
            self.remove(directory)
            raise
        return end + len(data) >= self._max_bytes

    def written(self, log: os.stat_result) -> None:
        """The log is so now, by our own writing."""
        self._expected = (log.st_ino, log.st_size)

    def doubt(self) -> None:
        """What the log is now must be looked at: it was rotated, or could not be written."""
        self._expected = None

    def remove(self, directory: int) -> None:
        with suppress(OSError):
            os.unlink(self._name, dir_fd=directory)

    def _true_part(self, descriptor: int, log: os.stat_result) -> int:
        """How many bytes of the file are about this log as it is."""
        if self._expected not in (None, (log.st_ino, log.st_size)):
            return 0  # somebody moved it away, or emptied it
        if not log.st_size:
            return 0
        count = os.fstat(descriptor).st_size // _RECORD.size
        while count:
            offset, _ = _RECORD.unpack(os.pread(descriptor, _RECORD.size, (count - 1) * _RECORD.size))
            if offset < log.st_size:
                break
            count -= 1
        return count * _RECORD.size


class TimesReader:
    """The times of one open log file, as far as they are known. descriptor: of its times, the reader's from now on."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        self._read = 0
        self._offsets: list[int] = []
        self._moments: list[int] = []

    def refresh(self) -> None:
        """Read what came since."""
        if self._descriptor is None:
            return
        while data := os.pread(self._descriptor, 1 << 16, self._read):
            whole = len(data) - len(data) % _RECORD.size
            for offset, moment in _RECORD.iter_unpack(data[:whole]):
                # Zeros, as a host's crash leaves them, would go back.
                if moment and (not self._offsets or offset >= self._offsets[-1]):
                    self._offsets.append(offset)
                    self._moments.append(moment)
            self._read += whole
            if not whole:
                return

    def moment(self, offset: int) -> int | None:
        """When the byte at offset was said; None if that is not known."""
        place = bisect_right(self._offsets, offset)
        return self._moments[place - 1] if place else None

    def since(self, moment: int) -> int | None:
        """Where begins what was said since, by the first record that is not older; None if there is none."""
        return next(
            (offset for offset, said in zip(self._offsets, self._moments, strict=True) if said >= moment),
            None,
        )

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
