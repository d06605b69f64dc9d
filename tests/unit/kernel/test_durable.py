"""Files that are replaced whole."""

import os
from pathlib import Path

import pytest

from insula.kernel.durable import replace_durably, sync_directory, sync_filesystem


def test_a_file_is_made_with_its_mode_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    replace_durably(path, b"one")
    assert path.stat().st_mode & 0o777 == 0o600
    replace_durably(path, b"two", mode=0o644)
    assert path.read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["state.json"]


def test_when_it_cannot_be_replaced_it_is_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.mkdir()
    (path / "full").touch()
    with pytest.raises(OSError, match=r"state\.json"):
        replace_durably(path, b"x")
    assert os.listdir(tmp_path) == ["state.json"]


def test_whoever_has_it_open_keeps_reading_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    replace_durably(path, b"old")
    with path.open("rb") as reader:
        replace_durably(path, b"new")
        assert reader.read() == b"old"


def test_a_link_in_its_place_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("precious")
    (tmp_path / "link").symlink_to("target")
    replace_durably(tmp_path / "link", b"x")
    assert (tmp_path / "target").read_text() == "precious"
    assert not (tmp_path / "link").is_symlink()


def test_syncing_takes_a_directory_and_any_fd(tmp_path: Path) -> None:
    sync_directory(tmp_path)
    fd = os.open(tmp_path, os.O_RDONLY)
    sync_filesystem(fd)
    os.close(fd)
    with pytest.raises(OSError, match="sync_filesystem"):
        sync_filesystem(fd)
