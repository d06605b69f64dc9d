import errno
from dataclasses import replace
from pathlib import Path

import pytest

from insula.kernel.cgroups import UNLIMITED, BlockLimit, DeviceUse, v2


def group(directory: Path, **texts: str) -> str:
    """Return a directory with control files; `__` in a name stands for a dot."""
    for name, text in texts.items():
        (directory / name.replace("__", ".")).write_text(text)
    return str(directory)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What was written, in order: file name and text."""
    record: list[tuple[str, str]] = []
    monkeypatch.setattr(
        "insula.kernel.cgroups.files.write", lambda path, value: record.append((Path(path).name, value))
    )
    return record


@pytest.mark.parametrize(
    ("memory", "with_swap", "writes"),
    [
        (100, 150, [("memory.swap.max", "50"), ("memory.max", "100")]),
        (100, 100, [("memory.swap.max", "0"), ("memory.max", "100")]),
        (100, None, [("memory.max", "100")]),
        (100, UNLIMITED, [("memory.max", "100")]),
        (UNLIMITED, UNLIMITED, [("memory.max", "max")]),
    ],
)
def test_the_sum_of_memory_and_swap_becomes_a_limit_of_swap(
    tmp_path: Path,
    written: list[tuple[str, str]],
    memory: int,
    with_swap: int | None,
    writes: list[tuple[str, str]],
) -> None:
    files = group(tmp_path, memory__max="max\n", memory__swap__max="max\n", memory__current="0\n")
    v2.V2Memory(files).limit(memory, with_swap)
    assert written == writes


def test_a_sum_once_set_is_kept_when_memory_changes(tmp_path: Path, written: list[tuple[str, str]]) -> None:
    v2.V2Memory(group(tmp_path, memory__max="100\n", memory__swap__max="50\n")).limit(memory=120)
    assert written == [("memory.swap.max", "30"), ("memory.max", "120")]


def test_the_sum_alone_changes_swap_alone(tmp_path: Path, written: list[tuple[str, str]]) -> None:
    v2.V2Memory(group(tmp_path, memory__max="100\n", memory__swap__max="50\n")).limit(memory_and_swap=110)
    assert written == [("memory.swap.max", "10")]


@pytest.mark.parametrize(("memory", "with_swap"), [(200, 150), (UNLIMITED, 150)])
def test_a_sum_that_cannot_be_is_refused_before_anything_changes(
    tmp_path: Path, written: list[tuple[str, str]], memory: int, with_swap: int
) -> None:
    with pytest.raises(OSError, match="memory") as refusal:
        v2.V2Memory(group(tmp_path, memory__max="max\n", memory__swap__max="max\n")).limit(memory, with_swap)
    assert refusal.value.errno == errno.EINVAL
    assert written == []


def test_held_memory_limits_are_in_the_terms_they_were_set_in(tmp_path: Path) -> None:
    files = group(tmp_path, memory__max="100\n", memory__swap__max="50\n", memory__high="max\n", memory__min="0\n")
    assert v2.V2Memory(files).held() == (100, None, None, 150)


def test_shares_become_a_weight_and_come_back(tmp_path: Path, written: list[tuple[str, str]]) -> None:
    cpu = v2.V2Cpu(group(tmp_path, cpu__weight="200\n", cpu__max="max 100000\n"))
    cpu.weigh(2048)
    assert written == [("cpu.weight", "200")]
    assert cpu.held() == (2048, None, 100_000)


@pytest.mark.parametrize(
    ("quota", "period", "line"),
    [
        (20_000, None, "20000 100000"),
        (-1, None, "max 100000"),
        (None, 50_000, "30000 50000"),
        (1000, 2000, "1000 2000"),
    ],
)
def test_a_quota_keeps_the_period_and_a_period_keeps_the_quota(
    tmp_path: Path, written: list[tuple[str, str]], quota: int | None, period: int | None, line: str
) -> None:
    v2.V2Cpu(group(tmp_path, cpu__max="30000 100000\n")).limit(quota, period)
    assert written == [("cpu.max", line)]


def test_a_weight_goes_to_every_scheduler_that_may_use_it(tmp_path: Path, written: list[tuple[str, str]]) -> None:
    v2.V2Io(group(tmp_path, io__weight="default 100\n", io__bfq__weight="default 100\n")).weigh(2000)
    assert written == [("io.weight", "default 2000"), ("io.bfq.weight", "default 1000")]


def test_a_weight_is_refused_where_no_scheduler_knows_weights(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no io weights") as refusal:
        v2.V2Io(str(tmp_path)).weigh(100)
    assert refusal.value.errno == errno.EOPNOTSUPP


def test_a_weight_accepted_by_one_scheduler_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(path: str, _: str) -> None:
        if path.endswith("io.bfq.weight"):
            raise OSError(errno.EINVAL, "no BFQ on that device", path)

    monkeypatch.setattr("insula.kernel.cgroups.files.write", write)
    v2.V2Io(group(tmp_path, io__weight="", io__bfq__weight="")).limit(BlockLimit(major=8, minor=0, weight=50))


def test_a_device_limit_is_one_line_and_zero_takes_a_limit_away(tmp_path: Path, written: list[tuple[str, str]]) -> None:
    v2.V2Io(group(tmp_path, io__weight="")).limit(BlockLimit(major=8, minor=0, weight=0, read_bytes=5, write_bytes=0))
    assert written == [("io.weight", "8:0 default"), ("io.max", "8:0 rbps=5 wbps=max")]


def test_device_limits_are_read_back(tmp_path: Path) -> None:
    directory = group(
        tmp_path,
        io__max="8:0 rbps=1000 wbps=max riops=max wiops=20\n",
        io__weight="default 100\n8:16 50\n",
        io__bfq__weight="default 100\n",
    )
    assert v2.V2Io(directory).held() == (
        100,
        (
            BlockLimit(major=8, minor=16, weight=50),
            BlockLimit(major=8, minor=0, read_bytes=1000, write_operations=20),
        ),
    )


def test_traffic_is_read_by_device(tmp_path: Path) -> None:
    directory = group(tmp_path, io__stat="8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n")
    assert v2.V2Io(directory).use() == (
        DeviceUse(major=8, minor=0, read_bytes=1, write_bytes=2, read_operations=3, write_operations=4),
    )


def test_microseconds_become_nanoseconds(tmp_path: Path) -> None:
    directory = group(
        tmp_path, cpu__stat="usage_usec 3\nuser_usec 2\nsystem_usec 1\nnr_periods 9\nnr_throttled 4\nthrottled_usec 7\n"
    )
    use = v2.V2CpuTime(directory).use()
    assert (use.total, use.user, use.system) == (3000, 2000, 1000)
    assert v2.V2Cpu(directory).throttling() == (9, 4, 7000)


def test_pressure_without_a_line_for_full_is_read(tmp_path: Path) -> None:
    directory = group(tmp_path, cpu__pressure="some avg10=1.50 avg60=0.00 avg300=0.00 total=42\n")
    pressure = v2.Stalls(directory).of("cpu")
    assert pressure is not None
    assert (pressure.some.avg10, pressure.some.total, pressure.full.avg10) == (1.5, 42, 0)
    assert v2.Stalls(directory).of("io") is None


def test_tasks_without_events_are_read(tmp_path: Path, written: list[tuple[str, str]]) -> None:
    tasks = v2.V2Pids(group(tmp_path, pids__current="3\n", pids__max="max\n"))
    assert (tasks.use().current, tasks.use().limit, tasks.use().refused) == (3, None, 0)
    tasks.limit(10)
    tasks.limit(UNLIMITED)
    assert written == [("pids.max", "10"), ("pids.max", "max")]


def test_promises_of_the_groups_below_are_added_up(tmp_path: Path) -> None:
    for name, promise in (("a", "4096"), ("b", "8192"), ("c", "0")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "memory.min").write_text(f"{promise}\n")
    (tmp_path / "without").mkdir()
    assert v2.promised_below(str(tmp_path)) == 12288
    (tmp_path / "c/memory.min").write_text("max\n")
    assert v2.promised_below(str(tmp_path)) == UNLIMITED


def test_a_summary_of_memory_leaves_out_what_costs_another_file(tmp_path: Path) -> None:
    names = ("anon", "file", "inactive_file", "shmem", "unevictable", "pgfault", "pgmajfault")
    (tmp_path / "memory.stat").write_text("".join(f"{name} 1\n" for name in names))
    for name, text in (("current", "8192"), ("max", "max"), ("peak", "9000"), ("swap.current", "5")):
        (tmp_path / f"memory.{name}").write_text(f"{text}\n")
    memory = v2.V2Memory(str(tmp_path))
    whole = memory.use()
    assert (whole.usage, whole.peak, whole.swap) == (8192, 9000, 5)
    for name in ("peak", "swap.current"):
        (tmp_path / f"memory.{name}").unlink()
    assert memory.use(summary=True) == replace(whole, peak=None, swap=None)


@pytest.mark.parametrize(
    ("own", "events", "frozen"), [("0", "0", False), ("1", "0", True), ("1", "1", True), ("0", "1", True)]
)
def test_a_group_is_frozen_by_its_own_word_and_by_one_above(
    tmp_path: Path, own: str, events: str, *, frozen: bool
) -> None:
    directory = group(tmp_path, cgroup__freeze=f"{own}\n", cgroup__events=f"populated 1\nfrozen {events}\n")
    assert v2.V2Freezer(directory).frozen() is frozen
