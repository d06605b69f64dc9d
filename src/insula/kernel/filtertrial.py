"""What a system call filter answers, found out by running its program: as the kernel does, without a call being made.

Sources: linux/filter.h, linux/seccomp.h, seccomp(2).
"""

import struct
from collections.abc import Sequence
from functools import lru_cache

from insula.kernel.classicbpf import INSTRUCTION

_DATA = struct.Struct("=IIQ6Q")
"""struct seccomp_data: number, architecture, instruction pointer, arguments."""
_WORDS = struct.Struct("=16I")
_PASS = 0x7FFF0000
_ACTION = 0xFFFF0000
_FAIL = 0x00050000
_WORD_MASK = 0xFFFFFFFF


def refusal_of(program: bytes, *, architecture: int, number: int, arguments: Sequence[int]) -> int | None:
    """Return the errno that a filter has a call fail with, None if it lets the call pass.

    architecture: as linux/audit.h numbers them; arguments: six at most, as registers hold them.
    Raises: ValueError for a program with anything that `kernel.callfilter` never writes.
    """
    padded = [each & 0xFFFFFFFFFFFFFFFF for each in (*arguments, *(0,) * (6 - len(arguments)))]
    words = _WORDS.unpack(_DATA.pack(number & _WORD_MASK, architecture, 0, *padded))
    answer = _run(_instructions(program), words)
    if answer & _ACTION == _PASS:
        return None
    if answer & _ACTION == _FAIL:
        return answer & ~_ACTION
    raise ValueError(f"the filter answers {answer:#x}, which is neither to pass nor to fail")


@lru_cache(maxsize=8)
def _instructions(program: bytes) -> tuple[tuple[int, int, int, int], ...]:
    return tuple(INSTRUCTION.iter_unpack(program))


def _run(instructions: Sequence[tuple[int, int, int, int]], words: Sequence[int]) -> int:
    accumulator = position = 0
    while position < len(instructions):
        code, if_true, if_false, value = instructions[position]
        position += 1
        match code:
            case 0x20:
                accumulator = words[value // 4]
            case 0x54:
                accumulator &= value
            case 0x05:
                position += value
            case 0x15:
                position += if_true if accumulator == value else if_false
            case 0x35:
                position += if_true if accumulator >= value else if_false
            case 0x06:
                return value
            case _:
                raise ValueError(f"the filter has an instruction {code:#x} that is not known here")
    raise ValueError("the filter ends without an answer")
