import os

import pytest

from insula.kernel import bpf
from insula.kernel.bpf import Register
from insula.kernel.fds import Fd
from tests.descriptors import open_fds


def test_an_instruction_has_the_kernels_layout() -> None:
    assert bpf.load_word(Register.R2, Register.R1, 4).encoded() == bytes([0x61, 0x12, 4, 0, 0, 0, 0, 0])
    assert bpf.move(Register.R0, 1).encoded() == bytes([0xB7, 0x00, 0, 0, 1, 0, 0, 0])
    assert bpf.copy(Register.R3, Register.R2).encoded() == bytes([0xBF, 0x23, 0, 0, 0, 0, 0, 0])


def test_a_negative_number_is_sign_extended_by_the_kernel() -> None:
    assert bpf.mask(Register.R0, -2).encoded()[4:] == bytes([0xFE, 0xFF, 0xFF, 0xFF])


def test_leaving_a_block_goes_to_just_behind_it() -> None:
    leave = bpf.leave_unless(Register.R2, 7)
    offsets = [each.offset for each in bpf.block(leave, leave, bpf.move(Register.R0, 1))]
    assert offsets == [2, 1, 0]


def test_a_program_is_its_instructions_one_after_the_other() -> None:
    program = bpf.assemble(bpf.leave_program(1))
    assert program == bpf.move(Register.R0, 1).encoded() + bytes([0x95, 0, 0, 0, 0, 0, 0, 0])


@pytest.mark.requires("bpf.cgroup_device")
def test_a_refused_program_is_explained_in_the_verifiers_words() -> None:
    with pytest.raises(OSError, match=r"refused the program: .*exit") as refusal:
        bpf.load_program(bpf.CGROUP_DEVICE, bpf.assemble([bpf.move(Register.R0, 1)]), "test")
    assert refusal.value.filename == "test"


def test_the_latest_few_programs_are_kept_and_each_is_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[bytes] = []

    def load(kind: bpf.ProgramKind, program: bytes, name: str) -> Fd:
        loaded.append(program)
        return Fd(os.dup(0))

    monkeypatch.setattr(bpf, "load_program", load)
    before = open_fds()
    programs = bpf.LoadedPrograms()
    numbers = [bytes([number]) for number in range(20)]
    for each in (*numbers, numbers[-1], numbers[-2]):
        assert programs.fd(bpf.CGROUP_DEVICE, each, "test") >= 0
    assert loaded == numbers
    assert len(open_fds()) - len(before) == 16
    programs.fd(bpf.CGROUP_DEVICE, numbers[0], "test")
    assert loaded[-1] == numbers[0]
    programs.close()
    assert open_fds() == before
