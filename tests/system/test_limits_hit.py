"""Each limit of a guest, met by a program inside that runs into it; what this host has not is refused in words."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from insula import Container, Engine, HugePageLimit, InvalidArgumentError, Limits, OperationUnsupportedError
from insula.engine.spec import Bytes, Microseconds
from insula.kernel.cgroups import UNLIMITED

pytestmark = [pytest.mark.requires("userns", "busybox", "overlay.idmapped"), pytest.mark.machine("cgroups")]

IDLE = ("/bin/sleep", "1000")
MEMORY = 128 << 20


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as made:
        yield made


@pytest.fixture
def guest(busybox_root: Path, engine: Engine) -> Iterator[Container]:
    with Container(busybox_root, name="hit", init=IDLE, ephemeral=True, engine=engine, memory=MEMORY) as made:
        yield made


def said(guest: Container, script: str) -> str:
    done = guest.run(["/bin/sh", "-c", script])
    return (done.stdout + done.stderr).decode().strip()


FORKS = "for i in $(seq 50); do sleep 1000 >/dev/null 2>&1 & done; echo all; kill $(jobs -p)"


def test_forks_end_at_the_limit_of_processes_until_that_is_raised(guest: Container) -> None:
    guest.limit(Limits(pids=20))
    assert "fork" in said(guest, FORKS)
    assert (guest.stats().tasks or pytest.fail("no tasks are counted")).refused > 0
    guest.limit(Limits(pids=1000))
    assert said(guest, FORKS).splitlines()[0] == "all"


def test_what_fills_memory_is_killed_at_a_limit_that_came_while_it_ran(guest: Container) -> None:
    guest.limit(Limits(memory=Bytes(32 << 20)))
    script = "mount -t tmpfs none /mnt; dd if=/dev/zero of=/mnt/full bs=1M count=64; echo wrote"
    before = guest.stats().oom_kills
    assert "64+0 records out" not in said(guest, script)
    assert guest.stats().oom_kills > before


BURN = "timeout -s KILL 2 sh -c 'while :; do :; done'; cut -d' ' -f14,15 /proc/self/stat"


def test_a_quota_is_the_share_of_a_processor_that_a_busy_program_gets(guest: Container) -> None:
    guest.limit(Limits(cpu_quota=Microseconds(20_000), cpu_period=Microseconds(100_000)))
    before = guest.stats().cpu
    said(guest, BURN)
    after = guest.stats().cpu
    assert before is not None and after is not None
    periods = after.periods - before.periods
    assert periods and after.throttled_periods > before.throttled_periods
    # What it was given in the periods that it wanted some in, whatever the clock said; a slice may go beyond one.
    assert after.total - before.total < periods * 20_000 * 1000 * 1.5 + 50_000_000


def test_a_burst_is_set_beside_its_quota_and_goes_with_it(guest: Container) -> None:
    quota = Limits(cpu_quota=Microseconds(50_000), cpu_period=Microseconds(100_000))
    guest.limit(quota)
    guest.limit(Limits(cpu_burst=Microseconds(40_000)))
    assert guest.limits().cpu_burst == 40_000
    with pytest.raises(InvalidArgumentError, match="burst"):
        guest.limit(Limits(cpu_burst=Microseconds(60_000), cpu_quota=Microseconds(50_000)))
    guest.limit(Limits(cpu_burst=Microseconds(0), cpu_quota=Microseconds(10_000)))
    held = guest.limits()
    assert (held.cpu_burst, held.cpu_quota) == (0, 10_000)


def test_an_idle_guest_is_so_and_has_its_shares_again_afterwards(guest: Container) -> None:
    guest.limit(Limits(cpu_shares=2048, cpu_idle=True))
    assert guest.limits().cpu_idle is True
    with pytest.raises(InvalidArgumentError, match="idle, which has none: end that first"):
        guest.limit(Limits(cpu_shares=512))
    guest.limit(Limits(cpu_shares=2048, cpu_idle=False))
    held = guest.limits()
    assert (held.cpu_idle, held.cpu_shares) == (False, 2048)


def test_limits_that_are_there_from_the_start_on_are_told_by_the_kernel(busybox_root: Path, engine: Engine) -> None:
    wanted = Limits(
        cpu_quota=Microseconds(50_000),
        cpu_period=Microseconds(100_000),
        cpu_burst=Microseconds(20_000),
        pids=33,
    )
    with Container(busybox_root, init=IDLE, ephemeral=True, engine=engine, limits=wanted) as guest:
        held = guest.limits()
    assert (held.cpu_quota, held.cpu_period, held.cpu_burst, held.tasks) == (50_000, 100_000, 20_000, 33)


@pytest.mark.requires("cgroup2.hugetlb")
def test_huge_pages_beyond_the_limit_are_refused(guest: Container) -> None:
    guest.limit(Limits(huge_pages=(HugePageLimit(size=2 << 20, limit=4 << 20),)))
    assert guest.limits().huge_pages == (HugePageLimit(size=2 << 20, limit=4 << 20),)
    guest.limit(Limits(huge_pages=(HugePageLimit(size=2 << 20, limit=UNLIMITED),)))
    assert guest.limits().huge_pages == ()
    with pytest.raises(OperationUnsupportedError, match=r"huge pages: no such control file"):
        guest.limit(Limits(huge_pages=(HugePageLimit(size=3 << 20, limit=0),)))


@pytest.mark.requires("cgroup2.memory")
def test_compressed_swap_is_limited_where_groups_count_it(guest: Container) -> None:
    if guest.limits().zswap_writeback is None:
        with pytest.raises(OperationUnsupportedError, match="zswap"):
            guest.limit(Limits(zswap=Bytes(1 << 20)))
        return
    guest.limit(Limits(zswap=Bytes(1 << 20), zswap_writeback=False))
    held = guest.limits()
    assert (held.zswap, held.zswap_writeback) == (1 << 20, False)
    guest.limit(Limits(zswap=Bytes(UNLIMITED), zswap_writeback=True))
    held = guest.limits()
    assert (held.zswap, held.zswap_writeback) == (None, True)


@pytest.mark.requires("cgroup1.memory")
def test_what_v1_never_had_is_refused_at_a_start_and_live_and_changes_nothing(
    busybox_root: Path, engine: Engine, guest: Container
) -> None:
    before = guest.limits()
    with pytest.raises(OperationUnsupportedError, match="cgroup v1 has no limit of zswap"):
        guest.limit(Limits(zswap=Bytes(0)))
    assert guest.limits() == before
    refused = Container(busybox_root, init=IDLE, ephemeral=True, engine=engine, limits=Limits(zswap=Bytes(0)))
    with pytest.raises(Exception, match="cgroup v1 has no limit of zswap"):
        refused.start()
    refused.destroy()


FILES = {"cgroup1.memory": ("memory.swappiness", "7"), "cgroup2.memory": ("memory.oom.group", "1")}


@pytest.mark.parametrize("needed", [pytest.param(each, marks=pytest.mark.requires(each)) for each in FILES])
def test_a_control_file_is_written_before_the_start_and_live_and_taken_away(
    busybox_root: Path, engine: Engine, needed: str
) -> None:
    key, value = FILES[needed]
    guest = Container(busybox_root, init=IDLE, ephemeral=True, engine=engine)
    guest.set_control_file(key, value)
    with guest:
        assert guest.control_file(key) == value
        guest.set_control_file(key, None)
        fresh = guest.control_file(key)
        assert fresh != value
        guest.set_control_file(key, value)
        assert guest.control_file(key) == value
    with guest:
        assert guest.control_file(key) == value
        for wrong in ("cgroup.procs", "../memory.max", "devices.allow"):
            with pytest.raises(InvalidArgumentError, match="no control file of a limit"):
                guest.set_control_file(wrong, "1")


@pytest.mark.requires("cgroup2")
def test_no_group_that_a_fresh_value_was_seen_on_stays(guest: Container) -> None:
    controller = next(iter(guest._life.alive().group.hierarchies.v2_controllers), None)
    if controller == "hugetlb":
        guest.set_control_file("hugetlb.2MB.max", "0")
        guest.set_control_file("hugetlb.2MB.max", None)
        assert guest.control_file("hugetlb.2MB.max") == "max"
    scope = Path(guest._life.alive().group.scope or "")
    assert [each.name for each in scope.iterdir() if each.is_dir()] == ["payload"]
