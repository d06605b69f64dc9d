import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from insula.engine.launch import limits
from insula.engine.launch.limits import NONE, SETTERS, apply, change, change_running, merged, only
from insula.engine.launch.runningcontainer import Running
from insula.engine.spec import Bytes, Limits, Microseconds
from insula.errors import (
    InsulaError,
    InvalidArgumentError,
    OperationFailedError,
    OperationUnsupportedError,
    ResourceBusyError,
)
from insula.kernel.cgroups import (
    UNLIMITED,
    BlockLimit,
    Cgroup,
    GroupKey,
    Hierarchies,
    HugePageLimit,
    MiscLimit,
    tree,
)
from insula.kernel.fds import NO_FD
from tests.unit.engine.desk import record_of

CONTROLLERS = ("cpuset", "cpu", "hugetlb", "io", "memory", "misc", "pids")


@pytest.fixture
def group(tmp_path: Path) -> Cgroup:
    """A group of a unified host, its files standing in a plain directory."""
    directory = tmp_path / "c.scope"
    directory.mkdir()
    files = {
        "memory.max": "max",
        "memory.current": "30",
        "memory.stat": "anon 30\nfile 0\ninactive_file 0\nshmem 0\nunevictable 0\npgfault 0\npgmajfault 0\n",
        "memory.swap.max": "max",
        "memory.high": "max",
        "memory.min": "0",
        "cpu.weight": "100",
        "cpu.max": "max 100000",
        "cpuset.cpus": "",
        "cpuset.mems": "",
        "io.weight": "default 100",
        "io.max": "",
        "pids.max": "max",
        "cpu.max.burst": "0",
        "cpu.idle": "0",
        "memory.zswap.max": "max",
        "memory.zswap.writeback": "1",
        "memory.oom.group": "0",
        "hugetlb.2MB.max": "max",
        "misc.max": "",
    }
    for name, text in files.items():
        (directory / name).write_text(text)
    return Cgroup(Hierarchies(v2=str(tmp_path), v2_controllers=CONTROLLERS), "c.scope")


def text(group: Cgroup, name: str) -> str:
    return Path(group.scope or "", name).read_text()


FULL = Limits(
    memory=Bytes(100),
    memory_soft=Bytes(80),
    memory_guarantee=Bytes(10),
    memory_and_swap=Bytes(150),
    cpu_shares=2048,
    cpu_quota=Microseconds(50000),
    cpu_period=Microseconds(200000),
    cpus="0-1",
    memory_nodes="0",
    block_weight=300,
    block_devices=(BlockLimit(major=8, minor=0, read_bytes=5),),
    pids=7,
    cpu_burst=Microseconds(20000),
    cpu_idle=True,
    zswap=Bytes(40),
    zswap_writeback=False,
    huge_pages=(HugePageLimit(size=2 << 20, limit=4 << 20),),
    misc=(MiscLimit(name="sev", limit=3),),
    keys=(GroupKey(key="memory.oom.group", value="1"),),
)


def test_each_limit_is_put_where_it_belongs(group: Cgroup, monkeypatch: pytest.MonkeyPatch) -> None:
    written: dict[str, str] = {}
    monkeypatch.setattr(
        "insula.kernel.cgroups.files.write", lambda path, value: written.update({Path(path).name: value})
    )
    apply(group, FULL)
    assert written == {
        "memory.max": "100",
        "memory.swap.max": "50",
        "memory.high": "80",
        "memory.min": "10",
        "cpu.weight": "200",
        "cpu.max": "50000 200000",
        "cpuset.cpus": "0-1",
        "cpuset.mems": "0",
        "io.weight": "default 300",
        "io.max": "8:0 rbps=5",
        "pids.max": "7",
        "cpu.max.burst": "20000",
        "cpu.idle": "1",
        "memory.zswap.max": "40",
        "memory.zswap.writeback": "0",
        "hugetlb.2MB.max": str(4 << 20),
        "misc.max": "sev 3",
        "memory.oom.group": "1",
    }


def payload_of(group: Cgroup) -> Path:
    payload = Path(group.payload or "")
    payload.mkdir()
    seen = ("memory.max", "memory.swap.max", "cpu.max", "cpu.max.burst", "pids.max")
    for name in (*seen, "memory.high", "cpu.weight"):
        (payload / name).write_text("-")
    return payload


def test_the_guest_sees_limits_that_programs_look_for(group: Cgroup, monkeypatch: pytest.MonkeyPatch) -> None:
    # Control files have no rest of what was there before.
    monkeypatch.setattr("insula.kernel.cgroups.files.write", lambda path, value: Path(path).write_text(value))
    payload = payload_of(group)
    apply(group, FULL)
    assert {each.name: each.read_text() for each in payload.iterdir()} == {
        "memory.max": "100",
        "memory.swap.max": "50",
        "cpu.max": "50000 200000",
        "cpu.max.burst": "20000",
        "pids.max": "7",
        "memory.high": "80",
        "cpu.weight": "-",
    }


def test_the_guest_sees_those_limits_changed_that_are_changed(group: Cgroup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("insula.kernel.cgroups.files.write", lambda path, value: Path(path).write_text(value))
    payload = payload_of(group)
    change_running(Running(record=record_of(os.getpid()), group=group, pidfd=NO_FD, consoles=[]), Limits(pids=9))
    assert (payload / "pids.max").read_text() == "9"
    assert (payload / "memory.max").read_text() == "-"


def test_what_is_not_said_stays_as_it_is(group: Cgroup) -> None:
    before = {name: text(group, name) for name in ("memory.max", "cpu.max", "pids.max")}
    apply(group, Limits())
    assert {name: text(group, name) for name in before} == before


def test_every_field_has_a_setter(group: Cgroup, monkeypatch: pytest.MonkeyPatch) -> None:
    untouched = [what for what, put in SETTERS if not _writes(put_limits=put, group=group, patch=monkeypatch)]
    assert untouched == []


def _writes(put_limits: object, group: Cgroup, patch: pytest.MonkeyPatch) -> bool:
    written: list[str] = []
    patch.setattr("insula.kernel.cgroups.files.write", lambda path, _: written.append(path))
    assert callable(put_limits)
    put_limits(group, FULL)
    return bool(written)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EOPNOTSUPP, OperationUnsupportedError),
        (errno.EINVAL, InvalidArgumentError),
        (errno.EBUSY, ResourceBusyError),
    ],
)
def test_a_refusal_names_the_limit_and_has_libvirts_kind(
    group: Cgroup, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[InsulaError]
) -> None:
    def write(path: str, value: str) -> None:
        raise OSError(number, "refused", path)

    monkeypatch.setattr("insula.kernel.cgroups.files.write", write)
    with pytest.raises(kind, match=r"cannot set the limit of tasks: refused .*pids\.max"):
        apply(group, Limits(pids=3))


def test_a_limit_this_host_does_not_have_is_unsupported() -> None:
    bare = Cgroup(Hierarchies(v2="/nowhere"), "c.scope")
    with pytest.raises(OperationUnsupportedError, match="cannot set the memory limit: this host has no memory"):
        apply(bare, Limits(memory=Bytes(1)))


def test_a_guarantee_on_a_running_container_is_promised_by_the_groups_above_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    above, own = tmp_path / "m.slice", tmp_path / "m.slice/c.scope"
    own.mkdir(parents=True)
    for directory in (above, own):
        (directory / "memory.min").write_text("0")
    monkeypatch.setattr(tree, "is_ours", lambda directory: True)
    group = Cgroup(Hierarchies(v2=str(tmp_path), v2_controllers=CONTROLLERS), "m.slice/c.scope")
    change(group, Limits(memory_guarantee=Bytes(4096)))
    assert [(each / "memory.min").read_text() for each in (above, own)] == ["4096", "4096"]


def test_a_limit_that_would_get_programs_killed_is_refused_before_anything_is_written(
    group: Cgroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("insula.engine.launch.limits.read_meminfo", lambda path: {"SwapFree": 0})
    with pytest.raises(OperationFailedError, match="free memory inside, or choose more"):
        change(group, Limits(memory=Bytes(29), cpu_shares=2048))
    assert (text(group, "memory.max"), text(group, "cpu.weight")) == ("max", "100")
    change(group, Limits(memory=Bytes(30), memory_and_swap=Bytes(30)))
    assert text(group, "memory.max").startswith("30")


def test_of_some_names_alone_what_is_unset_becomes_what_takes_the_limit_away() -> None:
    assert only(Limits(memory=Bytes(5), pids=3), {"memory", "cpu_shares"}) == Limits(memory=Bytes(5), cpu_shares=1024)
    assert only(FULL, ()) == Limits()
    assert only(Limits(), {"cpu_quota", "memory_guarantee"}) == only(NONE, {"cpu_quota", "memory_guarantee"})


def test_what_is_put_counts_and_the_rest_stays() -> None:
    read, write = BlockLimit(major=8, minor=0, read_bytes=1), BlockLimit(major=8, minor=16, write_bytes=2)
    before = Limits(memory=Bytes(1 << 20), cpus="0", pids=100, block_devices=(read, write))
    put = Limits(memory=Bytes(UNLIMITED), cpu_shares=512, block_devices=(replace(read, read_bytes=3),))
    assert merged(before, put) == Limits(
        cpus="0", pids=100, cpu_shares=512, block_devices=(replace(read, read_bytes=3), write)
    )
    assert merged(before, Limits()) == before


def test_the_record_of_a_running_container_tells_of_the_limits_it_has_now(group: Cgroup) -> None:
    running = Running(record=record_of(os.getpid()), group=group)
    change_running(running, Limits(pids=17))
    assert running.record.spec.limits.pids == 17
    with pytest.raises(InsulaError):
        change_running(replace_group(running, group), Limits(cpus="nonsense", memory=Bytes(1)))
    assert running.record.spec.limits.memory is None


def replace_group(running: Running, group: Cgroup) -> Running:
    """Let the group refuse."""
    running.group = Cgroup(group.hierarchies, "gone")
    return running


def test_several_limits_are_known_by_what_each_is_about_and_gone_once_taken_away() -> None:
    before = Limits(
        huge_pages=(HugePageLimit(size=2 << 20, limit=1), HugePageLimit(size=1 << 30, limit=2)),
        misc=(MiscLimit(name="sev", limit=3),),
        keys=(GroupKey(key="memory.oom.group", value="1"),),
    )
    put = Limits(
        huge_pages=(HugePageLimit(size=2 << 20, limit=UNLIMITED),),
        misc=(MiscLimit(name="sev", limit=UNLIMITED),),
        keys=(GroupKey(key="memory.oom.group", value=None), GroupKey(key="cpu.rt_runtime_us", value="0")),
        memory_nodes="",
    )
    assert merged(before, put) == Limits(
        huge_pages=(HugePageLimit(size=1 << 30, limit=2),), keys=(GroupKey(key="cpu.rt_runtime_us", value="0"),)
    )


def test_an_idle_group_says_why_it_takes_no_shares(group: Cgroup, monkeypatch: pytest.MonkeyPatch) -> None:
    apply(group, Limits(cpu_idle=True))

    def refuse(path: str, *_: str) -> None:
        raise OSError(errno.EINVAL, "writing '50': Invalid argument", path)

    monkeypatch.setattr("insula.kernel.cgroups.files.write", refuse)
    with pytest.raises(InvalidArgumentError, match=r"CPU shares: the group is idle, which has none: end that first"):
        apply(group, Limits(cpu_shares=512))


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ("0-1\n", r"memory node list: the host has no NUMA node 2-3,7 with memory: it has 0-1 "),
        (None, r"no NUMA node 1-3,7 with memory: it has 0 "),
        ("0-7\n", r"memory node list: refused "),
    ],
)
def test_a_numa_node_that_is_not_there_is_named_with_those_that_are(
    group: Cgroup, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, there: str | None, said: str
) -> None:
    def write(path: str, value: object) -> None:
        raise OSError(errno.EINVAL, "refused", path)

    if there is not None:
        (tmp_path / "has_memory").write_text(there)
    monkeypatch.setattr(limits, "NODES_WITH_MEMORY", str(tmp_path / "has_memory"))
    monkeypatch.setattr("insula.kernel.cgroups.files.write", write)
    with pytest.raises(InvalidArgumentError, match=said):
        apply(group, Limits(memory_nodes="1-3,7"))


def test_the_burst_goes_before_its_quota_changes_and_comes_behind_it(
    group: Cgroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[tuple[str, str]] = []
    monkeypatch.setattr("insula.kernel.cgroups.files.write", lambda path, value: written.append((path, value)))
    apply(group, Limits(cpu_quota=Microseconds(1000), cpu_period=Microseconds(2000), cpu_burst=Microseconds(900)))
    ours = [(Path(path).name, value) for path, value in written if path.startswith(f"{group.scope}/cpu")]
    assert ours == [("cpu.max.burst", "0"), ("cpu.max", "1000 2000"), ("cpu.max.burst", "900")]


def test_what_a_host_has_not_can_be_taken_away_and_not_be_set(tmp_path: Path) -> None:
    (tmp_path / "c.scope").mkdir()
    bare = Cgroup(Hierarchies(v2=str(tmp_path), v2_controllers=CONTROLLERS), "c.scope")
    apply(bare, Limits(cpu_idle=False, cpu_burst=Microseconds(0), zswap=Bytes(UNLIMITED), zswap_writeback=True))
    for wanted in (Limits(cpu_idle=True), Limits(zswap=Bytes(0)), Limits(misc=(MiscLimit(name="sev", limit=1),))):
        with pytest.raises(OperationUnsupportedError, match="no such control file"):
            apply(bare, wanted)
