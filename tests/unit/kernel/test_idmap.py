"""Tests of insula.kernel.idmap."""

import os
from pathlib import Path

import pytest

from insula.kernel.fds import Fd
from insula.kernel.idmap import map_text, outside, write_maps

EXTENTS = [(0, 100000, 1000), (1000, 5000, 1), (2000, 200000, 10)]


def test_a_map_is_a_line_an_extent() -> None:
    assert map_text(EXTENTS) == b"0 100000 1000\n1000 5000 1\n2000 200000 10\n"


@pytest.mark.parametrize(
    ("inside", "expected"),
    [(0, 100000), (999, 100999), (1000, 5000), (1001, None), (2009, 200009), (2010, None)],
)
def test_an_id_inside_has_one_outside_or_none(inside: int, expected: int | None) -> None:
    assert outside(EXTENTS, inside) == expected


def test_both_maps_are_written_whole(tmp_path: Path) -> None:
    for name in ("uid_map", "gid_map"):
        (tmp_path / name).touch()
    process = Fd(os.open(tmp_path, os.O_PATH | os.O_DIRECTORY))
    write_maps(process, EXTENTS, EXTENTS[:1])
    assert (tmp_path / "uid_map").read_bytes() == map_text(EXTENTS)
    assert (tmp_path / "gid_map").read_bytes() == map_text(EXTENTS[:1])
    os.close(process)
