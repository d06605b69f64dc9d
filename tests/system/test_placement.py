"""Where control groups are made: our own directories, or below a scope of the host's systemd."""

import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from insula import Container, Engine
from insula.engine.launch.placement import DirectPlacement, Placement, PlacementRequest, ScopePlacement
from insula.engine.launch.systemdscope import Manager, Scope, ScopeError, Scopes, detect_manager
from insula.engine.spec import CgroupPlacement
from insula.errors import OperationFailedError, StepError
from insula.kernel.cgroups import Cgroup, Hierarchies, scope_name
from tests.waiting import until

GUEST_ROOT = 1_000_000


@pytest.fixture
def leader() -> Iterator[subprocess.Popen[bytes]]:
    """A process that stands for a guest's init."""
    process = subprocess.Popen(["sleep", "1000"])
    yield process
    process.kill()
    process.wait()


def request(name: str, leader: subprocess.Popen[bytes], partition: str = "test.slice") -> PlacementRequest:
    return PlacementRequest(
        name=name,
        identity=leader.pid,
        uuid=str(uuid.uuid4()),
        placement=CgroupPlacement(partition=partition),
        owner=(GUEST_ROOT, GUEST_ROOT),
    )


def where(pid: int) -> str:
    """Return a process's group in the v2 hierarchy."""
    return next(line[3:] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines() if line.startswith("0::"))


@pytest.mark.machine("cgroups")
@pytest.mark.requires("cgroup2")
def test_without_systemd_the_groups_are_our_own_and_ready_before_the_clone(leader: subprocess.Popen[bytes]) -> None:
    placement = DirectPlacement(hierarchies=Hierarchies.detect())
    wish = request("web", leader, "/test/prod")
    reserved = placement.reserve(wish)
    assert reserved is not None
    assert reserved.path == f"test.slice/test-prod.slice/{scope_name(leader.pid, 'web')}"
    group = placement.settle(wish, reserved, leader.pid)
    assert group == reserved
    group.enter(leader.pid)
    assert where(leader.pid).endswith(f"{group.path}/payload")
    group.kill()
    leader.wait()
    placement.release(group)
    placement.release(group)
    assert not group.exists()


@pytest.mark.machine("cgroups")
@pytest.mark.requires("cgroup2")
def test_a_process_that_runs_already_can_be_placed_too(leader: subprocess.Popen[bytes]) -> None:
    placement = DirectPlacement(hierarchies=Hierarchies.detect())
    group = placement.settle(request("web", leader), None, leader.pid)
    assert group.processes() == [leader.pid]
    group.kill()
    leader.wait()
    placement.release(group)


@pytest.mark.machine("cgroups")
def test_a_process_that_is_gone_leaves_no_group(leader: subprocess.Popen[bytes]) -> None:
    hierarchies = Hierarchies.detect()
    wish = request("web", leader)
    leader.kill()
    leader.wait()
    with pytest.raises(OSError, match="cannot be moved"):
        DirectPlacement(hierarchies=hierarchies).settle(wish, None, leader.pid)
    assert not Cgroup(hierarchies, wish.path).exists()


@pytest.fixture
def scopes() -> Iterator[Scopes]:
    made = Scopes()
    yield made
    made.close()


@pytest.fixture(params=[Manager.MACHINED, Manager.SYSTEMD])
def scoped(request: pytest.FixtureRequest, scopes: Scopes) -> ScopePlacement:
    manager: Manager = request.param
    return ScopePlacement(hierarchies=Hierarchies.detect(), manager=manager, scopes=scopes)


@pytest.fixture
def placed(scoped: Placement, leader: subprocess.Popen[bytes]) -> Iterator[Callable[[str], Cgroup]]:
    """Place the leader by name; it is killed and released at the test's end."""
    groups: list[Cgroup] = []

    def place(name: str) -> Cgroup:
        wish = request(name, leader, "machine.slice")
        groups.append(scoped.settle(wish, scoped.reserve(wish), leader.pid))
        return groups[-1]

    yield place
    for group in groups:
        if group.exists():
            group.kill()
        leader.wait()
        scoped.release(group)


def until_registered(machine: str) -> None:
    until(lambda: f"{machine} container libvirt-lxc" in " ".join(machines().split()), "machinectl knowing it")


def machines() -> str:
    return subprocess.run(["machinectl", "list", "--no-legend"], capture_output=True, text=True, check=True).stdout


@pytest.mark.systemd_host
@pytest.mark.requires("machined")
def test_a_systemd_host_is_recognized() -> None:
    assert detect_manager() is Manager.MACHINED


@pytest.mark.systemd_host
@pytest.mark.requires("machined")
def test_a_container_lives_below_a_scope_that_systemd_delegates(
    placed: Callable[[str], Cgroup], leader: subprocess.Popen[bytes]
) -> None:
    group = placed("web")
    scope = scope_name(leader.pid, "web")
    assert group.path == f"machine.slice/{scope}/insula"
    assert where(leader.pid) == f"/{group.path}/payload"
    shown = subprocess.run(
        ["systemctl", "show", scope, "-p", "Delegate,ActiveState,Slice"], capture_output=True, text=True, check=True
    ).stdout
    assert set(shown.split()) == {"Delegate=yes", "ActiveState=active", "Slice=machine.slice"}
    assert {"cpu", "cpuset", "io", "memory", "pids"} <= set(
        Path(group.payload or "", "cgroup.controllers").read_text().split()
    )


@pytest.mark.systemd_host
@pytest.mark.requires("machined")
def test_of_the_tree_only_what_systemd_delegates_is_touched(
    placed: Callable[[str], Cgroup], leader: subprocess.Popen[bytes]
) -> None:
    above = [Path("/sys/fs/cgroup/cgroup.subtree_control"), Path("/sys/fs/cgroup/init.scope/cgroup.controllers")]
    before = [path.read_text() for path in above]
    group = placed("web")
    assert [path.read_text() for path in above] == before
    payload = Path(group.payload or "")
    delegated = [name for name in group.hierarchies.delegate if (payload / name).exists()]
    assert {"cgroup.procs", "memory.oom.group"} <= set(delegated)
    assert {(payload / name).stat().st_uid for name in delegated} == {GUEST_ROOT}


@pytest.mark.systemd_host
@pytest.mark.requires("machined")
def test_a_scope_is_ended_with_its_slice_which_ends_before_the_host_does(
    scoped: ScopePlacement, leader: subprocess.Popen[bytes]
) -> None:
    wish = request("web", leader, "/machine/prod")
    group = scoped.settle(wish, None, leader.pid)
    command = ["systemctl", "show", "machine-prod.slice", "-p", "Conflicts,Before"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert "Conflicts=shutdown.target" in shown
    assert any(line.startswith("Before=") and "shutdown.target" in line for line in shown)
    subprocess.run(["systemctl", "stop", "machine-prod.slice"], check=True)
    assert leader.wait(60) != 0
    scoped.release(group)


@pytest.mark.systemd_host
@pytest.mark.requires("machined")
def test_limits_outlast_a_reload_of_systemd(placed: Callable[[str], Cgroup]) -> None:
    group = placed("web")
    group.memory.limit(64 << 20)
    group.cpu.weigh(512)
    group.tasks.limit(100)
    before = group.limits()
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    assert group.limits() == before
    assert (before.memory, before.cpu_shares, before.tasks) == (64 << 20, 512, 100)


@pytest.mark.systemd_host
@pytest.mark.requires("machined")
def test_machinectl_knows_the_container_and_forgets_it(leader: subprocess.Popen[bytes], scopes: Scopes) -> None:
    placement = ScopePlacement(hierarchies=Hierarchies.detect(), manager=Manager.MACHINED, scopes=scopes)
    wish = request("web.example", leader, "machine.slice")
    group = placement.settle(wish, None, leader.pid)
    until_registered(f"lxc-{leader.pid}-web.example")
    group.kill()
    leader.wait()
    placement.release(group)
    until(lambda: "web.example" not in machines(), "machinectl having forgotten it")
    until(lambda: not Path("/sys/fs/cgroup", group.path).parent.exists(), "the scope's group being gone")
    placement.release(group)


@pytest.mark.systemd_host
@pytest.mark.requires("machined")
def test_who_was_never_registered_is_when_found_again_and_nobody_is_twice(
    leader: subprocess.Popen[bytes], scopes: Scopes, caplog: pytest.LogCaptureFixture
) -> None:
    placement = ScopePlacement(hierarchies=Hierarchies.detect(), manager=Manager.SYSTEMD, scopes=scopes)
    wish = request("found", leader, "machine.slice")
    group = placement.settle(wish, None, leader.pid)
    machine = f"lxc-{leader.pid}-found"
    assert machine not in machines()
    for _ in range(2):
        later = Scopes()
        later.register(Scope(machine=machine, uuid=wish.uuid, slice="machine.slice", leader=leader.pid), perhaps=True)
        later.close()
        until_registered(machine)
    assert "does not register" not in caplog.text
    group.kill()
    leader.wait()
    placement.release(group)
    until(lambda: machine not in machines(), "machinectl having forgotten it")


@pytest.mark.systemd_host
@pytest.mark.requires("machined", "busybox")
def test_a_launched_container_is_registered_limited_and_cleared_away(busybox_root: Path) -> None:
    with Container(busybox_root, name="whole", ephemeral=True, memory=64 << 20, pids=40) as guest:
        until_registered(f"lxc-{guest.pid}-whole")
        scope = scope_name(guest.pid, "whole")
        assert where(guest.pid).startswith(f"/machine.slice/{scope}/insula/payload")
        assert guest.run(["cat", "/proc/self/cgroup"]).stdout == b"0::/insula.exec\n"
        subprocess.run(["systemctl", "daemon-reload"], check=True)
        assert (guest.limits().memory, guest.limits().tasks) == (64 << 20, 40)
        assert guest.run(["sh", "-c", ": < /dev/kmsg"]).returncode != 0
        guest.freeze()
        assert guest.frozen
        guest.thaw()
    until(lambda: "whole" not in machines(), "machinectl having forgotten it")
    until(lambda: not Path("/sys/fs/cgroup/machine.slice", scope).exists(), "the scope's group being gone")


@pytest.mark.systemd_host
@pytest.mark.requires("machined", "busybox")
def test_a_launch_that_fails_leaves_no_scope(busybox_root: Path) -> None:
    container = Container(busybox_root, name="stillborn", init=["/bin/missing"], ephemeral=True)
    with pytest.raises(StepError, match="/bin/missing"):
        container.start()
    container.destroy()
    until(lambda: "stillborn" not in machines(), "machinectl having forgotten it")
    command = ["systemctl", "list-units", "--all", "--no-legend", "machine-*"]
    assert "stillborn" not in subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.systemd_host
@pytest.mark.requires("machined")
def test_a_partition_becomes_a_slice_of_systemd(scoped: Placement, leader: subprocess.Popen[bytes]) -> None:
    wish = request("web", leader, "/machine/prod")
    group = scoped.settle(wish, scoped.reserve(wish), leader.pid)
    assert group.path.startswith("machine.slice/machine-prod.slice/machine-lxc")
    group.kill()
    leader.wait()
    scoped.release(group)
    subprocess.run(["systemctl", "stop", "machine-prod.slice"], check=True)


@pytest.mark.systemd_host
@pytest.mark.requires("machined")
def test_a_leader_that_is_gone_is_a_clear_error(scoped: Placement, leader: subprocess.Popen[bytes]) -> None:
    wish = request("web", leader, "machine.slice")
    leader.kill()
    leader.wait()
    with pytest.raises(OperationFailedError, match="systemd makes no scope for 'web'"):
        scoped.settle(wish, None, leader.pid)


@pytest.mark.systemd_host
@pytest.mark.requires("machined")
def test_ending_a_scope_that_is_gone_is_no_error(scopes: Scopes) -> None:
    scopes.stop("machine-nobody.scope")
    with pytest.raises(ScopeError):
        scopes.stop("not a unit's name")


@pytest.mark.systemd_host
@pytest.mark.requires("machined")
def test_a_scope_with_strangers_in_it_is_ended_with_them(
    scoped: ScopePlacement, leader: subprocess.Popen[bytes]
) -> None:
    wish = request("web", leader, "machine.slice")
    group = scoped.settle(wish, None, leader.pid)
    with subprocess.Popen(["sleep", "1000"]) as stranger:
        beside = Path("/sys/fs/cgroup", group.path).parent / "beside"
        beside.mkdir()
        Path(beside, "cgroup.procs").write_text(str(stranger.pid))
        group.kill()
        leader.wait()
        scoped.release(group)
        assert stranger.wait(60) != 0
    until(lambda: not beside.parent.exists(), "the scope's group being gone")


@pytest.mark.systemd_host
@pytest.mark.requires("machined", "busybox")
def test_machinectl_ends_one_container_and_no_other(busybox_root: Path) -> None:
    idle = ["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1; done"]
    with (
        Engine() as engine,
        Container(busybox_root, name="ended", init=idle, ephemeral=True, engine=engine) as ended,
        Container(busybox_root, name="spared", init=idle, ephemeral=True, engine=engine) as spared,
    ):
        for guest in (ended, spared):
            until_registered(f"lxc-{guest.pid}-{guest.name}")
        subprocess.run(["machinectl", "terminate", f"lxc-{ended.pid}-ended"], check=True)
        ended.wait(60)
        assert spared.run(["true"]).returncode == 0
        command = ["machinectl", "show", f"lxc-{spared.pid}-spared"]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert f"Unit={scope_name(spared.pid, 'spared')}" in shown.splitlines()


@pytest.mark.systemd_host
@pytest.mark.requires("machined", "busybox")
def test_an_administrator_ends_a_guest_by_its_scope(busybox_root: Path) -> None:
    idle = ["/bin/sh", "-c", "trap 'exit 7' TERM; while :; do sleep 1; done"]
    with Container(busybox_root, name="stopped", init=idle, ephemeral=True) as guest:
        scope = scope_name(guest.pid, "stopped")
        subprocess.run(["systemctl", "stop", scope], check=True)
        guest.wait(60)
    until(lambda: not Path("/sys/fs/cgroup/machine.slice", scope).exists(), "the scope's group being gone")


@pytest.mark.systemd_host
@pytest.mark.requires("machined", "busybox")
def test_no_program_of_the_guest_runs_before_it_is_in_its_group_with_its_limits(busybox_root: Path) -> None:
    told = ["cat /proc/self/cgroup", "cat /sys/fs/cgroup/cgroup.controllers", "cat /sys/fs/cgroup/pids.max"]
    (busybox_root / "sbin/told").write_text(f"#!/bin/sh\n({'; '.join(told)}) > /told 2>&1\nexec sleep 1000\n")
    (busybox_root / "sbin/told").chmod(0o755)
    with Container(busybox_root, name="early", init=["/sbin/told"], pids=40) as guest:
        until(lambda: guest.run(["cat", "/told"]).stdout.count(b"\n") >= 3, "what init saw first")
        where_it_was, controllers, *_ = guest.run(["cat", "/told"]).stdout.decode().splitlines()
        assert where_it_was == "0::/"
        assert {"memory", "pids"} <= set(controllers.split())
        assert guest.limits().tasks == 40
        scope = scope_name(guest.pid, "early")
    until(lambda: not Path("/sys/fs/cgroup/machine.slice", scope).exists(), "the scope's group being gone")


@pytest.mark.systemd_host
@pytest.mark.requires("machined")
def test_many_are_placed_at_once_while_systemd_reads_its_units_anew(scopes: Scopes) -> None:
    placement = ScopePlacement(hierarchies=Hierarchies.detect(), manager=Manager.MACHINED, scopes=scopes)
    leaders = [subprocess.Popen(["sleep", "1000"]) for _ in range(50)]
    try:
        wishes = [request(f"many{number}", leader, "machine.slice") for number, leader in enumerate(leaders)]
        with (
            subprocess.Popen("for i in 1 2 3; do systemctl daemon-reload; done", shell=True),
            ThreadPoolExecutor(len(leaders)) as pool,
        ):
            groups = list(pool.map(lambda wish: placement.settle(wish, None, wish.identity), wishes))
        assert [where(leader.pid) for leader in leaders] == [f"/{group.path}/payload" for group in groups]
        assert len({group.path for group in groups}) == len(leaders)
        until(lambda: machines().count("-many") == len(leaders), "machinectl knowing all")
    finally:
        for leader in leaders:
            leader.kill()
            leader.wait()
    for group in groups:
        placement.release(group)
    until(lambda: "-many" not in machines(), "machinectl having forgotten all")


@pytest.mark.systemd_host
@pytest.mark.requires("machined", "busybox")
def test_without_a_bus_a_start_says_so_and_leaves_nothing(busybox_root: Path) -> None:
    with (
        Engine() as engine,
        Container(busybox_root, name="spared", init=["/bin/sleep", "1000"], ephemeral=True, engine=engine) as spared,
    ):
        subprocess.run(["systemctl", "stop", "dbus.socket", "dbus.service"], check=True)
        try:
            lost = Container(busybox_root, name="lost", init=["/bin/sleep", "1000"], ephemeral=True, engine=engine)
            with pytest.raises(OperationFailedError, match=r"systemd makes no scope for 'lost': .* system bus"):
                lost.start()
            assert spared.run(["true"]).returncode == 0
        finally:
            subprocess.run(["systemctl", "start", "dbus.socket", "dbus.service"], check=True)
        with Container(busybox_root, name="later", init=["/bin/sleep", "1000"], ephemeral=True, engine=engine) as later:
            assert where(later.pid).startswith(f"/machine.slice/{scope_name(later.pid, 'later')}/insula")


@pytest.mark.systemd_host
@pytest.mark.requires("machined", "busybox")
def test_containers_start_while_systemd_starts_itself_anew(busybox_root: Path) -> None:
    def guest(name: str) -> Container:
        return Container(busybox_root, name=name, init=["/bin/sleep", "1000"], ephemeral=True, engine=engine)

    with Engine() as engine, guest("before"):
        with subprocess.Popen(["systemctl", "daemon-reexec"]) as restart:
            for number in range(3):
                with guest(f"during{number}") as during:
                    assert where(during.pid).startswith(f"/machine.slice/{scope_name(during.pid, during.name)}/insula")
        assert restart.returncode == 0
        subprocess.run(["systemctl", "restart", "systemd-machined"], check=True)
        with guest("after") as after:
            until_registered(f"lxc-{after.pid}-after")


@pytest.mark.machine("cgroups")
def test_a_world_without_systemd_is_recognized_too() -> None:
    if not os.path.isdir("/run/systemd/system"):
        assert detect_manager() is Manager.NONE
