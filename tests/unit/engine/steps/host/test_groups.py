"""Tests of insula.engine.steps.host.groups, over directories that stand for hierarchies."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from insula.engine.launch.holdings import ControlGroup
from insula.engine.spec import Bytes, Limits
from insula.engine.steps.host.groups import (
    AllowDevices,
    LimitGroup,
    MakeControllerGroups,
    MakeGroup,
    SeatGroup,
    group_of,
)
from insula.engine.steps.host.hoststep import HostContext, HostStep
from insula.errors import OperationUnsupportedError
from insula.kernel.cgroups import Cgroup, DeviceRule, Hierarchies, maker_of, tree
from insula.kernel.cgroups.hierarchies import V1Hierarchy
from tests.unit.engine.steps.host.sites import FACTS, Offload, context, perform, take_away

PATH = r"machine.slice/machine-lxc\x2d4711\x2dweb.scope"


@pytest.fixture
def at(tmp_path: Path) -> HostContext:
    """A context on a hybrid host."""
    for name in ("unified", "pids", "memory"):
        (tmp_path / name).mkdir()
    v1 = tuple(V1Hierarchy(mount=str(tmp_path / name), controllers=(name,)) for name in ("pids", "memory"))
    return context(replace(FACTS, hierarchies=Hierarchies(v1=v1, v2=str(tmp_path / "unified"))))


def made(tmp_path: Path) -> list[str]:
    return sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.scope"))


STEP = MakeGroup(why="test", partition="machine.slice", domain="web", name=None, owner=None)
CONTROLLERS = MakeControllerGroups(why="test", partition="machine.slice", domain="web", name=None, owner=None)


def test_the_group_is_made_where_the_clone_can_be_born_into_it_and_taken_back(at: HostContext, tmp_path: Path) -> None:
    at.offload = offload = Offload()
    held = perform(STEP, at)
    assert made(tmp_path) == [f"unified/{PATH}"]
    assert at.group == Cgroup(at.facts.hierarchies, PATH)
    payload = tmp_path / f"unified/{PATH}/payload"
    assert os.fstat(at.clone_fds["cgroup"]).st_ino == payload.stat().st_ino
    take_away(held, at)
    assert made(tmp_path) == []
    assert held == (ControlGroup(path=PATH),)
    assert offload.count == 0, "nobody is in it"
    at.close()


def test_a_group_that_is_there_already_is_somebody_elses(at: HostContext, tmp_path: Path) -> None:
    perform(STEP, at)
    second = context(at.facts)
    with pytest.raises(FileExistsError):
        perform(STEP, second)
    assert made(tmp_path) == [f"unified/{PATH}"]
    assert second.clone_fds == {}
    at.close()


def test_a_name_that_was_asked_for_counts(at: HostContext, tmp_path: Path) -> None:
    perform(replace(STEP, partition="/", name="web-{id}.scope"), at)
    assert made(tmp_path) == ["unified/web-4711.scope"]
    at.close()


def test_a_partition_cannot_lead_out(at: HostContext, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="below the root"):
        perform(replace(STEP, partition="/a/../.."), at)
    assert made(tmp_path) == []


@pytest.mark.parametrize(("step", "method"), [(STEP, "into_fd"), (CONTROLLERS, "join_fds")])
def test_a_group_that_cannot_be_opened_is_taken_away_by_what_was_announced(
    at: HostContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: HostStep, method: str
) -> None:
    def refuse(group: Cgroup) -> None:
        assert made(tmp_path) != []
        raise OSError(24, "too many open files")

    monkeypatch.setattr(Cgroup, method, refuse)
    with pytest.raises(OSError, match="too many open files"):
        perform(step, at)
    take_away(step.announce(at.identity), at)
    assert made(tmp_path) == []


def test_the_other_hierarchies_are_joined_by_files_that_are_passed(
    at: HostContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [tmp_path / "first", tmp_path / "second"]
    for path in files:
        path.touch()
    monkeypatch.setattr(Cgroup, "join_fds", lambda group: [os.open(path, os.O_WRONLY) for path in files])
    held = perform(CONTROLLERS, at)
    assert made(tmp_path) == [f"memory/{PATH}", f"pids/{PATH}"]
    assert at.group == Cgroup(at.facts.hierarchies, PATH)
    inodes = {name: os.fstat(fd).st_ino for name, fd in at.fds.items()}
    assert inodes == {f"join{number}": path.stat().st_ino for number, path in enumerate(files)}
    take_away(held, at)
    assert made(tmp_path) == []
    at.close()


def test_both_parts_of_a_group_are_one_holding(
    at: HostContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cgroup, "join_fds", lambda group: [])
    held = perform(STEP, at)
    assert perform(CONTROLLERS, at) == held
    assert STEP.announce(at.identity) == CONTROLLERS.announce(at.identity) == (ControlGroup(path=PATH, made=False),)
    take_away(held, at)
    assert made(tmp_path) == []
    at.close()


def test_a_group_tells_which_launch_made_it(at: HostContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cgroup, "join_fds", lambda group: [])
    for step in (STEP, CONTROLLERS):
        perform(step, at)
    assert maker_of(group_of(at)) == "a1"
    at.close()


def test_without_a_unified_hierarchy_each_of_a_groups_directories_tells(
    at: HostContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cgroup, "join_fds", lambda group: [])
    at.facts = replace(at.facts, hierarchies=replace(at.facts.hierarchies, v2=None, v2_controllers=()))
    perform(CONTROLLERS, at)
    hierarchies = at.facts.hierarchies
    makers = [maker_of(Cgroup(replace(hierarchies, v1=(each,)), PATH)) for each in hierarchies.v1]
    assert makers == ["a1"] * len(hierarchies.v1)
    at.close()


def test_what_tells_who_made_a_group_is_made_first_and_removed_last(
    at: HostContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as anything of it is there, also of one whose removal was cut short, nobody takes it for another's."""
    monkeypatch.setattr(Cgroup, "join_fds", lambda group: [])
    for step in (STEP, CONTROLLERS):
        perform(step, at)
    group, removed = group_of(at), tree.removed
    makers: list[str | None] = []

    def watched(directory: str) -> bool:
        makers.append(maker_of(group))
        return removed(directory)

    monkeypatch.setattr(tree, "removed", watched)
    assert group.removed_at_once()
    assert set(makers) == {"a1"}
    assert maker_of(group) is None
    at.close()


def test_limits_are_set_in_the_group_that_was_made(at: HostContext, tmp_path: Path) -> None:
    at.group = Cgroup(at.facts.hierarchies, PATH)
    for name in ("pids", "memory"):
        (tmp_path / name / PATH).mkdir(parents=True)
    (tmp_path / "pids" / PATH / "pids.max").touch()
    assert perform(LimitGroup(why="test", limits=Limits(pids=17)), at) == ()
    assert (tmp_path / "pids" / PATH / "pids.max").read_text() == "17"
    with pytest.raises(OperationUnsupportedError, match="cannot set the memory limit: no such control file"):
        perform(LimitGroup(why="test", limits=Limits(memory=Bytes(1 << 20))), at)


def test_the_devices_of_the_plan_are_those_of_the_group(at: HostContext, monkeypatch: pytest.MonkeyPatch) -> None:
    allowed: list[object] = []
    monkeypatch.setattr(Cgroup, "allow_devices", lambda group, rules, loaded: allowed.append((group.path, rules)))
    at.group = Cgroup(at.facts.hierarchies, PATH)
    rules = (DeviceRule(kind="c", major=1, minor=3),)
    assert perform(AllowDevices(why="test", rules=rules), at) == ()
    assert allowed == [(PATH, rules)]


def test_the_group_gets_the_processors_that_were_chosen_or_the_launch_tells_why_not(
    at: HostContext, tmp_path: Path
) -> None:
    hierarchies = replace(at.facts.hierarchies, v2_controllers=("cpuset",))
    at = context(replace(at.facts, hierarchies=hierarchies))
    perform(STEP, at)
    assert perform(SeatGroup(why="test"), at) == () and at.unmet == []
    at.processors = "0-1"
    perform(SeatGroup(why="test"), at)
    (told,) = at.unmet
    assert told.startswith("it runs on every processor that its control group has, not on 0-1: ")
    at.unmet.clear()
    (tmp_path / "unified" / PATH / "cpuset.cpus").touch()
    perform(SeatGroup(why="test"), at)
    assert at.unmet == [] and (tmp_path / "unified" / PATH / "cpuset.cpus").read_text() == "0-1"
    at.close()


@pytest.mark.parametrize("step", [LimitGroup(why="test", limits=Limits()), AllowDevices(why="test", rules=())])
def test_a_plan_that_makes_no_group_cannot_use_one(at: HostContext, step: HostStep) -> None:
    with pytest.raises(RuntimeError, match="no step of it makes"):
        perform(step, at)
    with pytest.raises(RuntimeError, match="no step of it makes"):
        group_of(at)
