"""Plays programs with Python: in a forked keeper, and as what other players are compared with.

It is part of the keeper, and of every child that is forked from it: it imports next to nothing.
"""

import ctypes
import errno
import os
import socket
import struct
from typing import NoReturn

from insula.engine.program.image import (
    ARGUMENTS,
    AT_OFFSET,
    ATTEMPTS,
    BEFORE_ANY_RECORD,
    CHANNEL_OFFSET,
    COMPARE,
    FAILED,
    HEADER,
    HEADER_SIZE,
    IMAGE_MAX,
    MAGIC,
    RECORD,
    RECORD_SIZE,
    RELOCATION,
    RESULT_OFFSET,
    STORE,
    ArgumentKind,
    RecordFlag,
)

_NUMBER = struct.Struct("<i")
_LONG = struct.Struct("<q")
_WORD = struct.Struct("<Q")
_ALL = (1 << 64) - 1
_LOW = 0xFFFFFFFF
# Plain numbers: a program has some hundred records, and looking at enumerations would take longer than most calls.
_POINTER, _RESULT, _LOADED = int(ArgumentKind.POINTER), int(ArgumentKind.RESULT), int(ArgumentKind.LOADED)
_EXACT, _WHATEVER, _AGAIN, _PARENT_SKIPS = (
    int(each) for each in (RecordFlag.EXACT, RecordFlag.WHATEVER, RecordFlag.AGAIN, RecordFlag.PARENT_SKIPS)
)

# Keeping the interpreter's lock: after a clone nobody else is there to give it back.
_syscall = ctypes.PyDLL(None, use_errno=True)["syscall"]
_syscall.argtypes = [ctypes.c_long] * (ARGUMENTS + 1)
_syscall.restype = ctypes.c_long


# Not by the module mmap: that ends a mapping with its object.
_mmap = ctypes.PyDLL(None, use_errno=True)["mmap"]
_mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_mmap.restype = ctypes.c_void_p
_READABLE, _WRITABLE, _PRIVATE, _ANONYMOUS = 0x1, 0x2, 0x2, 0x20
_NO_ADDRESS = _ALL
"""Source: mmap(2)."""


class Player:
    """One program in a copy of its image."""

    def __init__(self, image: int, channel: int) -> None:
        """image: an fd of a file that holds it, which may be closed afterwards; channel: what `failed` is said on.

        Raises: ValueError if it is no image of this version; OSError.
        """
        size = os.fstat(image).st_size
        if not HEADER_SIZE <= size <= IMAGE_MAX:
            raise ValueError(f"not a program: it has {size} bytes")
        # Not a mapping of the file: who looks into us would find a file there.
        self._base = _mmap(None, size, _READABLE | _WRITABLE, _PRIVATE | _ANONYMOUS, -1, 0)
        if self._base == _NO_ADDRESS:
            raise OSError(ctypes.get_errno(), "there is no memory for the program")
        self._memory = memoryview((ctypes.c_char * size).from_address(self._base)).cast("B")
        if os.preadv(image, [self._memory], 0) != size:
            raise ValueError("not a program: it has become shorter")
        magic, said, self._count, self._records, relocations, at, _, _ = HEADER.unpack_from(self._memory)
        end = max(self._records + RECORD_SIZE * self._count, at + RELOCATION.size * relocations)
        if magic != MAGIC or said != size or end > size:
            raise ValueError("not a program of this version")
        for index in range(relocations):
            (place,) = RELOCATION.unpack_from(self._memory, at + RELOCATION.size * index)
            (value,) = _WORD.unpack_from(self._memory, place)
            _WORD.pack_into(self._memory, place, value + self._base & _ALL)
        _NUMBER.pack_into(self._memory, CHANNEL_OFFSET, channel)

    @property
    def channel(self) -> int:
        """The channel's number, which a program may change."""
        return int(_NUMBER.unpack_from(self._memory, CHANNEL_OFFSET)[0])

    @property
    def results(self) -> list[int]:
        """What each record has returned; 0 for those that were not played."""
        places = range(self._records + RESULT_OFFSET, self._records + RECORD_SIZE * self._count, RECORD_SIZE)
        return [_LONG.unpack_from(self._memory, place)[0] for place in places]

    def play(self) -> tuple[int, int] | None:
        """Play the records; return the index and the errno of the one that failed, None if the last is played.

        The errno is 0 if a result was not negative and yet not the wanted one.
        """
        memory, base, records = self._memory, self._base, self._records
        index = 0
        while index < self._count:
            _NUMBER.pack_into(memory, AT_OFFSET, index)
            place = records + RECORD_SIZE * index
            number, kinds, flags, skip, passed, _, wanted, *arguments, _ = RECORD.unpack_from(memory, place)
            for position in range(ARGUMENTS):
                kind = kinds >> 2 * position & 3
                if kind == _POINTER:
                    arguments[position] = arguments[position] + base & _ALL
                elif kind == _RESULT:
                    arguments[position] = _LONG.unpack_from(
                        memory, records + RECORD_SIZE * arguments[position] + RESULT_OFFSET
                    )[0]
                elif kind == _LOADED:
                    arguments[position] = _NUMBER.unpack_from(memory, arguments[position])[0]
            result = _performed(number, arguments, flags)
            _LONG.pack_into(memory, place + RESULT_OFFSET, result)
            if passed and result == -passed:
                index += skip
            elif not flags & _WHATEVER and (result != wanted if flags & _EXACT else result < 0):
                return index, -result if result < 0 else 0
            elif flags & _PARENT_SKIPS and result:
                index += skip
            index += 1
        return None


def _performed(number: int, arguments: list[int], flags: int) -> int:
    """Return a call's result, or its errno negated, as the kernel does."""
    if number == COMPARE:
        found = ctypes.c_uint32.from_address(arguments[0]).value
        return 0 if found & arguments[1] & _LOW == arguments[2] & _LOW else -errno.EPERM
    if number == STORE:
        ctypes.c_uint32.from_address(arguments[0]).value = arguments[1] & _LOW
        return 0
    left = ATTEMPTS
    while True:
        result = int(_syscall(number, *arguments))
        if result != -1:
            return result
        code = ctypes.get_errno()
        if code == errno.EAGAIN and flags & _AGAIN:
            left -= 1
            if not left:
                return -code
        elif code != errno.EINTR:
            return -code


def live(image: int, channel: int) -> NoReturn:
    """Play the program, which executes something in the end; say what failed, and end.

    Takes image over, and leaves channel open. The caller has closed all that is not meant for the program.
    """
    failure = (BEFORE_ANY_RECORD, errno.EIO)
    try:
        player = Player(image, channel)
        os.close(image)
        failure = player.play() or failure
        channel = player.channel
    finally:
        try:
            say_failed(channel, *failure)
        finally:
            os._exit(FAILED)


def say_failed(channel: int, index: int, number: int) -> None:
    """Say on a channel which record failed, and with which errno. Raises: OSError."""
    with socket.socket(fileno=channel) as said:
        said.send(b'{"failed":%d,"errno":%d}' % (index, number), socket.MSG_NOSIGNAL)
        said.detach()
