"""Where control groups are made: our own directories, or below a scope of the host's systemd."""

import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from insula.engine.launch import systemdscope
from insula.engine.launch.machineregister import Machine
from insula.engine.launch.placement import DirectPlacement, PlacementRequest, ScopePlacement
from insula.engine.launch.readyscopes import ReadyScope, ReadyScopes
from insula.engine.launch.systemdscope import Manager, ScopeError, Scopes, detect_manager
from insula.engine.spec import CgroupPlacement
from insula.kernel.cgroups import Cgroup, Hierarchies, scope_name
from tests.systemctl import machines, scopes_listed, shown, until_gone, until_registered, where
from tests.waiting import patience, scaled, until

GUEST_ROOT = 1_000_000


@pytest.fixture
def leader() -> Iterator[subprocess.Popen[bytes]]:
    """A process that stands for a guest's init."""
    process = subprocess.Popen(["sleep", "1000"])
    yield process
    process.kill()
    process.wait()


@pytest.mark.machine("cgroups")
@pytest.mark.requires("cgroup2")
def test_without_systemd_the_groups_are_our_own_and_ready_before_the_clone(leader: subprocess.Popen[bytes]) -> None:
    placement = DirectPlacement(hierarchies=Hierarchies.detect())
    owner = (GUEST_ROOT, GUEST_ROOT)
    wish = PlacementRequest(
        name="web", identity=leader.pid, placement=CgroupPlacement(partition="/test/prod"), owner=owner
    )
    group = placement.reserve(wish)
    assert group.path == f"test.slice/test-prod.slice/{scope_name(leader.pid, 'web')}"
    group.enter(leader.pid)
    assert where(leader.pid).endswith(f"{group.path}/payload")
    group.kill()
    leader.wait()
    placement.release(group)
    placement.release(group)
    assert not group.exists()


@pytest.fixture
def scopes() -> Iterator[Scopes]:
    made = Scopes()
    yield made
    made.close()


@pytest.fixture
def ready(scopes: Scopes) -> Iterator[ReadyScopes]:
    made = ReadyScopes(scopes, Hierarchies.detect())
    yield made
    made.close()


@pytest.fixture
def placement(scopes: Scopes) -> ScopePlacement:
    return ScopePlacement(hierarchies=Hierarchies.detect(), scopes=scopes)


@pytest.fixture
def placed(
    ready: ReadyScopes, placement: ScopePlacement, leader: subprocess.Popen[bytes]
) -> Iterator[Callable[[str], ReadyScope]]:
    """Put the leader into a scope, as a start puts a guest there; it is killed and released at the test's end."""
    groups: list[Cgroup] = []

    def place(slice_name: str = "machine.slice") -> ReadyScope:
        taken = occupied(ready, leader.pid, slice_name)
        groups.append(taken.group)
        return taken

    yield place
    for group in groups:
        if group.exists():
            group.kill()
        leader.wait()
        placement.release(group)


def occupied(ready: ReadyScopes, pid: int, slice_name: str = "machine.slice") -> ReadyScope:
    """Return a scope with a process in it, as a start leaves it."""
    taken = ready.take(slice_name)
    taken.group.delegate((GUEST_ROOT, GUEST_ROOT))
    taken.group.enter(pid)
    ready.give_back(taken)
    return taken


def as_machine(name: str, leader: int, unit: str) -> Machine:
    return Machine(name=name, uuid=str(uuid.uuid4()), leader=leader, unit=unit)


@pytest.mark.systemd_host
@pytest.mark.requires("machined")
def test_a_systemd_host_is_recognized() -> None:
    assert detect_manager() is Manager.MACHINED


@pytest.mark.systemd_host
@pytest.mark.requires("machined")
def test_a_container_lives_below_a_scope_that_systemd_delegates(
    placed: Callable[..., ReadyScope], leader: subprocess.Popen[bytes]
) -> None:
    scope = placed()
    group = scope.group
    assert group.path == f"machine.slice/{scope.unit}/insula"
    assert where(leader.pid) == f"/{group.path}/payload"
    assert shown(scope.unit, "Delegate", "ActiveState", "Slice") == {
        "Delegate": "yes",
        "ActiveState": "active",
        "Slice": "machine.slice",
    }
    assert {"cpu", "cpuset", "io", "memory", "pids"} <= set(
        Path(group.payload or "", "cgroup.controllers").read_text().split()
    )
    beside = Path("/sys/fs/cgroup", group.path).parent / "placeholder"
    until(lambda: not beside.exists(), "nothing being left of the placeholder")


@pytest.mark.systemd_host
@pytest.mark.requires("machined")
def test_of_the_tree_only_what_systemd_delegates_is_touched(placed: Callable[..., ReadyScope]) -> None:
    above = [Path("/sys/fs/cgroup/cgroup.subtree_control"), Path("/sys/fs/cgroup/init.scope/cgroup.controllers")]
    before = [path.read_text() for path in above]
    group = placed().group
    assert [path.read_text() for path in above] == before
    payload = Path(group.payload or "")
    delegated = [name for name in group.hierarchies.delegate if (payload / name).exists()]
    assert {"cgroup.procs", "memory.oom.group"} <= set(delegated)
    assert {(payload / name).stat().st_uid for name in delegated} == {GUEST_ROOT}


@pytest.mark.systemd_host
@pytest.mark.requires("machined")
def test_a_scope_is_ended_with_its_slice_which_ends_before_the_host_does(
    placed: Callable[..., ReadyScope], leader: subprocess.Popen[bytes]
) -> None:
    placed("machine-prod.slice")
    told = shown("machine-prod.slice", "Conflicts", "Before")
    assert told["Conflicts"] == "shutdown.target"
    assert "shutdown.target" in told["Before"]
    subprocess.run(["systemctl", "stop", "machine-prod.slice"], check=True)
    assert leader.wait(patience(60)) != 0


@pytest.mark.systemd_host
@pytest.mark.requires("machined")
def test_limits_outlast_a_reload_of_systemd(placed: Callable[..., ReadyScope]) -> None:
    group = placed().group
    group.memory.limit(64 << 20)
    group.cpu.weigh(512)
    group.tasks.limit(100)
    before = group.limits()
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    assert group.limits() == before
    assert (before.memory, before.cpu_shares, before.tasks) == (64 << 20, 512, 100)


@pytest.mark.systemd_host
@pytest.mark.requires("machined")
def test_systemctl_and_machinectl_know_whose_scope_it_is_and_forget_it(
    placed: Callable[..., ReadyScope], leader: subprocess.Popen[bytes], scopes: Scopes, placement: ScopePlacement
) -> None:
    scope = placed()
    machine = f"lxc-{leader.pid}-web.example"
    scopes.register(as_machine(machine, leader.pid, scope.unit), Manager.MACHINED)
    until_registered(machine)
    described = {"Description": f"Container {machine}"}
    assert shown(scope.unit, "Description") == described
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    assert shown(scope.unit, "Description", "NeedDaemonReload") == {**described, "NeedDaemonReload": "no"}
    scope.group.kill()
    leader.wait()
    placement.release(scope.group)
    until(lambda: "web.example" not in machines(), "machinectl having forgotten it")
    until_gone(scope.unit)
    placement.release(scope.group)


@pytest.mark.systemd_host
@pytest.mark.requires("machined")
def test_who_was_never_registered_is_when_found_again_and_nobody_is_twice(
    placed: Callable[..., ReadyScope], leader: subprocess.Popen[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    scope = placed()
    machine = f"lxc-{leader.pid}-found"
    assert machine not in machines()
    for _ in range(2):
        later = Scopes()
        later.register(as_machine(machine, leader.pid, scope.unit), Manager.MACHINED, perhaps=True)
        later.close()
        until_registered(machine)
    assert "is not made known" not in caplog.text
    scope.group.kill()
    leader.wait()
    until(lambda: machine not in machines(), "machinectl having forgotten it")


@pytest.mark.systemd_host
@pytest.mark.requires("machined")
def test_a_partition_becomes_a_slice_of_systemd(placed: Callable[..., ReadyScope]) -> None:
    assert placed("machine-prod.slice").group.path.startswith("machine.slice/machine-prod.slice/machine-insula")


@pytest.mark.systemd_host
@pytest.mark.requires("machined")
def test_a_scope_stands_ready_again_and_goes_with_who_made_it(
    ready: ReadyScopes, placed: Callable[..., ReadyScope]
) -> None:
    first = placed()
    found: list[ReadyScope] = []

    def taken() -> bool:
        found.extend(filter(None, [ready.take_at_once("machine.slice")]))
        return bool(found)

    until(taken, "a scope standing ready")
    assert found[0].unit != first.unit
    assert found[0].group.processes() == []
    ready.give_back(found[0])
    until_gone(found[0].unit)
    ready.close()
    until(lambda: scopes_listed() == [first.unit], "what stood ready being gone")


@pytest.mark.systemd_host
@pytest.mark.requires("machined")
def test_ending_a_scope_that_is_gone_is_no_error(scopes: Scopes) -> None:
    scopes.stop("machine-nobody.scope")
    with pytest.raises(ScopeError):
        scopes.stop("not a unit's name")


@pytest.mark.systemd_host
@pytest.mark.requires("machined")
def test_a_scope_with_strangers_in_it_is_ended_with_them(
    placed: Callable[..., ReadyScope], placement: ScopePlacement, leader: subprocess.Popen[bytes]
) -> None:
    group = placed().group
    with subprocess.Popen(["sleep", "1000"]) as stranger:
        beside = Path("/sys/fs/cgroup", group.path).parent / "beside"
        beside.mkdir()
        Path(beside, "cgroup.procs").write_text(str(stranger.pid))
        group.kill()
        leader.wait()
        assert not placement.released_at_once(group)
        placement.release(group)
        assert stranger.wait(patience(60)) != 0
    until(lambda: not beside.parent.exists(), "the scope's group being gone")


@pytest.mark.systemd_host
@pytest.mark.requires("machined")
def test_many_are_placed_at_once_while_systemd_reads_its_units_anew(
    ready: ReadyScopes, placement: ScopePlacement, scopes: Scopes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemdscope, "_PATIENCE", scaled(systemdscope._PATIENCE))
    leaders = [subprocess.Popen(["sleep", "1000"]) for _ in range(50)]
    try:
        with (
            subprocess.Popen("for i in 1 2 3; do systemctl daemon-reload; done", shell=True),
            ThreadPoolExecutor(len(leaders)) as pool,
        ):
            taken = list(pool.map(lambda leader: occupied(ready, leader.pid), leaders))
        assert [where(leader.pid) for leader in leaders] == [f"/{scope.group.path}/payload" for scope in taken]
        assert len({scope.group.path for scope in taken}) == len(leaders)
        for leader, scope in zip(leaders, taken, strict=True):
            scopes.register(as_machine(f"lxc-{leader.pid}-many", leader.pid, scope.unit), Manager.MACHINED)
        until(lambda: machines().count("-many") == len(leaders), "machinectl knowing all", 60)
    finally:
        for leader in leaders:
            leader.kill()
            leader.wait()
    for scope in taken:
        placement.release(scope.group)
    until(lambda: "-many" not in machines(), "machinectl having forgotten all")


@pytest.mark.machine("cgroups")
def test_a_world_without_systemd_is_recognized_too() -> None:
    if not os.path.isdir("/run/systemd/system"):
        assert detect_manager() is Manager.NONE
