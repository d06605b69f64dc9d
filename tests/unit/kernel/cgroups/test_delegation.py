import os
from pathlib import Path

import pytest

from insula.kernel.cgroups import delegation


def test_controllers_are_handed_down_from_the_root_to_the_group_as_far_as_granted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    for directory, enabled in ((tmp_path, "memory\n"), (tmp_path / "a", ""), (tmp_path / "a/b", "")):
        (directory / "cgroup.subtree_control").write_text(enabled)
    written: list[str] = []

    def write(path: str, value: str) -> None:
        written.append(f"{os.path.relpath(os.path.dirname(path), tmp_path)} {value}")
        if path == f"{tmp_path}/a/cgroup.subtree_control" and "+cpuset" in value:
            raise OSError

    monkeypatch.setattr("insula.kernel.cgroups.files.write", write)
    delegation.enable_controllers(str(tmp_path), "a/b", ("memory", "cpuset", "pids"))
    assert written == [
        ". +cpuset +pids",
        "a +cpuset +memory +pids",
        "a +cpuset",
        "a +memory",
        "a +pids",
        "a/b +cpuset +memory +pids",
    ]
    written.clear()
    (tmp_path / "a/b/cgroup.controllers").write_text("cpuset memory pids\n")
    delegation.enable_controllers(str(tmp_path), "a/b", ("memory", "cpuset", "pids"))
    assert written == ["a/b +cpuset +memory +pids"]


def test_a_fresh_group_hands_down_all_at_once_and_what_is_above_it_only_if_that_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    for directory in (tmp_path, tmp_path / "a"):
        (directory / "cgroup.subtree_control").write_text("")
    written: list[str] = []
    refusals = [False, True]

    def write(path: str, value: str) -> None:
        written.append(f"{os.path.relpath(os.path.dirname(path), tmp_path)} {value}")
        if refusals.pop(0):
            refusals[:] = [False, False]
            raise OSError

    monkeypatch.setattr("insula.kernel.cgroups.files.write", write)
    delegation.enable_controllers(str(tmp_path), "a", ("pids", "memory"), fresh=True)
    assert written == ["a +memory +pids"]
    delegation.enable_controllers(str(tmp_path), "a", ("pids", "memory"), fresh=True)
    assert written[1:] == ["a +memory +pids", ". +memory +pids", "a +memory +pids"]


def test_a_group_with_processes_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scope = tmp_path / "c.scope"
    scope.mkdir()
    for directory, processes in ((tmp_path, "1\n"), (scope, "4711\n")):
        (directory / "cgroup.subtree_control").touch()
        (directory / "cgroup.procs").write_text(processes)
    (scope / "cgroup.type").write_text("domain\n")
    (scope / "cgroup.controllers").write_text("")
    written: list[str] = []
    monkeypatch.setattr("insula.kernel.cgroups.files.write", lambda path, value: written.append(path))
    delegation.enable_controllers(str(tmp_path), "c.scope", ("cpu",))
    assert written == [f"{tmp_path}/cgroup.subtree_control"]
    (scope / "cgroup.procs").write_text("")
    delegation.enable_controllers(str(tmp_path), "c.scope", ("cpu",))
    assert written[-1] == f"{scope}/cgroup.subtree_control"


def test_only_what_may_be_delegated_changes_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cgroup.procs", "memory.max"):
        (tmp_path / name).touch()
    chowned: list[str] = []

    def chown(path: str, uid: int, gid: int) -> None:
        assert (uid, gid) == (100_000, 100_001)
        os.stat(path)
        chowned.append(os.path.relpath(path, tmp_path))

    monkeypatch.setattr(os, "chown", chown)
    delegation.hand_over(str(tmp_path), (100_000, 100_001), ("cgroup.procs", "memory.oom.group"))
    assert chowned == [".", "cgroup.procs"]
