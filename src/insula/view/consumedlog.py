"""A guest's own /proc/kmsg: its log's records, each given once, to whoever reads first, as rsyslog and klogd read it.

Source: proc(5), `/proc/kmsg`; syslog(2), SYSLOG_ACTION_READ.
"""

import errno
import os

from insula.view.keptcells import KeptCells
from insula.view.messagering import MessageRing
from insula.view.viewedfiles import WOULD_BLOCK, StreamWriter, WouldBlockType


class ConsumedLog:
    """A `ViewedStream` without places: what one opener has read no other one reads, nor the next view's."""

    def __init__(self, ring: MessageRing, kept: KeptCells) -> None:
        self._ring = ring
        self._kept = kept

    def open(self, *, taken: int | None = None) -> None:
        """There is one place for all."""

    def read(self, handle: object, size: int) -> bytes | WouldBlockType:
        """Return as many records as fit, at least a part of one; what is overwritten is passed over."""
        given = b""
        sequence = max(self._kept.consumed, self._ring.first)
        while (record := self._ring.at(sequence)) is not None:
            line = record.syslog()
            if given and len(given) + len(line) > size:
                break
            given += line
            sequence += 1
            if len(given) >= size:
                break
        self._kept.consumed = sequence
        return given[:size] if given else WOULD_BLOCK

    def write(self, handle: object, data: bytes, writer: StreamWriter) -> int:
        """Refuse it, as the kernel does. Raises: OSError(EIO)."""
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def seek(self, handle: object, offset: int, whence: int) -> int:
        """There is nothing to go to; the offset is as if it had been."""
        return offset if whence == os.SEEK_SET else 0

    def readable(self, handle: object) -> bool:
        return self._kept.consumed < self._ring.next

    def close(self, handle: object) -> None:
        """Nothing is held for an opener."""
