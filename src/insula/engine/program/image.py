"""The encoding of a program: one blob, little endian, that is played from a private mapping of it.

    offset   what
    0        header, 64 bytes (`HEADER`, then zeros)
    64       records, 80 bytes each (`RECORD`)
    …        relocations: u32 offsets into the image of u64s to which the mapping's address is added
    …        data: texts, structures, and room for what the kernel writes

An offset is counted from the beginning of the image. What each field means is in `docs/reference/programs.md`; a change
of any of it raises `VERSION`.
"""

import struct
from enum import IntEnum, IntFlag

VERSION = 1
MAGIC = b"INSULAP" + bytes((VERSION,))
HEADER = struct.Struct("<8sIIIIIii")
"""magic, size, count of records, their offset, count of relocations, their offset, record being played, channel"""
HEADER_SIZE = 64
AT_OFFSET = 28
CHANNEL_OFFSET = 32
RECORD = struct.Struct("<iHHHHIq6Qq")
"""number, kinds, flags, skip, errno, zero, wanted, six arguments, result"""
RECORD_SIZE = RECORD.size
WANTED_OFFSET, ARGUMENTS_OFFSET, RESULT_OFFSET = 16, 24, 72
"""Of a record's parts, in it."""
RELOCATION = struct.Struct("<I")
ARGUMENTS = 6
SKIP_MAX = 0xFFFF
IMAGE_MAX = 8 << 20
"""Bytes. What is longer is refused: the longest are a few tens of kilobytes, and those that name a user 300."""
BEFORE_ANY_RECORD = -1
GO = b"{}"
"""The content of each message to a program; what it is about travels beside it, as fds."""

ATTEMPTS = 100
"""How often a call that may be tried again is tried."""
FAILED = 127
"""Exit status of a process whose program failed."""


class ArgumentKind(IntEnum):
    """What an argument is, in two bits of a record's `kinds`, the first argument's the lowest."""

    VALUE = 0
    """The argument itself."""
    POINTER = 1
    """An address: the image's and the argument."""
    RESULT = 2
    """What the record of this index has returned."""
    LOADED = 3
    """The four bytes at the argument's offset, as a signed number."""


class RecordFlag(IntFlag):
    """How a record's result is judged. With none, a result that is not negative is success."""

    EXACT = 0x1
    """Success is the wanted result, and nothing else."""
    WHATEVER = 0x2
    """Every result is success."""
    AGAIN = 0x4
    """Try again on EAGAIN, `ATTEMPTS` times at most."""
    PARENT_SKIPS = 0x8
    """Skip if the result is not 0: behind a clone the child goes on with the next record, and its parent does not."""


COMPARE = -1
"""(address, mask, value): 0 if the four bytes at address, cut to the mask, are value, else -EPERM."""
STORE = -2
"""(address, value): write the lower four bytes of value; 0."""
