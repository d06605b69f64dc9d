"""A core that is kept in a guest, in a directory that stands for the guest's root."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from insula.engine.dump import corelook
from insula.engine.dump.corelook import copied, take_core
from insula.kernel.fds import Fd


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def visited(arguments: Mapping[str, Any], fds: Mapping[str, Fd]) -> Fd:
        return Fd(os.open(tmp_path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))

    monkeypatch.setattr(corelook, "visit", visited)
    (tmp_path / "crash").mkdir()
    return tmp_path


def take(content: bytes, path: str = "/crash/core", most: int = 1 << 20) -> dict[str, Any]:
    with open(os.memfd_create("core"), "wb+") as stream:
        stream.write(content)
        stream.seek(0)
        arguments = {"path": path, "most": most, "uid": os.getuid(), "gid": os.getgid()}
        return take_core(arguments, {"stream": Fd(stream.fileno())})


def test_a_core_is_a_new_file_that_its_owner_alone_reads(root: Path) -> None:
    assert take(b"ELF" * 1000) == {"name": "core", "size": 3000, "cut": False}
    found = root / "crash/core"
    assert found.read_bytes() == b"ELF" * 1000
    assert stat.S_IMODE(found.stat().st_mode) == 0o600


def test_what_is_beyond_the_limit_is_cut(root: Path) -> None:
    assert take(b"x" * 4097, most=4096) == {"name": "core", "size": 4096, "cut": True}
    assert take(b"x" * 4096, most=4096)["cut"] is False
    assert [(root / f"crash/{name}").stat().st_size for name in ("core", "core.1")] == [4096, 4096]


def test_zeros_are_holes(root: Path) -> None:
    size = 64 << 20
    (root / "zeros").write_bytes(b"")
    with open(os.memfd_create("core"), "wb+") as stream, open(root / "zeros", "wb") as target:
        stream.truncate(size)
        assert copied(stream.fileno(), target.fileno(), size) == (size, False)
    found = (root / "zeros").stat()
    assert (found.st_size, found.st_blocks * 512 < size // 2) == (size, True)


def test_what_is_there_is_never_touched(root: Path) -> None:
    (root / "secret").write_text("as it was")
    (root / "crash/core").symlink_to("/secret")
    assert take(b"x")["name"] == "core.1"
    (root / "crash/one").hardlink_to(root / "secret")
    assert take(b"x", "/crash/one")["name"] == "one.1"
    assert (root / "secret").read_text() == "as it was"
    for _ in range(14):
        take(b"x", "/crash/one")
    with pytest.raises(FileExistsError):
        take(b"x", "/crash/one")


def test_links_lead_nowhere_out_of_the_guest(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (root / "away").symlink_to(outside)
    with pytest.raises(OSError, match="No such file"):
        take(b"x", "/away/core")
    (root / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="Too many levels"):
        take(b"x", "/loop/core")
    (root / "up").symlink_to("../../../../../../crash")
    take(b"x", "/up/core")
    assert (root / "crash/core").exists() and not list(outside.iterdir())


def test_nothing_stays_of_one_for_which_there_is_no_room(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, data: Any) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left"):
            take_from_pipe(b"x" * 100)
    assert not list((root / "crash").iterdir())


def take_from_pipe(content: bytes) -> None:
    stream = os.memfd_create("core")
    os.pwrite(stream, content, 0)
    try:
        take_core({"path": "/crash/core", "most": 1000, "uid": 0, "gid": 0}, {"stream": Fd(stream)})
    finally:
        os.close(stream)
