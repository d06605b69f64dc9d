"""The records of a guest's kernel log, in memory that outlasts the process which writes it.

    0      two heads of 64 bytes: the one with the higher number whose sum is right counts
    128    records, one behind the other, each whole; what does not fit before the end begins at 128 again

The oldest records make room for new ones. A head that leaves them out is written before their place is, and one that
has the new record after it is there: whoever is killed between leaves a log that is whole. Source for what a record
says: kernel document `ABI/testing/dev-kmsg`.
"""

import re
import struct
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

_HEAD = struct.Struct("<QQQQQQ")
"""Number of the head, sequence of the oldest record and of the next, place of the oldest and of the next, and the
sequence that `clear` left."""
_SUM = struct.Struct("<I")
_HEAD_BYTES = 64
HEADS_BYTES = 2 * _HEAD_BYTES
_RECORD = struct.Struct("<IIQ")
"""Bytes of its text, its priority, its moment in microseconds."""
TEXT_MAX = 1024
"""Bytes of one record's text, as the kernel has it."""


@dataclass(frozen=True, slots=True)
class LogRecord:
    """priority: facility times 8 and level; sequence: from 0, without gaps; moment: microseconds; text: one line."""

    priority: int
    sequence: int
    moment: int
    text: bytes

    def line(self) -> bytes:
        """Return it as /dev/kmsg does."""
        return b"%d,%d,%d,-;%s\n" % (self.priority, self.sequence, self.moment, _escaped(self.text))

    def syslog(self) -> bytes:
        """Return it as /proc/kmsg and syslog(2) do, each line of its text with what stands before it."""
        seconds, rest = divmod(self.moment, 1_000_000)
        head = b"<%d>[%5d.%06d] " % (self.priority, seconds, rest)
        return b"".join(head + line + b"\n" for line in self.text.split(b"\n"))


_SPECIAL = re.compile(rb"[\x00-\x1f\x7f-\xff\\\\]")


def _escaped(text: bytes) -> bytes:
    return _SPECIAL.sub(lambda found: b"\\x%02x" % found[0][0], text)


def _latest_head(memory: "memoryview[int]") -> tuple[int, ...]:
    """Return the head that counts, zeros if none does."""
    heads = [head for place in (0, _HEAD_BYTES) if (head := _head_at(memory, place)) is not None]
    return max(heads, default=(0,) * 6)


def _head_at(memory: "memoryview[int]", place: int) -> tuple[int, ...] | None:
    data = bytes(memory[place : place + _HEAD.size])
    (told,) = _SUM.unpack_from(memory, place + _HEAD.size)
    head = _HEAD.unpack(data)
    if not head[0] or told != zlib.crc32(data) or not 0 <= head[2] - head[1] <= len(memory):
        return None
    return head


class MessageRing:
    """The log in so many bytes of memory, zeros at first."""

    def __init__(self, memory: "memoryview[int]") -> None:
        self._memory = memory
        self._places: deque[tuple[int, int]] = deque()
        """Of the records that are there, oldest first: where it stands, and where it ends."""
        self._number = self.first = self.next = self.cleared = 0
        """first, next: the sequences of the oldest record and of the next; cleared: of the oldest that `clear` left."""
        self._end = HEADS_BYTES
        self._load()

    @staticmethod
    def oldest(memory: "memoryview[int]") -> int:
        """Return the sequence of the oldest record by the heads alone."""
        return _latest_head(memory)[1]

    @staticmethod
    def following(memory: "memoryview[int]") -> int:
        """Return the sequence of the next record by the heads alone."""
        return _latest_head(memory)[2]

    def _load(self) -> None:
        self._number, self.first, self.next, place, end_of_all, self.cleared = _latest_head(self._memory)
        if not self._number:
            return
        self._end = end_of_all
        for _ in range(self.next - self.first):
            found = self._record_end(place)
            if found is None:  # not by a death of ours: what can be had is kept out of the way
                self._places.clear()
                self.first, self._end = self.next, HEADS_BYTES
                return
            place, end = found
            self._places.append((place, end))
            place = end

    def _record_end(self, place: int) -> tuple[int, int] | None:
        """Return where the record at a place, or the one at the beginning behind the last one, stands and ends."""
        if place + _RECORD.size > len(self._memory) or self._length_at(place) == 0:
            place = HEADS_BYTES
        length = self._length_at(place)
        end = place + _RECORD.size + length - 1
        return (place, end) if 0 < length <= TEXT_MAX + 1 and end <= len(self._memory) else None

    def _length_at(self, place: int) -> int:
        """The length that is noted is one more than the text's: 0 stands where the next record is at the beginning."""
        (length,) = _SUM.unpack_from(self._memory, place)
        return int(length)

    def _commit(self) -> None:
        self._number += 1
        oldest = self._places[0][0] if self._places else self._end
        data = _HEAD.pack(self._number, self.first, self.next, oldest, self._end, self.cleared)
        place = _HEAD_BYTES * (self._number % 2)
        self._memory[place : place + len(data) + _SUM.size] = data + _SUM.pack(zlib.crc32(data))

    def append(self, priority: int, moment: int, text: bytes) -> LogRecord:
        """Write a record; its text is cut at `TEXT_MAX`. Return it."""
        text = text[:TEXT_MAX]
        size = _RECORD.size + len(text)
        place, wraps = self._end, False
        if place + size > len(self._memory):
            place, wraps = HEADS_BYTES, True
        self._make_room(place, place + size, wraps=wraps)
        if wraps and self._end + _RECORD.size <= len(self._memory):
            _SUM.pack_into(self._memory, self._end, 0)
        _RECORD.pack_into(self._memory, place, len(text) + 1, priority, moment)
        self._memory[place + _RECORD.size : place + size] = text
        self._places.append((place, place + size))
        record = LogRecord(priority, self.next, moment, text)
        self.next += 1
        self._end = place + size
        self._commit()
        return record

    def _make_room(self, begin: int, end: int, *, wraps: bool) -> None:
        """Leave out the oldest records that stand between two places, or, before a new lap, behind the newest one."""
        before = self.first
        while self._places:
            oldest, its_end = self._places[0]
            overlaps = oldest < end and its_end > begin
            behind = wraps and oldest >= self._end
            if not overlaps and not behind:
                break
            self._places.popleft()
            self.first += 1
        if self.first != before:
            self._commit()

    def clear(self) -> None:
        """Have readers that ask for it begin with the next record."""
        self.cleared = self.next
        self._commit()

    def at(self, sequence: int) -> LogRecord | None:
        """Return a record; None if it is not there, no more or not yet."""
        index = sequence - self.first
        if not 0 <= index < len(self._places):
            return None
        place, end = self._places[index]
        _, priority, moment = _RECORD.unpack_from(self._memory, place)
        return LogRecord(priority, sequence, moment, bytes(self._memory[place + _RECORD.size : end]))

    def records(self) -> Iterator[LogRecord]:
        """Yield all that are there, oldest first."""
        for sequence in range(self.first, self.next):
            record = self.at(sequence)
            if record is not None:
                yield record
