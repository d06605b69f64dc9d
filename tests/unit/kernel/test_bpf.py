import os

import pytest

from insula.kernel import bpf
from insula.kernel.bpfassembler import BpfAssembler, Register
from insula.kernel.fds import Fd
from tests.descriptors import open_fds


@pytest.mark.requires("bpf.cgroup_device")
def test_a_refused_program_is_explained_in_the_verifiers_words() -> None:
    endless = BpfAssembler()
    endless.move(Register.R0, 1)
    with pytest.raises(OSError, match=r"refused the program: .*exit") as refusal:
        bpf.load_program(bpf.CGROUP_DEVICE, endless.program(), "test")
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
