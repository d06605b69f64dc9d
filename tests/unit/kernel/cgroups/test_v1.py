import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from insula.kernel.cgroups import UNLIMITED, BlockLimit, DeviceUse, v1


class Group:
    """A directory with control files as a kernel would have them; writes are recorded in order."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch, **texts: str) -> None:
        self.directory = directory
        self.written: list[tuple[str, str]] = []
        for name, text in texts.items():
            (directory / name.replace("__", ".")).write_text(text)
        monkeypatch.setattr("insula.kernel.cgroups.files.write", self._write)

    def _write(self, path: str, value: str) -> None:
        self.written.append((Path(path).name, value))
        Path(path).write_text(value)


def memory_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, with_swap: int) -> Group:
    return Group(
        tmp_path, monkeypatch, memory__limit_in_bytes=f"{limit}\n", memory__memsw__limit_in_bytes=f"{with_swap}\n"
    )


@pytest.mark.parametrize(
    ("held", "wanted", "order"),
    [
        ((100, 200), (300, 400), ["memsw", "limit"]),
        ((300, 400), (100, 200), ["limit", "memsw"]),
        ((100, 100), (50, 200), ["memsw", "limit"]),
        ((100, 200), (UNLIMITED, UNLIMITED), ["memsw", "limit"]),
    ],
)
def test_memory_and_the_sum_are_written_in_an_order_the_kernel_accepts(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    held: tuple[int, int],
    wanted: tuple[int, int],
    order: list[str],
) -> None:
    group = memory_group(tmp_path, monkeypatch, *held)
    v1.V1Memory(str(tmp_path)).limit(*wanted)
    assert [name.split(".")[1].replace("limit_in_bytes", "limit") for name, _ in group.written] == order


def test_no_limit_is_written_as_minus_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group = memory_group(tmp_path, monkeypatch, 100, 100)
    v1.V1Memory(str(tmp_path)).limit(UNLIMITED, UNLIMITED)
    assert {value for _, value in group.written} == {"-1"}


def test_a_sum_is_refused_where_swap_is_not_accounted(tmp_path: Path) -> None:
    (tmp_path / "memory.limit_in_bytes").write_text("100\n")
    with pytest.raises(OSError, match="does not account swap") as refusal:
        v1.V1Memory(str(tmp_path)).limit(50, 80)
    assert refusal.value.errno == errno.EOPNOTSUPP


def test_memory_above_the_sum_is_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(path: str, value: str) -> None:
        raise OSError(errno.EINVAL, f"writing '{value}': Invalid argument", path)

    monkeypatch.setattr("insula.kernel.cgroups.files.write", write)
    with pytest.raises(OSError, match="raise that too") as refusal:
        v1.V1Memory(str(tmp_path)).limit(memory=100)
    assert refusal.value.errno == errno.EINVAL


def test_a_guarantee_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cannot guarantee"):
        v1.V1Memory(str(tmp_path)).guarantee(1)


def test_no_guarantee_is_what_it_has_anyway(tmp_path: Path) -> None:
    v1.V1Memory(str(tmp_path)).guarantee(0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("period", "order"), [(50_000, ["quota", "period"]), (200_000, ["period", "quota"])])
def test_a_longer_period_goes_before_its_quota_and_a_shorter_one_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, period: int, order: list[str]
) -> None:
    group = Group(tmp_path, monkeypatch, cpu__cfs_period_us="100000\n", cpu__cfs_quota_us="-1\n")
    v1.V1Cpu(str(tmp_path)).limit(20_000, period)
    assert [name.split("_")[1] for name, _ in group.written] == order


def test_a_set_without_cpus_takes_its_parents(tmp_path: Path) -> None:
    child = tmp_path / "child"
    child.mkdir()
    for directory, cpus in ((tmp_path, "0-3"), (child, "")):
        (directory / "cpuset.cpus").write_text(f"{cpus}\n")
        (directory / "cpuset.mems").write_text("0\n")
    (child / "cpuset.cpus").write_text("")
    v1.V1CpuSet(str(child)).inherit()
    assert (child / "cpuset.cpus").read_text() == "0-3"
    assert (child / "cpuset.mems").read_text() == "0\n"


def test_a_device_limit_writes_one_line_a_value_and_bounds_the_weight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = Group(tmp_path, monkeypatch)
    v1.V1Io(str(tmp_path)).limit(BlockLimit(major=8, minor=16, weight=5000, read_bytes=1_000_000, write_operations=0))
    assert group.written == [
        ("blkio.bfq.weight_device", "8:16 1000"),
        ("blkio.throttle.read_bps_device", "8:16 1000000"),
        ("blkio.throttle.write_iops_device", "8:16 0"),
    ]


def test_device_limits_are_read_back(tmp_path: Path) -> None:
    (tmp_path / "blkio.bfq.weight").write_text("300\n")
    (tmp_path / "blkio.bfq.weight_device").write_text("default 300\n8:0 200\n")
    (tmp_path / "blkio.throttle.read_bps_device").write_text("8:0 1000\n8:16 2000\n")
    weight, devices = v1.V1Io(str(tmp_path)).held()
    assert weight == 300
    assert devices == (
        BlockLimit(major=8, minor=0, weight=200, read_bytes=1000),
        BlockLimit(major=8, minor=16, read_bytes=2000),
    )


def test_traffic_is_summed_by_device(tmp_path: Path) -> None:
    (tmp_path / "blkio.throttle.io_service_bytes_recursive").write_text(
        "8:0 Read 4096\n8:0 Write 512\n8:0 Sync 4608\n8:0 Total 4608\nTotal 4608\n"
    )
    (tmp_path / "blkio.throttle.io_serviced_recursive").write_text("8:0 Read 1\n8:0 Write 2\nTotal 3\n")
    assert v1.V1Io(str(tmp_path)).use() == (
        DeviceUse(major=8, minor=0, read_bytes=4096, write_bytes=512, read_operations=1, write_operations=2),
    )


def test_processor_time_is_in_nanoseconds_with_a_number_for_each_cpu(tmp_path: Path) -> None:
    for name, text in (
        ("usage", "300000000"),
        ("stat", "user 20\nsystem 10"),
        ("usage_percpu", "100000000 200000000 "),
    ):
        (tmp_path / f"cpuacct.{name}").write_text(f"{text}\n")
    use = v1.V1CpuTime(str(tmp_path)).use()
    ticks = os.sysconf("SC_CLK_TCK")
    assert (use.total, use.per_cpu) == (300_000_000, (100_000_000, 200_000_000))
    assert (use.user * ticks, use.system * ticks) == (20 * 10**9, 10 * 10**9)
    (tmp_path / "cpuacct.usage_percpu").unlink()  # a summary does not read it
    assert v1.V1CpuTime(str(tmp_path)).use(summary=True) == replace(use, per_cpu=())


@pytest.mark.parametrize(("state", "frozen"), [("THAWED", False), ("FREEZING", True), ("FROZEN", True)])
def test_a_group_that_a_task_has_just_joined_is_frozen_still(tmp_path: Path, state: str, *, frozen: bool) -> None:
    (tmp_path / "freezer.state").write_text(f"{state}\n")
    assert v1.V1Freezer(str(tmp_path)).frozen() is frozen


def test_a_freezer_that_does_not_stop_is_thawed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "freezer.state").write_text("FREEZING\n")
    states: list[str] = []
    monkeypatch.setattr("insula.kernel.cgroups.files.write", lambda _, value: states.append(value))
    with pytest.raises(OSError, match="thawed again") as refusal:
        v1.V1Freezer(str(tmp_path)).freeze(0.01)
    assert refusal.value.errno == errno.ETIMEDOUT
    assert (states[0], states[-1]) == ("FROZEN", "THAWED")
