from pathlib import Path

import pytest

from insula.kernel.cgroups import Cgroup, HeldLimits, Hierarchies, V1Hierarchy
from insula.kernel.cgroups.readings import limits, stats


@pytest.fixture
def hybrid(tmp_path: Path) -> Cgroup:
    """A group of a host with the cpu controllers in v1, tasks in v2, and no memory controller."""
    files = {
        "cpu/c.scope/cpu.stat": "nr_periods 9\nnr_throttled 4\nthrottled_time 7\n",
        "cpu/c.scope/cpu.shares": "512\n",
        "cpu/c.scope/cpu.cfs_quota_us": "-1\n",
        "cpu/c.scope/cpu.cfs_period_us": "100000\n",
        "cpu/c.scope/cpuacct.usage": "300000000\n",
        "cpu/c.scope/cpuacct.stat": "user 20\nsystem 10\n",
        "cpu/c.scope/cpuacct.usage_percpu": "300000000\n",
        "unified/c.scope/pids.current": "3\n",
        "unified/c.scope/pids.max": "10\n",
        "unified/c.scope/pids.events": "max 2\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    cpu = V1Hierarchy(mount=f"{tmp_path}/cpu", controllers=("cpu", "cpuacct"))
    return Cgroup(Hierarchies(v1=(cpu,), v2=f"{tmp_path}/unified", v2_controllers=("pids",)), "c.scope")


def test_use_is_read_from_wherever_a_controller_is(hybrid: Cgroup) -> None:
    reading = stats(hybrid)
    assert reading.memory is None
    assert reading.devices == ()
    assert reading.oom_kills == 0
    assert reading.cpu is not None
    assert (reading.cpu.total, reading.cpu.periods, reading.cpu.throttled_periods) == (300_000_000, 9, 4)
    assert reading.tasks is not None
    assert (reading.tasks.current, reading.tasks.limit, reading.tasks.refused) == (3, 10, 2)


def test_limits_that_a_host_lacks_are_none(hybrid: Cgroup) -> None:
    assert limits(hybrid) == HeldLimits(cpu_shares=512, cpu_period=100_000, tasks=10)


def test_time_is_accounted_without_a_controller_for_it(tmp_path: Path) -> None:
    (tmp_path / "c.scope").mkdir()
    (tmp_path / "c.scope/cpu.stat").write_text("usage_usec 3\nuser_usec 2\nsystem_usec 1\n")
    use = stats(Cgroup(Hierarchies(v2=str(tmp_path)), "c.scope")).cpu
    assert use is not None
    assert (use.total, use.periods) == (3000, 0)


def test_an_old_host_without_accounting_tells_no_time() -> None:
    old = Hierarchies(v1=(V1Hierarchy(mount="/c/freezer", controllers=("freezer",)),))
    assert stats(Cgroup(old, "c.scope")).cpu is None


def test_a_group_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such control group"):
        stats(Cgroup(Hierarchies(v2=str(tmp_path)), "c.scope"))
