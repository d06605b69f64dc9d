"""Looks at file systems, in a directory that stands for the guest's root; guests are in tests/e2e."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.engine.look import mountlook
from insula.engine.look.mountlook import measure_mounts, sync_mounts, trim_mounts
from insula.kernel.fds import Fd


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "srv").mkdir()
    (tmp_path / "file").touch()
    opened = Fd(os.open(tmp_path, os.O_PATH | os.O_DIRECTORY))
    monkeypatch.setattr(mountlook, "visit", lambda arguments, fds: opened)
    monkeypatch.setattr(mountlook, "open_root", lambda pid, pidfd: opened)
    yield tmp_path
    os.close(opened)


def test_file_systems_of_directories_are_measured_and_others_are_left_out(root: Path) -> None:
    found = measure_mounts({"points": ["/", "/srv", "/file", "/missing"]}, {})
    size = os.statvfs(root)
    assert set(found) == {"/", "/srv"}
    assert found["/srv"][0] == size.f_blocks * size.f_frsize and 0 < found["/srv"][1] <= found["/srv"][0]


def test_each_is_written_out_and_the_first_that_fails_is_told(root: Path) -> None:
    assert sync_mounts({"points": ["/", "/srv"]}, {}) == 2
    with pytest.raises(FileNotFoundError):
        sync_mounts({"points": ["/", "/missing"]}, {})


def test_what_is_trimmed_is_the_file_system_that_was_meant(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = f"{os.major(root.stat().st_dev)}:{os.minor(root.stat().st_dev)}"

    def trim(fd: int, number: int, said: bytes) -> bytes:
        return said[:8] + (4096).to_bytes(8, "little") + said[16:]

    monkeypatch.setattr("fcntl.ioctl", trim)
    mounts = [{"point": "/", "device": device}, {"point": "/srv", "device": "7:77"}]
    assert trim_mounts({"pid": 1, "mounts": mounts, "least": 0}, {"init": Fd(0)}) == {"/": 4096}


@pytest.mark.parametrize(("number", "told"), [(errno.EOPNOTSUPP, {}), (errno.EIO, None)])
def test_a_device_that_cannot_be_trimmed_is_left_out_and_one_that_fails_is_told(
    root: Path, monkeypatch: pytest.MonkeyPatch, number: int, told: dict[str, int] | None
) -> None:
    def refuse(fd: int, number_of_call: int, said: bytes) -> bytes:
        raise OSError(number, os.strerror(number))

    device = f"{os.major(root.stat().st_dev)}:{os.minor(root.stat().st_dev)}"
    monkeypatch.setattr("fcntl.ioctl", refuse)
    arguments = {"pid": 1, "mounts": [{"point": "/", "device": device}], "least": 0}
    if told is None:
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            trim_mounts(arguments, {"init": Fd(0)})
    else:
        assert trim_mounts(arguments, {"init": Fd(0)}) == told
