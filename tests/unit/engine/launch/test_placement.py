import errno
from pathlib import Path

import pytest

from insula.engine.launch.placement import DirectPlacement, PlacementRequest, ScopePlacement
from insula.engine.launch.systembus import SystemBus
from insula.engine.launch.systemdscope import Scopes
from insula.engine.spec import CgroupPlacement
from insula.kernel.cgroups import Cgroup, Hierarchies, V1Hierarchy, remove_empty_partitions
from tests.unit.engine.launch.fakebus import FakeBus


def request(partition: str = "machine.slice", name: str | None = None) -> PlacementRequest:
    return PlacementRequest(
        name="web",
        identity=4711,
        placement=CgroupPlacement(partition=partition, name=name),
    )


@pytest.mark.parametrize(
    ("partition", "name", "path"),
    [
        ("machine.slice", None, r"machine.slice/machine-lxc\x2d4711\x2dweb.scope"),
        ("/machine/prod", "c{id}", "machine.slice/machine-prod.slice/c4711"),
        ("/", "web", "web"),
    ],
)
def test_a_group_stands_in_its_partition_under_its_name(partition: str, name: str | None, path: str) -> None:
    assert request(partition, name).path == path


def test_a_partition_cannot_lead_elsewhere() -> None:
    with pytest.raises(OSError, match="below the root"):
        assert request("/machine/../..").path


def test_directories_are_made_before_the_clone_and_removed_after_the_end(tmp_path: Path) -> None:
    placement = DirectPlacement(hierarchies=Hierarchies(v2=str(tmp_path)))
    group = placement.reserve(request())
    assert Path(group.payload or "").is_dir()
    with pytest.raises(FileExistsError):
        placement.reserve(request())
    placement.release(group)
    assert [path.name for path in tmp_path.rglob("*")] == ["machine.slice"]
    remove_empty_partitions(placement.hierarchies)
    assert list(tmp_path.iterdir()) == []


def test_a_scope_that_systemd_removes_just_now_is_left_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: Cgroup) -> bool:
        raise OSError(errno.ENODEV, "no such device")

    monkeypatch.setattr(Cgroup, "populated", property(gone))
    hierarchies = Hierarchies(v2=str(tmp_path))
    bus = FakeBus()
    placement = ScopePlacement(hierarchies=hierarchies, scopes=Scopes(SystemBus(bus.opened)))
    assert placement.released_at_once(Cgroup(hierarchies, "machine.slice/a.scope/insula"))
    placement.release(Cgroup(hierarchies, "machine.slice/a.scope/insula"))
    assert bus.connections == 0


def test_where_systemd_may_not_see_an_empty_group_the_scope_is_ended(tmp_path: Path) -> None:
    bus = FakeBus()
    scopes = Scopes(SystemBus(bus.opened))
    hierarchies = Hierarchies(v1=(V1Hierarchy(mount=str(tmp_path), controllers=("name=systemd",)),))
    placement = ScopePlacement(hierarchies=hierarchies, scopes=scopes)
    group = Cgroup(hierarchies, "machine.slice/a.scope/insula")
    assert not placement.released_at_once(group)
    placement.release(group)
    assert [call.body[0] for call in bus.calls] == ["a.scope"]
    scopes.close()
    bus.close()


@pytest.mark.parametrize(("populated", "stopped"), [(None, []), (0, []), (1, ["StopUnit"])])
def test_an_empty_scope_is_left_to_systemd_and_one_with_strangers_is_ended(
    tmp_path: Path, populated: int | None, stopped: list[str]
) -> None:
    scope = tmp_path / "machine.slice/a.scope"
    if populated is not None:
        scope.mkdir(parents=True)
        (scope / "cgroup.events").write_text(f"populated {populated}\nfrozen 0\n")
    bus = FakeBus()
    scopes = Scopes(SystemBus(bus.opened))
    hierarchies = Hierarchies(v2=str(tmp_path))
    placement = ScopePlacement(hierarchies=hierarchies, scopes=scopes)
    group = Cgroup(hierarchies, "machine.slice/a.scope/insula")
    assert placement.released_at_once(group) == (not stopped)
    placement.release(group)
    assert bus.members() == stopped
    scopes.close()
    bus.close()
