"""Readings of a guest's control groups: the same things, whichever hierarchies they are in."""

from dataclasses import replace
from pathlib import Path

import pytest

from insula.kernel.cgroups.hierarchies import Hierarchies
from insula.kernel.cgroups.stats import DeviceUse
from insula.view.groupfiles import GroupFiles
from insula.view.viewedfiles import ViewedGuest
from tests.viewedhost import GROUP, MIB, on_v1, on_v2, write


@pytest.fixture(params=[on_v1, on_v2])
def guest(request: pytest.FixtureRequest, tmp_path: Path) -> ViewedGuest:
    made: ViewedGuest = request.param(tmp_path)
    return made


def test_memory_and_swap_are_told_alike(guest: ViewedGuest) -> None:
    reading = GroupFiles(guest).memory()
    assert (reading.limit, reading.usage) == (512 * MIB, 200 * MIB)
    assert (reading.swap_limit, reading.swap) == (128 * MIB, 2 * MIB)
    expected = {"file": 100 * MIB, "anon": 50 * MIB, "shmem": MIB, "slab_unreclaimable": 4 * MIB, "pgfault": 99}
    assert expected.items() <= reading.kinds.items()
    assert GroupFiles(guest).oom_kills() == 3


def test_processors_nodes_and_tasks_are_told_alike(guest: ViewedGuest) -> None:
    files = GroupFiles(guest)
    assert (files.processors(), files.memory_nodes(), files.tasks()) == ((1, 3), (0,), 42)


def test_times_are_told_alike_and_quotas_of_both_levels_count(guest: ViewedGuest) -> None:
    times = GroupFiles(guest).times()
    assert (times.user, times.system, times.stolen) == (7_000_000_000, 1_500_000_000, 3_000_000_000)


def test_only_v1_counts_processors_apart(tmp_path: Path) -> None:
    assert GroupFiles(on_v1(tmp_path / "1")).times().each[3] == (2_000_000_000, 500_000_000, 2_500_000_000)
    assert GroupFiles(on_v2(tmp_path / "2")).times().each == {}


def test_block_devices_are_told_alike(guest: ViewedGuest) -> None:
    use = DeviceUse(major=254, minor=0, read_bytes=MIB, write_bytes=2 * MIB, read_operations=16, write_operations=32)
    assert GroupFiles(guest).devices() == (use,)


def test_pressure_is_told_where_groups_have_it(tmp_path: Path) -> None:
    files = GroupFiles(on_v2(tmp_path / "2"))
    assert (files.pressure("cpu") or b"").startswith(b"some avg10=1.00 ")
    assert files.stalled() == 2 * 12345
    old = GroupFiles(on_v1(tmp_path / "1"))
    assert (old.pressure("cpu"), old.stalled()) == (None, None)


def test_no_limits_are_none(tmp_path: Path) -> None:
    guest = on_v2(tmp_path)
    write(tmp_path / GROUP, {"memory.max": "max\n", "memory.swap.max": "max\n"})
    reading = GroupFiles(guest).memory()
    assert (reading.limit, reading.swap_limit) == (None, None)


def test_a_group_that_is_gone_has_used_nothing(guest: ViewedGuest) -> None:
    files = GroupFiles(replace(guest, group="machine.slice/gone.scope"))
    assert (files.memory().usage, files.processors(), files.tasks(), files.devices()) == (0, (), 1, ())
    assert (files.times().whole, files.oom_kills(), files.pressure("io")) == (0, 0, None)


def test_a_host_without_control_groups_is_read_as_nothing(guest: ViewedGuest) -> None:
    files = GroupFiles(replace(guest, hierarchies=Hierarchies()))
    assert (files.memory().limit, files.processors(), files.memory_nodes(), files.devices()) == (None, (), (), ())
    assert (files.times().whole, files.oom_kills(), files.v1_with_tasks) == (0, 0, None)
