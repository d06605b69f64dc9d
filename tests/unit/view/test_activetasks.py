"""How many tasks of a guest run: looked at one by one, unless it sleeps."""

import os
import subprocess
from pathlib import Path

import pytest

from insula.kernel.taskstats import CgroupStats, TaskStates
from insula.view import activetasks
from insula.view.activetasks import TaskCount
from insula.view.groupfiles import GroupFiles
from tests.viewedhost import GROUP, on_v1, on_v2, write
from tests.waiting import until


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


def test_threads_of_all_groups_below_are_looked_at(tmp_path: Path) -> None:
    guest = on_v2(tmp_path)
    with subprocess.Popen(["sleep", "600"]) as sleeping:
        until(lambda: state(sleeping.pid) == "S", "the program sleeping")
        write(tmp_path / GROUP, {"payload/cgroup.threads": f"{os.getpid()}\n", "cgroup.threads": ""})
        write(tmp_path / GROUP, {"payload/a.service/cgroup.threads": f"{sleeping.pid}\n"})
        found = TaskCount(GroupFiles(guest), None).count()
        sleeping.kill()
    assert (found.running, found.waiting) == (1, 0)
    assert found.newest == max(os.getpid(), sleeping.pid)


def test_a_guest_that_has_not_worked_since_is_not_looked_at(tmp_path: Path) -> None:
    guest = on_v2(tmp_path)
    write(tmp_path / GROUP, {"payload/cgroup.threads": f"{os.getpid()}\n"})
    count = TaskCount(GroupFiles(guest), None)
    assert count.count().running == 1
    assert count.count().running == 0
    write(tmp_path / GROUP, {"cpu.stat": "usage_usec 9900000\nuser_usec 8000000\nsystem_usec 1900000\n"})
    assert count.count().running == 1


def test_a_guest_that_waited_for_a_device_since_is_looked_at(tmp_path: Path) -> None:
    guest = on_v2(tmp_path)
    write(tmp_path / GROUP, {"payload/cgroup.threads": f"{os.getpid()}\n"})
    count = TaskCount(GroupFiles(guest), None)
    count.count()
    write(tmp_path / GROUP, {"io.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=99999\n"})
    assert count.count().running == 1


def test_of_more_threads_than_are_looked_at_these_stand_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guest = on_v2(tmp_path)
    write(tmp_path / GROUP, {"payload/cgroup.threads": f"{os.getpid()}\n" * 20})
    monkeypatch.setattr(activetasks, "MOST", 4)
    assert TaskCount(GroupFiles(guest), None).count().running == 20


def many_groups(tmp_path: Path, threads: dict[str, str]) -> TaskCount:
    """A guest that works all the time, of which three groups are looked into for one sample."""
    guest = on_v2(tmp_path)
    write(
        tmp_path / GROUP, {"cgroup.threads": "", **{f"{name}/cgroup.threads": text for name, text in threads.items()}}
    )
    return TaskCount(GroupFiles(guest), None)


def work_on(tmp_path: Path, microseconds: int) -> None:
    times = f"usage_usec {microseconds}\nuser_usec {microseconds}\nsystem_usec 0\n"
    write(tmp_path / GROUP, {"cpu.stat": times})


def test_of_more_groups_than_are_looked_into_each_sample_looks_into_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activetasks, "GROUPS", 3)
    looked: list[str] = []
    usual = activetasks._threads

    def threads(group: str) -> list[int]:
        looked.append(group)
        return usual(group)

    monkeypatch.setattr(activetasks, "_threads", threads)
    count = many_groups(tmp_path, {f"payload/{number}": f"{os.getpid()}\n" for number in range(6)})
    samples = []
    for number in range(4):
        work_on(tmp_path, 100_000_000 * (number + 1))
        before = len(looked)
        samples.append(count.count().running)
        assert len(looked) - before <= 3
    # The uppermost, the payload and its six, in three samples; what is seen stands for all 42 tasks of the guest.
    assert len(set(looked[:8])) == 8 and looked[0] == str(tmp_path / GROUP)
    assert samples[:3] == [42, 42, 42] and looked[8] == str(tmp_path / GROUP)


def test_groups_without_threads_leave_the_last_sample_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activetasks, "GROUPS", 3)
    count = many_groups(tmp_path, {"payload": f"{os.getpid()}\n", **{f"payload/{number}": "" for number in range(4)}})
    assert count.count().running == 42
    work_on(tmp_path, 100_000_000)
    assert count.count().running == 42


class CountedByTheKernel(CgroupStats):
    def __init__(self, states: TaskStates) -> None:
        self.told = states
        self.asked: list[str] = []

    def states(self, group: str) -> TaskStates:
        self.asked.append(group)
        return self.told


def test_on_v1_the_kernel_counts(tmp_path: Path) -> None:
    guest = on_v1(tmp_path)
    write(tmp_path, {f"cpuacct/{GROUP}/cgroup.procs": "12\n700\n33\n"})
    stats = CountedByTheKernel(TaskStates(running=5, waiting=2, total=40))
    found = TaskCount(GroupFiles(guest), stats).count()
    assert (found.running, found.waiting, found.newest) == (5, 2, 700)
    assert stats.asked == [f"{tmp_path}/cpuacct/{GROUP}"]


def test_on_v1_without_task_statistics_threads_are_looked_at(tmp_path: Path) -> None:
    guest = on_v1(tmp_path)
    write(tmp_path, {f"cpuacct/{GROUP}/tasks": f"{os.getpid()}\n"})
    assert TaskCount(GroupFiles(guest), None).count().running == 1


def test_threads_that_have_ended_do_not_count(tmp_path: Path) -> None:
    guest = on_v2(tmp_path)
    ended = subprocess.Popen(["true"])
    ended.wait()
    write(tmp_path / GROUP, {"payload/cgroup.threads": f"{ended.pid}\n"})
    assert TaskCount(GroupFiles(guest), None).count().running == 0
