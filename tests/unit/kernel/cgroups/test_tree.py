import errno
import os
from pathlib import Path

import pytest

from insula.kernel.cgroups import tree


def test_missing_groups_above_are_made(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    tree.make(str(tmp_path), "a/b/c.scope")
    assert (tmp_path / "a/b/c.scope").is_dir()


def test_a_group_that_is_there_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "c.scope").mkdir()
    with pytest.raises(FileExistsError):
        tree.make(str(tmp_path), "c.scope")


def test_the_groups_above_are_named_from_the_top() -> None:
    assert tree.ancestors("a/b/c") == ("a", "a/b")
    assert tree.ancestors("a") == ()


def test_a_tree_deeper_than_any_path_may_be_is_removed(tmp_path: Path) -> None:
    top = tmp_path / "c.scope"
    top.mkdir()
    fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    for level in range(60):
        name = f"{level:03}" + "x" * 97
        for sibling in ("s", name):
            os.mkdir(sibling, dir_fd=fd)
        below = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    tree.remove(str(top), 1)
    assert not top.exists()


def test_removing_what_is_gone_is_no_error(tmp_path: Path) -> None:
    tree.remove(str(tmp_path / "gone"), 0)


def test_a_group_in_use_is_given_up_after_the_time_limit(tmp_path: Path) -> None:
    (tmp_path / "c.scope").mkdir()
    (tmp_path / "c.scope" / "cgroup.procs").touch()  # a file that stays, so the directory does
    with pytest.raises(OSError, match="still in use") as refusal:
        tree.remove(str(tmp_path / "c.scope"), 0.01)
    assert refusal.value.errno == errno.EBUSY


def test_only_marked_groups_above_are_removed_and_only_when_empty(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    tree.make(str(tmp_path), "theirs/ours/deeper/c.scope")
    tree.make(str(tmp_path), "theirs/ours/d.scope")
    (tmp_path / "theirs/ours/deeper/c.scope").rmdir()
    tree.remove_marked_above(str(tmp_path), "theirs/ours/deeper/c.scope")
    assert sorted(path.name for path in (tmp_path / "theirs/ours").iterdir()) == ["d.scope"]
    (tmp_path / "theirs/ours/d.scope").rmdir()
    tree.remove_marked_above(str(tmp_path), "theirs/ours/d.scope")
    assert list((tmp_path / "theirs").iterdir()) == []


def test_a_group_is_a_directory(tmp_path: Path) -> None:
    assert tree.is_group(str(tmp_path))
    assert not tree.is_group(str(tmp_path / "gone"))


def test_all_marked_groups_that_are_empty_are_removed_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "theirs/empty").mkdir(parents=True)
    for path in ("ours/deep/a.scope", "ours/b.scope", "theirs/ours/c.scope", "used/d.scope"):
        tree.make(str(tmp_path), path)
    for path in ("ours/deep/a.scope", "ours/b.scope", "theirs/ours/c.scope"):
        (tmp_path / path).rmdir()
    tree.remove_marked_in(str(tmp_path))
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert left == {"theirs", "theirs/empty", "theirs/ours", "used", "used/d.scope"}
