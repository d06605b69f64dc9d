"""CPUs and nodes come down to v1 groups."""

import errno
from pathlib import Path

import pytest

from insula.kernel.cgroups import Cgroup, Hierarchies, V1Hierarchy, cpusets, tree


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


def test_what_v1_sets_lost_while_a_processor_was_offline_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also to the groups above that are ours; and the tasks that were moved away for want of processors come back."""
    for name, cpus in (("", "0-3"), ("ours", "0-2"), ("ours/c.scope", "")):
        cpuset(tmp_path / name, cpus)
    monkeypatch.setattr(tree, "is_ours", lambda directory: directory.endswith("/ours"))
    hierarchies = Hierarchies(v1=(V1Hierarchy(mount=str(tmp_path), controllers=("cpuset",)),))
    group = Cgroup(hierarchies, "ours/c.scope")
    (tmp_path / "ours/c.scope/cgroup.procs").touch()
    monkeypatch.setattr(Cgroup, "processes", lambda self: [4711])
    cpusets.reseat(group, "3")
    assert (tmp_path / "ours/cpuset.cpus").read_text() == "0-3"
    assert (tmp_path / "ours/c.scope/cpuset.cpus").read_text() == "3"
    assert (tmp_path / "ours/c.scope/cgroup.procs").read_text() == "4711"
    cpusets.reseat(group, "")
    assert (tmp_path / "ours/c.scope/cpuset.cpus").read_text() == "0-3"


@pytest.mark.parametrize("version", [1, 2])
def test_which_processors_groups_below_can_have_is_told_by_the_one_above(tmp_path: Path, version: int) -> None:
    v1 = (V1Hierarchy(mount=str(tmp_path), controllers=("cpuset",)),)
    hierarchies = Hierarchies(v1=v1) if version == 1 else Hierarchies(v2=str(tmp_path))
    assert cpusets.usable_below(hierarchies, "machine.slice") is None
    (tmp_path / "machine.slice").mkdir()
    name = "cpuset.effective_cpus" if version == 1 else "cpuset.cpus.effective"
    (tmp_path / "machine.slice" / name).write_text("0-1\n")
    assert cpusets.usable_below(hierarchies, "machine.slice") == "0-1"


def test_a_set_that_stays_empty_is_told_and_not_waited_for_for_ever(tmp_path: Path) -> None:
    cpuset(tmp_path, "")
    cpuset(tmp_path / "c.scope", "")
    with pytest.raises(OSError, match="no CPUs") as refusal:
        cpusets.fill(str(tmp_path), "c.scope")
    assert refusal.value.errno == errno.ENOSPC
