"""Limits of control groups, hit by programs inside; and what is counted of them."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from insula.engine.launch import limits
from insula.engine.spec import Bytes, Limits, Microseconds
from insula.kernel.cgroups import UNLIMITED, BlockLimit, Cgroup, Hierarchies
from tests.inmates import Inmate

pytestmark = pytest.mark.machine("cgroups")

MIB = 1 << 20


HUNGRY = "held = bytearray(64 << 20); print('all held')"


def test_memory_beyond_the_limit_is_killed_and_counted(group: Cgroup, inmate: Callable[..., Inmate]) -> None:
    group.memory.limit(24 * MIB, 24 * MIB)
    program = inmate(HUNGRY)
    program.enter(group)
    assert program.result() == (-signal.SIGKILL, "")
    stats = group.stats()
    assert stats.memory is not None
    assert stats.oom_kills == group.oom_kills == 1
    assert stats.memory.limit == 24 * MIB
    assert (stats.memory.peak or 0) > 16 * MIB


def test_memory_within_the_limit_is_given_and_shown(group: Cgroup, inmate: Callable[..., Inmate]) -> None:
    group.memory.limit(256 * MIB)
    program = inmate(f"{HUNGRY}; import sys; sys.stdout.flush(); import signal; signal.pause()")
    program.enter(group)
    assert program.process.stdout is not None
    assert program.process.stdout.readline() == "all held\n"
    memory = group.stats().memory
    assert memory is not None
    assert memory.anonymous >= 64 * MIB
    assert memory.usage >= memory.anonymous
    assert memory.page_faults > 0
    assert group.oom_kills == 0


HOLDER = """
import mmap, os, signal, sys
fd = os.memfd_create("held")
os.ftruncate(fd, 30 << 20)
os.pwrite(fd, b"x" * (30 << 20), 0)
signal.signal(signal.SIGUSR1, lambda *_: (os.ftruncate(fd, 0), print("freed", flush=True)))
print("held", flush=True)
while True:
    signal.pause()
"""


def test_a_limit_below_what_tmpfs_holds_is_refused_and_kills_nothing(
    group: Cgroup, inmate: Callable[..., Inmate]
) -> None:
    group.memory.limit(256 * MIB, 256 * MIB)
    program = inmate(HOLDER)
    program.enter(group)
    assert program.process.stdout is not None
    assert program.process.stdout.readline() == "held\n"
    before = group.memory.held()
    with pytest.raises(OSError, match="do not shrink to 16384 KiB") as refusal:
        group.memory.limit(memory=16 * MIB, memory_and_swap=16 * MIB)
    assert refusal.value.errno == errno.EBUSY
    assert group.memory.held() == before
    program.process.send_signal(signal.SIGUSR1)
    assert program.process.stdout.readline() == "freed\n"
    group.memory.limit(memory=16 * MIB, memory_and_swap=16 * MIB)
    assert group.memory.held()[0] == 16 * MIB
    assert (program.process.poll(), group.oom_kills) == (None, 0)


READER = """
import signal, sys
with open(sys.argv[1], "wb") as file:
    for _ in range(64):
        file.write(b"x" * (1 << 20))
print("written", flush=True)
signal.pause()
"""


def test_a_limit_below_what_caches_hold_drops_them(group: Cgroup, scratch: Path, inmate: Callable[..., Inmate]) -> None:
    group.memory.limit(256 * MIB)
    program = inmate(READER, str(scratch / "large"))
    program.enter(group)
    assert program.process.stdout is not None
    assert program.process.stdout.readline() == "written\n"
    assert group.memory.use().cache > 24 * MIB
    group.memory.limit(memory=24 * MIB)
    assert group.memory.use().usage <= 24 * MIB
    assert (program.process.poll(), group.oom_kills) == (None, 0)


@pytest.mark.parametrize(
    "steps",
    [
        [(64, 96), (256, 512), (32, 32)],
        [(64, 64), (None, 128), (128, None), (UNLIMITED // MIB + 1, UNLIMITED // MIB + 1), (8, 9)],
    ],
)
def test_memory_and_swap_can_be_raised_and_lowered_in_any_order(
    group: Cgroup, steps: list[tuple[int | None, int | None]]
) -> None:
    for memory, with_swap in steps:
        group.memory.limit(*(None if each is None else min(each * MIB, UNLIMITED) for each in (memory, with_swap)))
    last_memory, last_sum = steps[-1]
    held = group.limits()
    assert (held.memory, held.memory_and_swap) == ((last_memory or 0) * MIB, (last_sum or 0) * MIB)


def test_a_sum_below_the_memory_is_refused_by_every_kind_of_host(group: Cgroup) -> None:
    with pytest.raises(OSError, match="memory"):
        group.memory.limit(64 * MIB, 32 * MIB)


FORKER = """
import errno, os
children = []
try:
    for _ in range(200):
        child = os.fork()
        if child == 0:
            os.read(0, 1)
            os._exit(0)
        children.append(child)
except OSError as error:
    print(len(children), errno.errorcode[error.errno])
for child in children:
    os.kill(child, 9)
    os.waitpid(child, 0)
"""


def test_tasks_beyond_the_limit_are_refused_and_counted(group: Cgroup) -> None:
    group.tasks.limit(5)
    with subprocess.Popen(
        [sys.executable, "-c", f"input()\n{FORKER}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        group.enter(program.pid)
        assert program.stdin is not None
        assert program.stdout is not None
        program.stdin.write("\n")
        program.stdin.flush()
        assert program.stdout.readline() == "4 EAGAIN\n"
    use = group.tasks.use()
    assert (use.limit, use.refused) == (5, 1)


BURNER = "import time\nbegun = time.process_time()\nwhile time.process_time() - begun < 0.2: pass"
"""Uses 200 ms of processor time in the group: what its start took was counted outside."""


def test_a_quota_throttles(group: Cgroup, inmate: Callable[..., Inmate]) -> None:
    group.cpu.limit(1_000, 5_000)  # shorter than any turn that a busy host gives it
    program = inmate(BURNER)
    program.enter(group)
    assert program.result() == (0, "")
    use = group.stats().cpu
    assert use is not None
    assert use.throttled_periods > 0
    assert use.throttled > 0
    # Nanoseconds, all of them, and no more exact than that: where a tick falls decides whose it is, on v1 even whether.
    assert 100_000_000 < use.total < 1_000_000_000
    assert use.total / 3 < use.user + use.system < use.total * 3


def test_a_quota_can_be_changed_and_taken_away(group: Cgroup) -> None:
    group.cpu.limit(10_000, 50_000)
    group.cpu.limit(None, 20_000)
    group.cpu.limit(400_000)
    held = group.limits()
    assert (held.cpu_quota, held.cpu_period) == (400_000, 20_000)
    group.cpu.limit(-1)
    assert group.limits().cpu_quota is None


def test_pinned_processors_are_what_programs_see(group: Cgroup, inmate: Callable[..., Inmate]) -> None:
    last = max(os.sched_getaffinity(0))
    group.cpuset.pin_cpus(str(last))
    program = inmate("import os; print(sorted(os.sched_getaffinity(0)))")
    program.enter(group)
    assert program.result() == (0, f"[{last}]\n")
    group.cpuset.pin_cpus("")
    group.cpuset.pin_memory_nodes("0")
    assert group.limits().cpus != str(last)


def test_every_limit_is_read_back_as_it_was_set(group: Cgroup) -> None:
    group.memory.limit_softly(48 * MIB)
    group.cpu.weigh(512)
    group.tasks.limit(77)
    held = group.limits()
    assert (held.memory_soft, held.cpu_shares, held.tasks) == (48 * MIB, 512, 77)
    group.memory.limit_softly(UNLIMITED)
    group.tasks.limit(UNLIMITED)
    assert (group.limits().memory_soft, group.limits().tasks) == (None, None)


def disk_below(directory: Path) -> tuple[int, int]:
    """Return the numbers of the whole disk that a directory is on."""
    device = os.stat(directory).st_dev
    block = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve()
    whole = block.parent if (block / "partition").exists() else block
    major, minor = (whole / "dev").read_text().strip().split(":")
    return int(major), int(minor)


WRITER = """
import mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT | os.O_DIRECT)
os.write(fd, mmap.mmap(-1, 1 << 20))
os.fsync(fd)
"""


def test_traffic_of_a_limited_disk_is_counted(group: Cgroup, scratch: Path, inmate: Callable[..., Inmate]) -> None:
    major, minor = disk_below(scratch)
    group.io.limit(BlockLimit(major=major, minor=minor, write_bytes=1 << 33, read_operations=100_000))
    _, (held,) = group.io.held()
    assert (held.write_bytes, held.read_operations, held.read_bytes) == (1 << 33, 100_000, None)
    program = inmate(WRITER, str(scratch / "file"))
    program.enter(group)
    assert program.result() == (0, "")
    uses = {(each.major, each.minor): each for each in group.stats().devices}
    assert uses[major, minor].write_bytes >= MIB
    assert uses[major, minor].write_operations >= 1
    group.io.limit(BlockLimit(major=major, minor=minor, write_bytes=0, read_operations=0))
    assert [each for each in group.io.held()[1] if each.write_bytes or each.read_operations] == []


def test_a_weight_of_block_devices_is_kept(group: Cgroup) -> None:
    group.io.weigh(300)
    assert group.limits().block_weight == 300


@pytest.mark.requires("cgroup.unified")
def test_a_guarantee_holds_for_all_groups_above_that_are_ours(hierarchies: Hierarchies) -> None:
    first, second = (Cgroup.create(hierarchies, f"test.slice/test-a.slice/{name}.scope") for name in ("one", "two"))
    first.guarantee_memory(8 * MIB)
    second.guarantee_memory(4 * MIB)
    assert first.limits().memory_guarantee == 8 * MIB
    above = [Path(first.scope or "").parents[number] / "memory.min" for number in (0, 1)]
    assert [int(each.read_text()) for each in above] == [12 * MIB] * 2
    second.guarantee_memory(0)
    assert [int(each.read_text()) for each in above] == [8 * MIB] * 2
    assert second.limits().memory_guarantee is None
    first.remove()
    second.remove()


@pytest.mark.requires("cgroup.hybrid")
def test_a_guarantee_is_refused_where_the_kernel_has_none(group: Cgroup) -> None:
    with pytest.raises(OSError, match="cannot guarantee"):
        group.memory.guarantee(8 * MIB)
    group.guarantee_memory(0)  # takes back what was refused
    assert group.limits().memory_guarantee is None


def test_pressure_is_told_where_it_is_accounted(group: Cgroup) -> None:
    files = {each: Path(group.scope or "/nowhere", f"{each}.pressure") for each in ("cpu", "memory", "io")}
    for resource, file in files.items():
        assert (group.pressure(resource) is not None) == (file.exists() and bool(file.read_text()))


@pytest.mark.requires("cgroup2.memory", "cgroup2.pids", "cgroup2.cpu")
def test_the_guest_reads_its_limits_in_the_group_that_it_sees(group: Cgroup) -> None:
    wanted = Limits(memory=Bytes(512 * MIB), memory_soft=Bytes(256 * MIB), cpu_quota=Microseconds(50_000), pids=77)
    limits.apply(group, wanted)
    told = {name: Path(group.payload or "", name).read_text().strip() for name in SEEN_LIMITS}
    assert told == SEEN_LIMITS


SEEN_LIMITS = {
    "memory.max": str(512 * MIB),
    "memory.high": str(256 * MIB),
    "cpu.max": "50000 100000",
    "pids.max": "77",
}
