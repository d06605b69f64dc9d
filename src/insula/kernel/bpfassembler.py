"""An assembler of BPF programs: calls that append an instruction each, and labels that jumps lead forward to.

Sources: linux/bpf.h, kernel document `bpf/standardization/instruction-set`. Jumps compare 32 bits, which the kernel
takes since Linux 5.1; constants are in this machine's byte order.
"""

import os
import struct
from dataclasses import dataclass
from enum import IntEnum

_BIG_ENDIAN = os.uname().machine in {"s390x", "ppc64"}


class Register(IntEnum):
    """R0 holds the answer, R1 the context at entry; a call takes R1 to R5 and forgets them; R10 is the stack's end."""

    R0 = 0
    R1 = 1
    R2 = 2
    R3 = 3
    R4 = 4
    R5 = 5
    R6 = 6
    R7 = 7
    R8 = 8
    R9 = 9
    STACK = 10


class Comparison(IntEnum):
    """When a jump is taken: register against a number of 32 bits, without sign."""

    EQUAL = 0x16
    UNEQUAL = 0x56
    ABOVE = 0x26
    BELOW = 0xA6


class _Opcode(IntEnum):
    """Class, operation and source of an instruction in one byte."""

    LOAD_WORD = 0x61
    LOAD_BYTE = 0x71
    STORE_WORD = 0x63
    STORE_HALF = 0x6B
    STORE_WORD_NUMBER = 0x62
    MOVE_NUMBER = 0xB7
    MOVE_REGISTER = 0xBF
    ADD_NUMBER = 0x07
    AND_NUMBER = 0x54
    OR_NUMBER = 0x44
    SHIFT_LEFT_NUMBER = 0x64
    SHIFT_RIGHT_NUMBER = 0x74
    TO_BIG_ENDIAN = 0xDC
    JUMP = 0x05
    JUMP_IF_ZERO = 0x15
    JUMP_IF_BEYOND = 0x2D
    JUMP_IF_SAME_WORD = 0x1E
    CALL = 0x85
    EXIT = 0x95


@dataclass(frozen=True, slots=True, eq=False)
class JumpTarget:
    """A place in a program, before or after it is known."""


@dataclass(frozen=True, slots=True)
class _Instruction:
    opcode: int
    to: int = 0
    source: int = 0
    offset: int = 0
    number: int = 0
    target: JumpTarget | None = None


class BpfAssembler:
    """A program under construction. What no way leads to is left out: the kernel takes no such instructions."""

    def __init__(self) -> None:
        self._instructions: list[_Instruction] = []
        self._places: dict[JumpTarget, int] = {}
        self._targets: set[JumpTarget] = set()
        self._is_reached = True

    def program(self) -> bytes:
        """Return the bytes that the kernel takes. Raises: KeyError for a jump to a label that stands nowhere."""
        return b"".join(self._encoded(place, each) for place, each in enumerate(self._instructions))

    def _encoded(self, place: int, each: _Instruction) -> bytes:
        offset = each.offset if each.target is None else self._places[each.target] - place - 1
        registers = each.to << 4 | each.source if _BIG_ENDIAN else each.to | each.source << 4
        return struct.pack("=BBhI", each.opcode, registers, offset, each.number & 0xFFFFFFFF)

    def _add(
        self,
        opcode: int,
        to: int = 0,
        source: int = 0,
        *,
        offset: int = 0,
        number: int = 0,
        target: JumpTarget | None = None,
    ) -> None:
        if target in self._places:
            raise ValueError("a jump leads back: what no way leads to could not be told")
        if not self._is_reached:
            return
        if target is not None:
            self._targets.add(target)
        self._instructions.append(_Instruction(opcode, to, source, offset, number, target))
        self._is_reached = opcode not in (_Opcode.JUMP, _Opcode.EXIT)

    def here(self, label: JumpTarget) -> None:
        """Let jumps to label lead here: all of them stand before."""
        self._is_reached |= label in self._targets
        self._places[label] = len(self._instructions)

    # Values

    def move(self, to: Register, number: int) -> None:
        """to = number, whose 32 bits are extended with their sign"""
        self._add(_Opcode.MOVE_NUMBER, to, number=number)

    def copy(self, to: Register, source: Register) -> None:
        """to = source"""
        self._add(_Opcode.MOVE_REGISTER, to, source)

    def add(self, to: Register, number: int) -> None:
        """to += number"""
        self._add(_Opcode.ADD_NUMBER, to, number=number)

    def mask(self, to: Register, number: int) -> None:
        """to &= number, of 32 bits"""
        self._add(_Opcode.AND_NUMBER, to, number=number)

    def set_bits(self, to: Register, number: int) -> None:
        """to |= number, of 32 bits"""
        self._add(_Opcode.OR_NUMBER, to, number=number)

    def shift_left(self, to: Register, bits: int) -> None:
        """to <<= bits, of 32 bits"""
        self._add(_Opcode.SHIFT_LEFT_NUMBER, to, number=bits)

    def shift_right(self, to: Register, bits: int) -> None:
        """to >>= bits, of 32 bits"""
        self._add(_Opcode.SHIFT_RIGHT_NUMBER, to, number=bits)

    def from_network_order(self, to: Register) -> None:
        """to = the number that its low 16 bits are in network byte order"""
        self._add(_Opcode.TO_BIG_ENDIAN, to, number=16)

    # Memory

    def load_word(self, to: Register, source: Register, offset: int) -> None:
        """to = the 32 bits at offset from where source points"""
        self._add(_Opcode.LOAD_WORD, to, source, offset=offset)

    def load_byte(self, to: Register, source: Register, offset: int) -> None:
        """to = the byte at offset from where source points"""
        self._add(_Opcode.LOAD_BYTE, to, source, offset=offset)

    def store_word(self, to: Register, offset: int, source: Register) -> None:
        """The 32 bits at offset from where to points = source"""
        self._add(_Opcode.STORE_WORD, to, source, offset=offset)

    def store_half(self, to: Register, offset: int, source: Register) -> None:
        """The 16 bits at offset from where to points = the low ones of source"""
        self._add(_Opcode.STORE_HALF, to, source, offset=offset)

    def store_number(self, to: Register, offset: int, number: int) -> None:
        """The 32 bits at offset from where to points = number"""
        self._add(_Opcode.STORE_WORD_NUMBER, to, offset=offset, number=number)

    # Ways

    def jump(self, target: JumpTarget) -> None:
        self._add(_Opcode.JUMP, target=target)

    def jump_if(self, register: Register, comparison: Comparison, number: int, target: JumpTarget) -> None:
        """Go to target if the low 32 bits of register compare so with number."""
        self._add(comparison, register, number=number, target=target)

    def jump_if_same(self, one: Register, other: Register, target: JumpTarget) -> None:
        """Go to target if the low 32 bits of both registers are the same."""
        self._add(_Opcode.JUMP_IF_SAME_WORD, one, other, target=target)

    def jump_if_null(self, register: Register, target: JumpTarget) -> None:
        """Go to target if all 64 bits of register are zero, as of a pointer."""
        self._add(_Opcode.JUMP_IF_ZERO, register, target=target)

    def jump_if_beyond(self, register: Register, end: Register, target: JumpTarget) -> None:
        """Go to target if register, a pointer, is above end."""
        self._add(_Opcode.JUMP_IF_BEYOND, register, end, target=target)

    def call(self, helper: int) -> None:
        """Call one of the kernel's helpers, by its number; R0 is what it returns."""
        self._add(_Opcode.CALL, number=helper)

    def leave(self, answer: int) -> None:
        """End the program with an answer."""
        self.move(Register.R0, answer)
        self._add(_Opcode.EXIT)
