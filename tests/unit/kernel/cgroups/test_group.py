import errno
from pathlib import Path

import pytest

from insula.kernel.cgroups import Cgroup, Hierarchies, V1Hierarchy, v1, v2

HYBRID = Hierarchies(
    v1=(
        V1Hierarchy(mount="/c/cpu", controllers=("cpu", "cpuacct")),
        V1Hierarchy(mount="/c/memory", controllers=("memory",)),
        V1Hierarchy(mount="/c/systemd", controllers=("name=systemd",)),
    ),
    v2="/c/unified",
    v2_controllers=("io", "pids"),
)
UNIFIED = Hierarchies(v2="/c", v2_controllers=("cpuset", "cpu", "io", "memory", "pids"))
OLD = Hierarchies(v1=(V1Hierarchy(mount="/c/freezer", controllers=("freezer",)),))


def test_each_controller_is_taken_from_the_hierarchy_that_has_it() -> None:
    group = Cgroup(HYBRID, "a/b.scope")
    assert group.memory == v1.V1Memory("/c/memory/a/b.scope")
    assert group.cpu == v1.V1Cpu("/c/cpu/a/b.scope")
    assert group.cpu_time == v1.V1CpuTime("/c/cpu/a/b.scope")
    assert group.io == v2.V2Io("/c/unified/a/b.scope")
    assert group.tasks == v2.V2Pids("/c/unified/a/b.scope")
    assert group.freezer == v2.V2Freezer("/c/unified/a/b.scope")


def test_a_unified_host_has_everything_in_the_scope_and_the_guest_below_it() -> None:
    group = Cgroup(UNIFIED, "a/b.scope")
    assert group.memory == v2.V2Memory("/c/a/b.scope")
    assert group.cpu_time == v2.V2CpuTime("/c/a/b.scope")
    assert group.directories == ("/c/a/b.scope",)
    assert group.payload == "/c/a/b.scope/payload"


def test_who_meets_its_quota_in_the_group_that_it_sees_is_counted(tmp_path: Path) -> None:
    group = Cgroup(Hierarchies(v2=str(tmp_path), v2_controllers=("cpu",)), "a.scope")
    Path(group.payload or "").mkdir(parents=True)
    use = "usage_usec 9\nuser_usec 5\nsystem_usec 4\n"
    Path(group.scope or "", "cpu.stat").write_text(f"{use}nr_periods 10\nnr_throttled 1\nthrottled_usec 7\n")
    Path(group.payload or "", "cpu.stat").write_text(f"{use}nr_periods 9\nnr_throttled 5\nthrottled_usec 20\n")
    found = group.stats().cpu
    assert found is not None
    assert (found.total, found.periods, found.throttled_periods, found.throttled) == (9000, 10, 6, 27000)


def test_limits_are_repeated_where_the_guest_looks_and_the_host_has_the_controller(tmp_path: Path) -> None:
    group = Cgroup(Hierarchies(v2=str(tmp_path), v2_controllers=("memory", "pids")), "a.scope")
    Path(group.payload or "").mkdir(parents=True)
    held = {"memory.max": "1048576", "memory.high": "524288", "pids.max": "max", "cpu.max": "1000 100000"}
    for name, limit in held.items():
        Path(group.scope or "", name).write_text(f"{limit}\n")
        Path(group.payload or "", name).write_text("before")
    group.repeat_limits(["memory.max", "memory.high", "memory.swap.max", "cpu.max"])
    seen = {name: Path(group.payload or "", name).read_text() for name in held}
    assert seen["memory.max"].startswith("1048576")
    assert seen["memory.high"].startswith("524288")
    assert (seen["pids.max"], seen["cpu.max"]) == ("before", "before")


def test_an_old_host_has_no_payload_and_its_own_freezer() -> None:
    group = Cgroup(OLD, "a/b.scope")
    assert group.payload is None
    assert group.into_fd() is None
    assert group.freezer == v1.V1Freezer("/c/freezer/a/b.scope")


@pytest.mark.parametrize("name", ["memory", "cpu", "cpu_time", "cpuset", "io", "tasks"])
def test_a_controller_the_host_lacks_is_a_clear_error(name: str) -> None:
    with pytest.raises(OSError, match="this host") as refusal:
        getattr(Cgroup(OLD, "a/b.scope"), name)
    assert refusal.value.errno == errno.EOPNOTSUPP


@pytest.mark.parametrize("path", ["", "/etc", "a/../../b", ".."])
def test_a_group_outside_the_hierarchies_is_refused(path: str) -> None:
    with pytest.raises(OSError, match="relative to the hierarchies"):
        Cgroup.create(UNIFIED, path)


def test_a_group_that_cannot_be_made_everywhere_is_made_nowhere(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    here = Hierarchies(
        v1=(
            V1Hierarchy(mount=f"{tmp_path}/cpu", controllers=("cpu",)),
            V1Hierarchy(mount=f"{tmp_path}/gone", controllers=("memory",)),
        )
    )
    with pytest.raises(OSError, match="gone"):
        Cgroup.create(here, "machine.slice/b.scope")
    assert list((tmp_path / "cpu").iterdir()) == []


def test_a_group_may_only_be_made_once(tmp_path: Path) -> None:
    here = Hierarchies(v2=str(tmp_path))
    group = Cgroup.create(here, "a/b.scope")
    with pytest.raises(FileExistsError):
        Cgroup.create(here, "a/b.scope")
    assert group.exists()
    assert Path(group.payload or "").is_dir()
    group.remove()
    assert not group.exists()
    assert list(tmp_path.iterdir()) == []
