"""A guest's own /dev/kmsg: records of its own, read, waited for and written as the kernel's are.

Who opens it reads from the oldest record on, one a read. Who falls behind what is kept is told EPIPE once, and goes on
with the oldest. What the guest writes has the facility that it gives, or that of users; never the kernel's.
Source: kernel document `ABI/testing/dev-kmsg`; `devkmsg_write` in the kernel's printk.c.
"""

import errno
import os
import re
import time
from typing import Final

from insula.view.messagering import TEXT_MAX, MessageRing
from insula.view.viewedfiles import WOULD_BLOCK, StreamWriter, ViewedGuest, WouldBlockType

_USER = 1 << 3
_DEFAULT = _USER | 4
"""The facility of users, and a warning: what a line without a prefix is."""
INFORMATION: Final = 6
_PREFIX = re.compile(rb"<(\d{1,9})>")
_LEVELS = 7
_FACILITIES = 0x3FF << 3
_BYTES_MAX = 1 << 20


class LogPlace:
    """One opener's place: the sequence of the record that it reads next."""

    __slots__ = ("sequence",)

    def __init__(self, sequence: int) -> None:
        self.sequence = sequence


class GuestLog:
    """The log of one guest; a `ViewedStream`."""

    def __init__(self, guest: ViewedGuest, ring: MessageRing) -> None:
        self.ring = ring
        self._shift = guest.boottime * 1_000_000
        if ring.next == 0:
            self.tell(f"Linux version {os.uname().release}: the log of guest '{guest.name}' begins", priority=5)

    def _now(self) -> int:
        """Return the guest's clock, in microseconds, that programs add to the moment of its boot."""
        return max(0, time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000 + self._shift)

    def tell(self, text: str, *, priority: int = INFORMATION) -> None:
        """Write a line of the kernel's facility, as only the host may."""
        self.ring.append(priority, self._now(), text.encode("utf-8", "replace"))

    def text(self) -> bytes:
        """Return all records, as they are read."""
        return b"".join(record.line() for record in self.ring.records())[-_BYTES_MAX:]

    # As a stream

    def open(self, *, taken: int | None = None) -> LogPlace:
        """Return the place of the oldest record; for who had read so many bytes, of the one behind them if nothing of
        the log had been lost when that was opened, else of the oldest again."""
        place = LogPlace(self.ring.first)
        read = 0
        if taken and self.ring.first == 0:
            for record in self.ring.records():
                if read >= taken:
                    break
                read += len(record.line())
                place.sequence = record.sequence + 1
        return place

    def read(self, handle: object, size: int) -> bytes | WouldBlockType:
        """Return the next record. Raises: OSError(EPIPE) if it is not there any more, EINVAL if it does not fit."""
        place = _place(handle)
        if place.sequence < self.ring.first:
            place.sequence = self.ring.first
            raise OSError(errno.EPIPE, "records were overwritten before they were read")
        record = self.ring.at(place.sequence)
        if record is None:
            return WOULD_BLOCK
        place.sequence += 1
        line = record.line()
        if len(line) > size:
            raise OSError(errno.EINVAL, "the record does not fit")
        return line

    def write(self, handle: object, data: bytes, writer: StreamWriter) -> int:
        """Take one record, `<N>` before it. Raises: OSError(EINVAL) for one that is too long."""
        if len(data) > TEXT_MAX:
            raise OSError(errno.EINVAL, f"a record has {TEXT_MAX} bytes at most")
        text, priority = data, _DEFAULT
        found = _PREFIX.match(data)
        if found is not None:
            given = int(found[1])
            priority = (given & _LEVELS) | ((given & _FACILITIES) or _USER)
            text = data[found.end() :]
        self.ring.append(priority, self._now(), text.removesuffix(b"\n").split(b"\0")[0])
        return len(data)

    def seek(self, handle: object, offset: int, whence: int) -> int:
        """Go to the oldest record (SEEK_SET), behind the last (SEEK_END), or to the oldest that was not cleared away
        (SEEK_DATA); as the kernel, only by an offset of 0. Raises: OSError."""
        place = _place(handle)
        if offset:
            raise OSError(errno.ESPIPE, os.strerror(errno.ESPIPE))
        if whence == os.SEEK_SET:
            place.sequence = self.ring.first
        elif whence == os.SEEK_END:
            place.sequence = self.ring.next
        elif whence == os.SEEK_DATA:
            place.sequence = max(self.ring.first, self.ring.cleared)
        else:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return 0

    def readable(self, handle: object) -> bool:
        return _place(handle).sequence < self.ring.next

    def close(self, handle: object) -> None:
        """Nothing is held for an opener."""


def _place(handle: object) -> LogPlace:
    if not isinstance(handle, LogPlace):
        raise TypeError("not a place in a guest's log")
    return handle
