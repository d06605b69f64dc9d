"""Programs of system calls packed by hand, by what docs/reference/programs.md says, not by the engine's own code."""

import struct
from dataclasses import dataclass, field
from typing import NamedTuple

from tests import callnumbers

HEADER_SIZE, RECORD_SIZE = 64, 80
CHANNEL_AT = 32
EXACT, WHATEVER, AGAIN, PARENT_SKIPS = 1, 2, 4, 8
COMPARE, STORE = -1, -2
_ALL = (1 << 64) - 1


class Argument(NamedTuple):
    """kind: 0 value, 1 pointer, 2 result, 3 loaded."""

    kind: int
    value: int


def pointer(offset: int) -> Argument:
    """An address in the image, by its offset from the data's beginning; `image` counts from the image's."""
    return Argument(-1, offset)


def image(offset: int) -> Argument:
    return Argument(1, offset)


def result(record: int) -> Argument:
    return Argument(2, record)


def loaded(offset: int) -> Argument:
    """Four bytes in the data."""
    return Argument(-3, offset)


CHANNEL = Argument(3, CHANNEL_AT)


@dataclass
class Packed:
    """A program. Offsets into the data are known before the records are: there is room for a hundred."""

    records: list[bytes] = field(default_factory=list)
    data: bytearray = field(default_factory=bytearray)
    relocations: list[int] = field(default_factory=list)
    magic: bytes = b"INSULAP\x01"

    DATA_AT = HEADER_SIZE + 100 * RECORD_SIZE

    def call(
        self,
        number: int | str,
        *arguments: int | Argument,
        flags: int = 0,
        wanted: int = 0,
        errno: int = 0,
        skip: int = 0,
    ) -> int:
        """Add a record; return its index."""
        kinds, values = 0, []
        for position, each in enumerate(arguments):
            kind, value = each if isinstance(each, Argument) else Argument(0, each)
            values.append((value if kind >= 0 else value + self.DATA_AT) & _ALL)
            kinds |= abs(kind) << 2 * position
        values += [0] * (6 - len(values))
        number = callnumbers.NUMBERS[number] if isinstance(number, str) else number
        head = struct.pack("<iHHHHIq", number, kinds, flags, skip, errno, 0, wanted)
        self.records.append(head + struct.pack("<6Qq", *values, 0))
        return len(self.records) - 1

    def put(self, content: bytes) -> int:
        """Add data, at a multiple of 8; return its offset."""
        self.data += bytes(-len(self.data) % 8)
        self.data += content
        return len(self.data) - len(content)

    def relocate(self, offset: int, target: int) -> None:
        """Have the eight bytes at an offset of the data hold the address of another."""
        struct.pack_into("<Q", self.data, offset, target + self.DATA_AT)
        self.relocations.append(offset + self.DATA_AT)

    def say(self, content: bytes) -> int:
        return self.call("write", CHANNEL, pointer(self.put(content)), len(content))

    def show(self) -> int:
        """Send all of the image to the channel, results included."""
        return self.call("write", CHANNEL, image(0), self.DATA_AT + 1024)

    def end(self, status: int = 0) -> int:
        return self.call("exit_group", status)

    def encoded(self) -> bytes:
        assert len(self.records) <= 100 and len(self.data) <= 16384
        relocations_at = self.DATA_AT + 16384
        size = relocations_at + 4 * len(self.relocations)
        header = struct.pack(
            "<8sIIIIIii",
            self.magic,
            size,
            len(self.records),
            HEADER_SIZE,
            len(self.relocations),
            relocations_at,
            -1,
            -1,
        )
        records = b"".join(self.records).ljust(100 * RECORD_SIZE, b"\0")
        tail = struct.pack(f"<{len(self.relocations)}I", *self.relocations)
        return header.ljust(HEADER_SIZE, b"\0") + records + bytes(self.data).ljust(16384, b"\0") + tail


def results(shown: bytes, count: int) -> list[int]:
    """Return the first records' results, of what `show` sent."""
    return [
        struct.unpack_from("<q", shown, HEADER_SIZE + RECORD_SIZE * index + RECORD_SIZE - 8)[0]
        for index in range(count)
    ]
