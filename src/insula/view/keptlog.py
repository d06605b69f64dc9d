"""A guest's kernel log, read from the memory that its view keeps it in: also while no view is there to be asked.

Who reads it copies it first. What the view writes meanwhile is behind what counts in the copy, but for the oldest
records, whose place it may take: those that are gone by then are left out.
"""

import os
import time
from dataclasses import dataclass

from insula.view.keptcells import LOG_AT, LOG_BYTES
from insula.view.messagering import HEADS_BYTES, LogRecord, MessageRing

_TRIES = 5
"""A copy may be of two moments, as a log that is written without a pause is; then another one is made."""


@dataclass(frozen=True, slots=True)
class KeptLine:
    """A record as people read it. moment: seconds since the epoch; text: with the guest's clock before it, a line."""

    sequence: int
    moment: float
    text: bytes


class KeptLog:
    """The log in a memory file, which stays the caller's. boottime: seconds added to the guest's clock."""

    def __init__(self, memory: int, boottime: int = 0) -> None:
        self._memory = memory
        self._boottime = boottime

    def lines(self, sequence: int = 0) -> list[KeptLine]:
        """Return what is there from a record on. Raises: OSError."""
        if sequence and self._following() == sequence:
            return []  # whoever follows it asks time and again, and mostly there is no more
        began = time.time() - time.clock_gettime(time.CLOCK_MONOTONIC) - self._boottime
        return [_line(each, began) for each in self._records() if each.sequence >= sequence]

    def _following(self) -> int:
        heads = bytearray(LOG_BYTES)
        heads[:HEADS_BYTES] = os.pread(self._memory, HEADS_BYTES, LOG_AT)
        return MessageRing.following(memoryview(heads))

    def _records(self) -> list[LogRecord]:
        for _ in range(_TRIES):
            copy = bytearray(os.pread(self._memory, LOG_BYTES, LOG_AT))
            copied = MessageRing(memoryview(copy))
            copy[:HEADS_BYTES] = os.pread(self._memory, HEADS_BYTES, LOG_AT)
            first = MessageRing.oldest(memoryview(copy))
            records = [each for each in copied.records() if each.sequence >= first]
            if records or copied.next == 0:
                return records
        return []


def _line(record: LogRecord, began: float) -> KeptLine:
    seconds, rest = divmod(record.moment, 1_000_000)
    text = record.text.replace(b"\n", b"\\n")
    return KeptLine(record.sequence, began + record.moment / 1_000_000, b"[%5d.%06d] %s\n" % (seconds, rest, text))
