"""Removing trees that fight back, and measuring them. What needs root is in tests/system/test_clones.py."""

import os
from pathlib import Path

import pytest

from insula.storage.removal import disk_usage, remove_tree
from tests.descriptors import open_fds


def remove(directory: Path, name: str) -> None:
    parent = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        remove_tree(parent, name)
    finally:
        os.close(parent)


def test_a_tree_with_every_kind_of_file_is_removed(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "a/b/c").mkdir(parents=True)
    (tree / "a/file").write_text("x")
    (tree / "a/dangling").symlink_to("/nonexistent")
    os.mkfifo(tree / "a/b/fifo")
    (tree / os.fsdecode(b"bad\xffname\n")).write_text("y")
    remove(tmp_path, "tree")
    assert os.listdir(tmp_path) == []


def test_links_are_removed_and_never_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    tree = tmp_path / "tree"
    (tree / "below").mkdir(parents=True)
    (tree / "absolute").symlink_to(outside)
    (tree / "below/relative").symlink_to("../../outside")
    (tree / "below/up").symlink_to("..")
    remove(tmp_path, "tree")
    assert (outside / "precious").read_text() == "x"
    assert os.listdir(tmp_path) == ["outside"]


def test_a_link_in_the_place_of_the_tree_goes_and_its_target_stays(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/precious").write_text("x")
    (tmp_path / "tree").symlink_to("outside")
    remove(tmp_path, "tree")
    assert (tmp_path / "outside/precious").exists()
    assert not (tmp_path / "tree").is_symlink()


def test_a_file_in_the_place_of_the_tree_goes(tmp_path: Path) -> None:
    (tmp_path / "tree").write_text("x")
    remove(tmp_path, "tree")
    assert os.listdir(tmp_path) == []


def test_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    remove(tmp_path, "tree")


def test_depth_costs_neither_stack_nor_descriptors(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    current = os.open(tmp_path / "tree", os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=current)
        below = os.open("d", os.O_RDONLY, dir_fd=current)
        os.close(current)
        current = below
    os.close(current)
    remove(tmp_path, "tree")
    assert os.listdir(tmp_path) == []


def test_names_we_would_choose_may_be_taken(tmp_path: Path) -> None:
    deep = tmp_path / "tree" / "/".join("d" * 60)
    deep.mkdir(parents=True)
    (tmp_path / "tree/.deep-0").write_text("a file where a directory would be moved to")
    (tmp_path / "tree/.deep-1").mkdir()
    (tmp_path / "tree/.deep-1/full").write_text("x")
    remove(tmp_path, "tree")
    assert os.listdir(tmp_path) == []


def test_a_failure_leaves_no_descriptor_open(tmp_path: Path) -> None:
    before = open_fds()
    with pytest.raises(OSError, match="name too long"):
        remove(tmp_path, "x" * 300)
    remove(tmp_path, "nothing")
    assert open_fds() == before


def test_files_with_two_names_count_once(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x" * 100_000)
    single = disk_usage(tmp_path)
    os.link(tmp_path / "one", tmp_path / "two")
    assert single >= 100_000
    assert disk_usage(tmp_path) == single


def test_holes_do_not_count(tmp_path: Path) -> None:
    with (tmp_path / "hole").open("wb") as file:
        file.truncate(10_000_000)
    assert disk_usage(tmp_path) < 1_000_000


def test_links_out_of_the_tree_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 1_000_000)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/link").symlink_to("../big")
    assert disk_usage(tmp_path / "tree") < 100_000
