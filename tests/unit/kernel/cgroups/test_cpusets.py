"""CPUs and nodes come down to v1 groups."""

import errno
from pathlib import Path

import pytest

from insula.kernel.cgroups import cpusets, tree


def cpuset(directory: Path, cpus: str) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "cpuset.cpus").write_text(cpus)
    (directory / "cpuset.mems").write_text("0")
    return directory


def test_sets_of_cpus_come_down_through_groups_that_others_have_yet_to_fill(tmp_path: Path) -> None:
    cpuset(tmp_path, "0-1")
    sets = [cpuset(tmp_path / name, "") for name in ("a", "a/b", "a/b/c.scope")]
    cpusets.fill(str(tmp_path), "a/b/c.scope")
    assert [(each / "cpuset.cpus").read_text() for each in sets] == ["0-1"] * 3


def test_sets_that_came_down_by_themselves_are_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A group above that is ours hands them down, once it has been told to."""
    for name in ("", "a", "a/b.scope"):
        cpuset(tmp_path / name, "0-1")
    written: list[str] = []
    monkeypatch.setattr("insula.kernel.cgroups.files.write", lambda path, value: written.append(f"{path} {value}"))
    cpusets.fill(str(tmp_path), "a/b.scope")
    assert written == []
    monkeypatch.undo()
    cpuset(tmp_path / "a/b.scope", "")
    (tmp_path / "a/cgroup.clone_children").write_text("0")
    monkeypatch.setattr(tree, "is_ours", lambda directory: True)
    cpusets.fill(str(tmp_path), "a/b.scope")
    assert (tmp_path / "a/cgroup.clone_children").read_text() == "1"


def test_a_set_that_stays_empty_is_told_and_not_waited_for_for_ever(tmp_path: Path) -> None:
    cpuset(tmp_path, "")
    cpuset(tmp_path / "c.scope", "")
    with pytest.raises(OSError, match="no CPUs") as refusal:
        cpusets.fill(str(tmp_path), "c.scope")
    assert refusal.value.errno == errno.ENOSPC
