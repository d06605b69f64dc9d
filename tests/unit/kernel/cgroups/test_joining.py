import errno
import os
from pathlib import Path

import pytest

from insula.kernel.cgroups import joining
from tests.descriptors import open_fds


def test_no_fd_stays_open_when_one_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "tasks").touch()
    before = len(open_fds())
    with pytest.raises(FileNotFoundError):
        joining.open_all([f"{tmp_path}/tasks", f"{tmp_path}/gone"], os.O_WRONLY)
    assert len(open_fds()) == before


def test_fds_are_not_inherited(tmp_path: Path) -> None:
    (tmp_path / "tasks").touch()
    (fd,) = joining.open_all([f"{tmp_path}/tasks"], os.O_WRONLY)
    assert not os.get_inheritable(fd)
    os.close(fd)


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "no CPUs or memory nodes"),
        (errno.EBUSY, "no process may live in it"),
        (errno.EINVAL, "real-time"),
    ],
)
def test_a_refusal_says_what_to_do(monkeypatch: pytest.MonkeyPatch, number: int, reason: str) -> None:
    def write(path: str, value: str) -> None:
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr("insula.kernel.cgroups.files.write", write)
    with pytest.raises(OSError, match=f"process 17 cannot be moved: .*{reason}") as refusal:
        joining.move(17, "/somewhere/cgroup.procs")
    assert refusal.value.errno == number
