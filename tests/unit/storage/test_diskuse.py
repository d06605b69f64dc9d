"""What a directory takes is counted where it is, and for so long as one wants to wait."""

import itertools
import os
import subprocess
import time
from pathlib import Path

import pytest

from insula.storage.diskuse import DEPTH_MAX, used_below
from tests.descriptors import open_fds


def test_all_below_is_counted_and_no_link_is_followed(tmp_path: Path) -> None:
    counted, elsewhere = tmp_path / "counted", tmp_path / "elsewhere"
    (counted / "below").mkdir(parents=True)
    elsewhere.mkdir()
    before = used_below(counted, 60.0)
    for directory in (counted / "below", elsewhere):
        (directory / "file").write_bytes(os.urandom(1 << 20))
    (counted / "link").symlink_to(elsewhere)
    (counted / "linked-file").symlink_to(elsewhere / "file")
    after = used_below(counted, 60.0)
    assert not before.partial and not after.partial
    assert 1 << 20 <= after.used - before.used < 2 << 20


def test_when_the_time_is_over_it_may_be_more(tmp_path: Path) -> None:
    for name in range(3):
        (tmp_path / f"{name}").mkdir()
    assert used_below(tmp_path, -1.0).partial


def test_what_is_not_there_takes_nothing_that_is_known(tmp_path: Path) -> None:
    found = used_below(tmp_path / "missing", 60.0)
    assert (found.used, found.partial) == (0, True)


def test_one_directory_with_files_without_number_takes_no_longer_than_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(50):
        (tmp_path / f"{number}").write_bytes(os.urandom(5000))
    whole = used_below(tmp_path, 60.0).used
    clock = itertools.count()
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    found = used_below(tmp_path, 10.0)
    assert found.partial and 0 < found.used < whole / 2


def test_a_tree_without_end_is_counted_as_far_as_descriptors_may_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1200):  # deeper than Python goes, and than any path is long
        os.mkdir("d", dir_fd=directory)
        below = os.open("d", os.O_RDONLY, dir_fd=directory)
        os.close(directory)
        directory = below
    os.close(directory)
    opened, plainly = [0], os.open

    def counted(name: str, flags: int, *, dir_fd: int | None = None) -> int:
        opened[0] += 1
        return plainly(name, flags, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", counted)
    before = open_fds()
    try:
        found = used_below(tmp_path, 60.0)
    finally:
        monkeypatch.undo()
        subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)
    assert found.partial and opened == [DEPTH_MAX] and open_fds() == before
