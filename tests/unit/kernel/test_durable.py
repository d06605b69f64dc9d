"""Files are whole or not there."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from insula.kernel.durable import (
    NEW_PREFIX,
    Commit,
    Durability,
    make_link,
    make_mark,
    remove_file,
    replace_file,
    sweep,
    sync_directory,
    sync_filesystem,
)
from tests.faults import faults


@pytest.mark.parametrize("durability", list(Durability))
def test_a_file_is_replaced_as_a_whole(tmp_path: Path, durability: Durability) -> None:
    path = tmp_path / "web.xml"
    replace_file(path, b"old", durability)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with path.open("rb") as reader:
        replace_file(path, b"new", durability, mode=0o644)
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert os.listdir(tmp_path) == ["web.xml"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "web.xml"
    path.mkdir()
    with pytest.raises(IsADirectoryError, match=r"web\.xml"):
        replace_file(path, b"text")
    assert os.listdir(tmp_path) == ["web.xml"]


def test_a_disk_that_is_full_is_told_with_the_file_that_was_to_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        replace_file(tmp_path / "record", b"x")
    assert caught.value.errno == errno.ENOSPC and caught.value.filename == str(tmp_path / "record")
    assert not list(tmp_path.iterdir())


def test_a_link_in_its_place_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("precious")
    (tmp_path / "link").symlink_to("target")
    replace_file(tmp_path / "link", b"x")
    assert (tmp_path / "target").read_text() == "precious"
    assert not (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("durability", list(Durability))
def test_removing_a_file_that_is_gone_is_no_error(tmp_path: Path, durability: Durability) -> None:
    path = tmp_path / "web.xml"
    path.write_text("")
    remove_file(path, durability)
    remove_file(path, durability)
    assert not path.exists()


def test_what_a_dead_writer_left_is_swept(tmp_path: Path) -> None:
    (tmp_path / f"{NEW_PREFIX}0123").write_text("half")
    (tmp_path / "web.xml").write_text("whole")
    sweep(tmp_path)
    assert os.listdir(tmp_path) == ["web.xml"]


def test_syncing_takes_a_directory_and_any_fd(tmp_path: Path) -> None:
    sync_directory(tmp_path)
    fd = os.open(tmp_path, os.O_RDONLY)
    sync_filesystem(fd)
    os.close(fd)
    with pytest.raises(OSError, match="sync_filesystem"):
        sync_filesystem(fd)


CHANGES: dict[str, Callable[[Path], Commit]] = {
    "replace": lambda path: replace_file(path, b"new"),
    "link": lambda path: make_link(path.with_name("link"), path.name),
    "mark": lambda path: make_mark(path.with_name("mark")),
    "remove": remove_file,
}


def seen(directory: Path) -> dict[str, bytes]:
    """What a reader finds, without what a dead writer would leave."""
    return {name: (directory / name).read_bytes() for name in os.listdir(directory) if not name.startswith(NEW_PREFIX)}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
def test_an_error_means_that_nothing_has_changed_and_what_failed_later_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, lasting: bool
) -> None:
    CHANGES[change](_fresh(tmp_path / "done") / "web.xml")
    done, before = seen(tmp_path / "done"), {"web.xml": b"old"}
    number, met, outcomes = 0, True, set()
    while met:
        number += 1
        directory = _fresh(tmp_path / f"{number}")
        with faults(directory, monkeypatch) as disk:
            disk.number, disk.lasting = number, lasting
            try:
                commit = CHANGES[change](directory / "web.xml")
            except OSError:
                assert seen(directory) == before, f"raised, and changed something: {disk.failed}"
                outcomes.add("raised")
            else:
                assert seen(directory) == done, f"did nothing, and raised nothing: {disk.failed}"
                assert (commit.unsynced is not None) == bool(disk.failed)
                outcomes.add("unsynced" if disk.failed else "done")
        met = bool(disk.failed)
    assert outcomes == {"raised", "unsynced", "done"}


def _fresh(directory: Path) -> Path:
    directory.mkdir()
    (directory / "web.xml").write_text("old")
    return directory


def test_without_a_descriptor_for_the_sync_nothing_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _fresh(tmp_path / "d") / "web.xml"
    opened = os.open

    def exhausted(name: str, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_DIRECTORY:
            raise OSError(errno.EMFILE, "Too many open files")
        return opened(name, flags, mode)

    monkeypatch.setattr(os, "open", exhausted)
    with pytest.raises(OSError, match="Too many open files"):
        remove_file(path)
    with pytest.raises(OSError, match="Too many open files"):
        replace_file(path, b"new")
    assert path.read_text() == "old"


def test_what_cannot_be_swept_is_returned_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"{NEW_PREFIX}0123").write_text("half")
    with faults(tmp_path, monkeypatch) as disk:
        disk.number, disk.error = 1, errno.EROFS
        error = sweep(tmp_path)
    assert error is not None
    assert error.errno == errno.EROFS
    assert sweep(tmp_path) is None
    assert sweep(tmp_path / "missing") is None
    assert os.listdir(tmp_path) == []
