"""Allow lists for single arguments of system calls, as a program for `kernel.seccomp.load`.

libseccomp can refuse a value of an argument, but not every value except some with an errno of their own: these programs
are assembled here, and chained before its own. Sources: seccomp(2), linux/filter.h, linux/audit.h.
"""

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from insula.kernel.seccomp import COMPANIONS, Condition, number_on

_LOAD_WORD = 0x20
_AND = 0x54
_JUMP_IF_EQUAL = 0x15
_RETURN = 0x06
_GO_ON = 0x05
_LET_PASS = 0x7FFF0000
_FAIL = 0x00050000
_NUMBER = 0
_ARCHITECTURE = 4
_ARGUMENTS = 16
"""Offsets in struct seccomp_data."""
_WHOLE = 0xFFFFFFFF


@dataclass(frozen=True, kw_only=True, slots=True)
class ArgumentList:
    """The values that an argument may have.

    A call of one of names for which every condition holds fails with the errno `refusal`, unless its argument (0..5),
    cut to the bits of mask, is one of values. Only the low 32 bits are looked at, as the kernel does for an int.
    """

    names: tuple[str, ...]
    argument: int
    values: tuple[int, ...]
    refusal: int
    mask: int = _WHOLE
    conditions: tuple[Condition, ...] = ()


def compile_lists(lists: Sequence[ArgumentList]) -> bytes:
    """Return a program that lets every call pass but what these lists refuse, asked in order.

    For this machine's architecture and those it executes beside; calls of others pass, for the next program to answer.
    """
    import pyseccomp

    machine = os.uname().machine
    words = _load(_ARCHITECTURE)
    for name in (None, *COMPANIONS.get(machine, ())):
        architecture = pyseccomp.system_arch() if name is None else getattr(pyseccomp.Arch, name)
        section = _section(lists, int(architecture))
        words += _instruction(_JUMP_IF_EQUAL, int(architecture), if_false=1)
        words += _instruction(_GO_ON, 1)
        words += _instruction(_GO_ON, len(section) // _SIZE)
        words += section
    return words + _instruction(_RETURN, _LET_PASS)


def _section(lists: Sequence[ArgumentList], architecture: int) -> bytes:
    """Return what is asked of one architecture's calls; the accumulator is lost."""
    words = b""
    for names, group in groupby(lists, key=lambda each: each.names):
        numbers = [number for name in names if (number := number_on(architecture, name)) is not None]
        if numbers:
            words += _of_calls(numbers, b"".join(map(_question, group)))
    return words + _instruction(_RETURN, _LET_PASS)


def _of_calls(numbers: Sequence[int], questions: bytes) -> bytes:
    """Return the questions, jumped over unless the call is one of numbers."""
    tests = _load(_NUMBER)
    for index, number in enumerate(numbers):
        tests += _instruction(_JUMP_IF_EQUAL, number, if_true=len(numbers) - index)
    return tests + _instruction(_GO_ON, len(questions) // _SIZE) + questions


def _question(wanted: ArgumentList) -> bytes:
    """Return what refuses a call whose argument is not listed, and else goes on behind itself."""
    answer = _argument(wanted.argument, wanted.mask)
    for index, value in enumerate(wanted.values):
        answer += _instruction(_JUMP_IF_EQUAL, value, if_true=len(wanted.values) - index)
    answer += _instruction(_RETURN, _FAIL | wanted.refusal)
    for each in reversed(wanted.conditions):
        test = _argument(each.argument, each.mask)
        answer = test + _instruction(_JUMP_IF_EQUAL, each.value, if_false=len(answer) // _SIZE) + answer
    return answer


def _argument(number: int, mask: int) -> bytes:
    low = 0 if struct.pack("=H", 1) == struct.pack("<H", 1) else 4
    words = _load(_ARGUMENTS + 8 * number + low)
    return words if mask == _WHOLE else words + _instruction(_AND, mask)


def _load(offset: int) -> bytes:
    return _instruction(_LOAD_WORD, offset)


def _instruction(code: int, value: int, *, if_true: int = 0, if_false: int = 0) -> bytes:
    """One instruction. Jumps count from the next one, and reach 255: a list is short. Raises: struct.error beyond."""
    return struct.pack("=HBBI", code, if_true, if_false, value)


_SIZE = len(_instruction(_RETURN, 0))
