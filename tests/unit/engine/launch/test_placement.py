import errno
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest

from insula.engine.launch.placement import DirectPlacement, PlacementRequest, ScopePlacement
from insula.engine.launch.systembus import BusCall, SystemBus
from insula.engine.launch.systemdscope import AwaitedScope, Manager, Scope, Scopes
from insula.engine.spec import CgroupPlacement
from insula.kernel.cgroups import Cgroup, Hierarchies, remove_empty_partitions
from insula.kernel.cgroups.hierarchies import V1Hierarchy
from tests.unit.engine.launch.fakebus import FakeBus


def request(partition: str = "machine.slice", name: str | None = None) -> PlacementRequest:
    return PlacementRequest(
        name="web",
        identity=4711,
        uuid="8f0c4bb0-6c5b-4f0e-9c3c-0b9b1b2e3d4f",
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
    assert group is not None
    assert Path(group.payload or "").is_dir()
    assert placement.settle(request(), group, 1) == group
    with pytest.raises(FileExistsError):
        placement.reserve(request())
    placement.release(group)
    assert [path.name for path in tmp_path.rglob("*")] == ["machine.slice"]
    remove_empty_partitions(placement.hierarchies)
    assert list(tmp_path.iterdir()) == []


def test_a_scope_needs_a_process_first() -> None:
    placement = ScopePlacement(hierarchies=Hierarchies(v2="/c"), manager=Manager.MACHINED, scopes=Scopes())
    assert placement.reserve(request()) is None


def test_a_scope_that_systemd_removes_just_now_is_left_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: Cgroup) -> bool:
        raise OSError(errno.ENODEV, "no such device")

    monkeypatch.setattr(Cgroup, "populated", property(gone))
    hierarchies = Hierarchies(v2=str(tmp_path))
    bus = FakeBus()
    placement = ScopePlacement(hierarchies=hierarchies, manager=Manager.SYSTEMD, scopes=Scopes(SystemBus(bus.opened)))
    placement.release(Cgroup(hierarchies, "machine.slice/a.scope/insula"))
    assert bus.connections == 0


def scope_that_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, at: str) -> list[str]:
    """Let a scope be made at a path below a hierarchy in tmp_path; return what happens there, in its order."""
    happened: list[str] = []

    def await_leader(_: Scopes, awaited: AwaitedScope, meanwhile: Callable[[], None]) -> str:
        meanwhile()
        (tmp_path / at).mkdir(parents=True)
        meanwhile()
        happened.extend(str(each.relative_to(tmp_path / at)) for each in sorted((tmp_path / at).rglob("*")))
        happened.append("moved")
        return at

    monkeypatch.setattr(Scopes, "await_leader", await_leader)
    monkeypatch.setattr(Cgroup, "take_in", lambda group, pid, owner: happened.append(f"{group.path} takes {pid} in"))
    return happened


AWAITED = AwaitedScope(
    scope=Scope(machine="lxc-4711-web", uuid="", slice="machine.slice", leader=4711), call=BusCall(Future(), 0)
)


def test_a_group_is_made_while_systemd_moves_the_process_into_the_scope(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope = r"machine.slice/machine-lxc\x2d4711\x2dweb.scope"
    happened = scope_that_moves(tmp_path, monkeypatch, at=scope)
    hierarchies = Hierarchies(v2=str(tmp_path))
    placement = ScopePlacement(hierarchies=hierarchies, manager=Manager.SYSTEMD, scopes=Scopes())
    group = placement.place(request(), AWAITED)
    assert group.path == f"{scope}/insula"
    made = ["insula", "insula/payload", "insula/payload/insula.exec"]
    assert happened == [*made, "moved", f"{scope}/insula takes 4711 in"]


@pytest.mark.parametrize("v1", [(), (V1Hierarchy(mount="/c/memory", controllers=("memory",)),)])
def test_a_scope_that_is_somewhere_else_or_one_of_many_is_awaited_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, v1: tuple[V1Hierarchy, ...]
) -> None:
    v1 = tuple(replace(each, mount=str(tmp_path / "memory")) for each in v1)
    (tmp_path / "memory").mkdir()
    happened = scope_that_moves(tmp_path, monkeypatch, at="elsewhere.slice/a.scope")
    hierarchies = Hierarchies(v2=str(tmp_path), v1=v1)
    placement = ScopePlacement(hierarchies=hierarchies, manager=Manager.SYSTEMD, scopes=Scopes())
    assert placement.place(request(), AWAITED).path == "elsewhere.slice/a.scope/insula"
    assert happened == ["moved", "elsewhere.slice/a.scope/insula takes 4711 in"]
    assert (tmp_path / "elsewhere.slice/a.scope/insula/payload").is_dir()


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
    placement = ScopePlacement(hierarchies=hierarchies, manager=Manager.MACHINED, scopes=scopes)
    placement.release(Cgroup(hierarchies, "machine.slice/a.scope/insula"))
    assert bus.members() == stopped
    scopes.close()
    bus.close()
