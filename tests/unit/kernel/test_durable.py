"""Files are whole or not there."""

import os
import stat
from pathlib import Path

import pytest

from insula.kernel.durable import (
    NEW_PREFIX,
    Durability,
    remove_file,
    replace_file,
    sweep,
    sync_directory,
    sync_filesystem,
)


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
