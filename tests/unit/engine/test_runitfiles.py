"""What runit is asked for stands in its two files, and only there."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.engine.runitfiles import mark_stop


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    """A guest's root as upstream's runit has it, a link in it as most distributions make it."""
    (tmp_path / "run/runit").mkdir(parents=True)
    (tmp_path / "etc/runit").mkdir(parents=True)
    (tmp_path / "etc/runit/stopit").symlink_to("/run/runit/stopit")
    fd = os.open(tmp_path, os.O_PATH)
    yield fd
    os.close(fd)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_reboot_sets_both_files_and_makes_what_is_missing(root: int, tmp_path: Path) -> None:
    assert mark_stop(root, reboot=True)
    assert mode(tmp_path / "run/runit/stopit") == mode(tmp_path / "etc/runit/reboot") == 0o100
    assert mode(tmp_path / "run/runit.stopit") == mode(tmp_path / "run/runit.reboot") == 0o100


def test_a_poweroff_takes_back_a_reboot_and_makes_no_file_for_that(root: int, tmp_path: Path) -> None:
    (tmp_path / "run/runit.reboot").touch(0o100)
    assert mark_stop(root, reboot=False)
    assert mode(tmp_path / "run/runit.reboot") == 0
    assert mode(tmp_path / "run/runit.stopit") == 0o100
    assert not (tmp_path / "etc/runit/reboot").exists()


def test_a_root_without_any_place_for_them_is_told(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_PATH)
    try:
        assert not mark_stop(fd, reboot=True)
    finally:
        os.close(fd)
    assert list(tmp_path.iterdir()) == []


def test_neither_a_link_out_nor_what_is_no_file_is_touched(root: int, tmp_path: Path) -> None:
    outside = tmp_path.parent / "outside-of-runit"
    outside.touch(0o600)
    (tmp_path / "run/runit.reboot").symlink_to(f"../../{outside.name}")
    os.mkfifo(tmp_path / "run/runit.stopit", 0o600)
    mark_stop(root, reboot=True)
    assert mode(outside) == 0o600
    assert mode(tmp_path / "run/runit.stopit") == 0o600
