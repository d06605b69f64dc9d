"""Executing from a read-only view, without privilege; tests/system/test_entering_processes.py has the rest."""

import os
import sys

import pytest

from insula.kernel import sealing
from insula.kernel.process import CloneFlag


class EnteredProcess(BaseException):
    """What execv was called with."""


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done, in order."""
    journal: list[str] = []

    def execute(program: str, words: list[str]) -> None:
        journal.append(f"execute {program}: {words}")
        raise EnteredProcess

    monkeypatch.setattr(sealing, "unshare", lambda kinds: journal.append(f"unshare {kinds.name}"))
    monkeypatch.setattr(sealing, "setns", lambda fd, kind: journal.append(f"enter {CloneFlag(kind).name}"))
    monkeypatch.setattr(
        sealing, "change", lambda mount, path, **how: journal.append(f"{', '.join(sorted(how))} of {path}")
    )
    monkeypatch.setattr(os, "execv", execute)
    return journal


SEALED = ["unshare NEWNS", "propagation, recursive of /", "add, recursive of /"]
"""Nothing is made read-only before it is ours alone."""


def test_the_command_is_executed_once_all_is_read_only(monkeypatch: pytest.MonkeyPatch, done: list[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["-c", "/bin/true", "--view-fd"])
    with pytest.raises(EnteredProcess):
        sealing.main()
    assert done == [*SEALED, "execute /bin/true: ['/bin/true', '--view-fd']"]


def test_the_view_may_be_that_of_others(monkeypatch: pytest.MonkeyPatch, done: list[str]) -> None:
    view = os.open("/dev/null", os.O_RDONLY)
    monkeypatch.setattr(sys, "argv", ["-c", "--view-fd", str(view), "/bin/true"])
    with pytest.raises(EnteredProcess):
        sealing.main()
    assert done == ["enter NEWNS", *SEALED, "execute /bin/true: ['/bin/true']"]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(view)


def test_whether_this_program_can_be_written_is_asked_of_its_mount() -> None:
    program = os.statvfs(os.path.realpath("/proc/self/exe"))
    assert sealing.sealed() == bool(program.f_flag & os.ST_RDONLY)


def test_the_words_before_a_command_name_an_interpreter_by_its_path() -> None:
    assert os.path.isabs(sealing.SEAL[0])
    assert "insula.kernel.sealing" in sealing.SEAL[-1]
