"""What carries a file's content, in a directory that stands for the guest's root; guests are in tests/system."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from insula.engine.look import filelooks
from insula.engine.look.filelooks import Said, read_file, write_file
from insula.kernel.fds import Fd


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory that whoever visits finds as the guest's root."""

    def visited(arguments: Mapping[str, Any], fds: Mapping[str, Fd]) -> Fd:
        return Fd(os.open(tmp_path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))

    monkeypatch.setattr(filelooks, "visit", visited)
    return tmp_path


def said(look: Said) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a look says when it has opened the file, and its result."""
    opened = next(look)["opened"]
    try:
        next(look)
    except StopIteration as end:
        return opened, end.value
    raise AssertionError("it says more")


def read(path: str) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    reader, writer = os.pipe()
    try:
        opened, result = said(read_file({"path": path}, {"stream": Fd(writer)}))
    finally:
        os.close(writer)
        with open(reader, "rb") as content:
            data = content.read()
    return opened, result, data


def write(path: str, data: bytes, how: str = "w", mode: int | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    reader, writer = os.pipe()
    os.write(writer, data)
    os.close(writer)
    arguments = {"path": path, "how": how, "mode": mode, "new_mode": 0o640, "user": None, "group": None}
    try:
        return said(write_file(arguments, {"stream": Fd(reader)}))
    finally:
        os.close(reader)


def test_a_file_is_read_to_its_end_after_its_facts_were_told(root: Path) -> None:
    (root / "file").write_bytes(b"content")
    (root / "file").chmod(0o640)
    opened, result, data = read("/file")
    assert (opened["size"], opened["mode"], result, data) == (7, 0o640, {"size": 7}, b"content")


def test_links_are_the_guests_own(root: Path) -> None:
    (root / "etc").mkdir()
    (root / "etc/passwd").write_text("the guest's")
    (root / "link").symlink_to("/etc/passwd")
    (root / "out").symlink_to("../../../../etc/passwd")
    assert read("/link")[2] == read("/out")[2] == b"the guest's"


def test_only_regular_files_are_opened_and_errors_name_no_path_of_ours(root: Path) -> None:
    os.mkfifo(root / "pipe")
    (root / "fd").symlink_to("/proc/self/fd/0")
    with pytest.raises(OSError, match="no regular file"):
        read("/pipe")
    with pytest.raises(IsADirectoryError):
        read("/")
    for path in ("/missing", "/fd"):
        with pytest.raises(FileNotFoundError) as caught:
            read(path)
        assert (caught.value.strerror, caught.value.filename) == ("No such file or directory", None)


def test_a_new_file_gets_the_mode_for_new_ones_and_another_keeps_its_own(root: Path) -> None:
    assert write("/file", b"a long one")[1] == {"size": 10}
    assert stat.S_IMODE((root / "file").stat().st_mode) == 0o640
    (root / "file").chmod(0o604)
    write("/file", b"short")
    assert (root / "file").read_bytes() == b"short"
    assert stat.S_IMODE((root / "file").stat().st_mode) == 0o604
    write("/file", b"", mode=0o600)
    assert stat.S_IMODE((root / "file").stat().st_mode) == 0o600


def test_a_file_can_be_added_to_and_one_that_is_there_is_not_made(root: Path) -> None:
    write("/file", b"one", how="a")
    write("/file", b"two", how="a")
    assert (root / "file").read_bytes() == b"onetwo"
    with pytest.raises(FileExistsError):
        write("/file", b"", how="x")
