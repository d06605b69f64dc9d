"""Tests of insula.kernel.bpfassembler: bytes as the kernel takes them, and jumps that lead where they should."""

import struct

import pytest

from insula.kernel.bpfassembler import BpfAssembler, Comparison, JumpTarget, Register


def instructions(program: BpfAssembler) -> list[tuple[int, int, int, int]]:
    """Return opcode, registers, offset and number of each."""
    return list(struct.iter_unpack("=BBhi", program.program()))


@pytest.mark.parametrize("number", [1, -2])
def test_an_instruction_has_the_kernels_layout(number: int) -> None:
    program = BpfAssembler()
    program.load_word(Register.R2, Register.R1, 4)
    program.copy(Register.R3, Register.R2)
    program.mask(Register.R0, number)
    assert instructions(program) == [(0x61, 0x12, 4, 0), (0xBF, 0x23, 0, 0), (0x54, 0x00, 0, number)]


def test_a_jump_goes_to_just_behind_its_label() -> None:
    program, end = BpfAssembler(), JumpTarget()
    program.jump_if(Register.R2, Comparison.UNEQUAL, 7, end)
    program.jump_if(Register.R2, Comparison.ABOVE, 9, end)
    program.move(Register.R0, 1)
    program.here(end)
    program.leave(0)
    assert [each[2] for each in instructions(program)] == [2, 1, 0, 0, 0]


def test_what_no_way_leads_to_is_left_out() -> None:
    program, used, unused = BpfAssembler(), JumpTarget(), JumpTarget()
    program.jump(used)
    program.move(Register.R0, 1)
    program.here(unused)
    program.leave(1)
    program.here(used)
    program.leave(0)
    assert instructions(program) == [(0x05, 0, 0, 0), (0xB7, 0, 0, 0), (0x95, 0, 0, 0)]


def test_a_jump_back_is_refused() -> None:
    program, start = BpfAssembler(), JumpTarget()
    program.here(start)
    with pytest.raises(ValueError, match="leads back"):
        program.jump(start)


def test_a_label_that_stands_nowhere_is_an_error() -> None:
    program = BpfAssembler()
    program.jump(JumpTarget())
    with pytest.raises(KeyError):
        program.program()
