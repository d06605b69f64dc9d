"""The files of one guest's view tell one story."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.view import machinetree
from insula.view.guestlog import GuestLog
from insula.view.keptcells import KeptCells
from insula.view.machinetree import GuestMachine, MachineTree, inner_pid
from insula.view.messagering import MessageRing
from insula.view.viewedfiles import ViewedGuest, ViewedKind
from tests.viewedhost import GROUP, host_machine, on_v1, on_v2, write


def tree_of(directory: Path, guest: ViewedGuest) -> MachineTree:
    cells = KeptCells(None)
    machine = GuestMachine(guest, host_machine(directory / "host"), cells)
    return MachineTree(machine, cells, GuestLog(guest, MessageRing(cells.log)), lambda tree: None)


@pytest.fixture(params=[on_v1, on_v2])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MachineTree]:
    made = tree_of(tmp_path, request.param(tmp_path / "groups"))
    yield made
    made.close()


def rows(tree: MachineTree, path: str) -> dict[str, str]:
    lines = tree.content(path).decode().splitlines()
    return {line.split()[0].rstrip(":"): line.partition(" ")[2].strip() for line in lines if line.split()}


def test_every_path_that_is_listed_is_there_and_can_be_read(tree: MachineTree) -> None:
    seen = 0
    waiting = [""]
    while waiting:
        path = waiting.pop()
        kind = tree.kind(path)
        assert kind is not None, path
        seen += 1
        if kind is ViewedKind.DIRECTORY:
            waiting += [f"{path}/{name}".lstrip("/") for name in tree.names(path)]
        elif kind is ViewedKind.LINK:
            assert tree.target(path)
        else:
            assert isinstance(tree.content(path), bytes)
    assert seen > 40


@pytest.mark.parametrize(
    "path", ["proc/kcore", "proc/pressure/irq", "sys/kernel", "dev/mem", "sys/devices/system/cpu/cpu0"]
)
def test_what_is_not_there_is_missing(tree: MachineTree, path: str) -> None:
    assert tree.kind(path) is None
    for ask in (tree.names, tree.content):
        with pytest.raises(FileNotFoundError):
            ask(path)


def test_memory_is_one_story(tree: MachineTree) -> None:
    memory, node = rows(tree, "proc/meminfo"), tree.content("sys/devices/system/node/node0/meminfo").decode()
    assert memory["MemTotal"] == "524288 kB"
    assert memory["SwapTotal"] == "131072 kB"
    assert memory["SwapFree"] == "129024 kB"
    assert "Node 0 MemTotal:         524288 kB\n" in node
    assert tree.content("proc/swaps").split()[-3:] == [b"131072", b"2048", b"0"]
    assert int(rows(tree, "proc/vmstat")["nr_free_pages"]) * 4 == int(memory["MemFree"].split()[0])


def test_processors_are_one_story(tree: MachineTree) -> None:
    told = [line for line in tree.content("proc/cpuinfo").decode().splitlines() if line.startswith("processor")]
    assert [line.split()[-1] for line in told] == ["1", "3"]
    stat = [line.split()[0] for line in tree.content("proc/stat").decode().splitlines()]
    assert [name for name in stat if name.startswith("cpu")] == ["cpu", "cpu1", "cpu3"]
    top = "sys/devices/system/cpu"
    assert tree.content(f"{top}/online") == tree.content(f"{top}/possible") == b"1,3\n"
    assert [name for name in tree.names(top) if name[3:].isdigit()] == ["cpu1", "cpu3"]


def test_a_limit_that_changes_is_told_at_once(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, on_v2(tmp_path / "groups"))
    write(tmp_path / "groups" / GROUP, {"memory.max": "1073741824\n", "cpuset.cpus.effective": "1\n"})
    assert rows(tree, "proc/meminfo")["MemTotal"] == "1048576 kB"
    assert tree.content("sys/devices/system/cpu/online") == b"1\n"
    tree.close()


def test_a_guest_of_two_nodes_has_its_memory_in_both(tmp_path: Path) -> None:
    tree = tree_of(tmp_path, on_v2(tmp_path / "groups"))
    write(tmp_path / "groups" / GROUP, {"cpuset.mems.effective": "0-1\n"})
    for node in range(2):
        text = tree.content(f"sys/devices/system/node/node{node}/meminfo").decode()
        assert text.startswith(f"Node {node} MemTotal:         262144 kB\n")
    tree.close()


def test_time_is_by_the_guests_own_clocks(tmp_path: Path) -> None:
    guest = on_v2(tmp_path / "groups")
    day = 86_400
    shifted = ViewedGuest.decode({**guest.encode(), "boottime": day})
    tree = tree_of(tmp_path, shifted)
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    up = float(tree.content("proc/uptime").split()[0])
    assert before + day - 0.01 <= up <= time.clock_gettime(time.CLOCK_BOOTTIME) + day
    boot = int(rows(tree, "proc/stat")["btime"])
    assert abs(boot + up - time.time()) < 2
    assert int(rows(tree, "proc/stat")["btime"]) == boot
    tree.close()


def test_pressure_is_where_groups_have_it(tmp_path: Path) -> None:
    new, old = tree_of(tmp_path / "2", on_v2(tmp_path / "2g")), tree_of(tmp_path / "1", on_v1(tmp_path / "1g"))
    assert new.names("proc/pressure") == ["cpu", "io", "memory"]
    assert new.content("proc/pressure/memory").startswith(b"some avg10=1.00")
    assert old.names("proc/pressure") == []
    assert old.kind("proc/pressure/cpu") is None
    new.close()
    old.close()


def test_load_is_of_the_guests_tasks(tmp_path: Path) -> None:
    guest = on_v2(tmp_path / "groups")
    write(tmp_path / "groups" / GROUP, {"payload/cgroup.threads": f"{os.getpid()}\n"})
    tree = tree_of(tmp_path, guest)
    assert tree.content("proc/loadavg") == b"0.00 0.00 0.00 1/42 1\n"
    tree.machine.sample_load()  # this process runs, and is none of a guest's
    assert tree.content("proc/loadavg") == b"0.08 0.02 0.01 1/42 1\n"
    tree.close()


def test_a_sample_that_took_long_is_followed_by_a_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tree_of(tmp_path, on_v2(tmp_path / "groups"))
    monkeypatch.setattr(machinetree, "SAMPLE_COST", 0)
    tree.machine.sample_load()
    assert tree.machine.sample_due == tree.machine.averages.due
    monkeypatch.setattr(machinetree, "SAMPLE_COST", 10**9)
    tree.machine.sample_load()
    assert tree.machine.sample_due > tree.machine.averages.due
    tree.close()


def test_a_line_of_the_hosts_is_in_the_log(tree: MachineTree) -> None:
    tree.tell("memory limit: 256 MiB")
    assert tree.kind("dev/kmsg") is ViewedKind.STREAM
    assert tree.content("dev/kmsg").endswith(b",-;memory limit: 256 MiB\n")
    assert tree.stream("dev/kmsg") is tree.stream("dev/kmsg")
    with pytest.raises(FileNotFoundError):
        tree.stream("proc/meminfo")


def test_a_guest_whose_group_has_gone_is_still_answered(tmp_path: Path) -> None:
    guest = ViewedGuest.decode({**on_v2(tmp_path / "groups").encode(), "group": "gone"})
    tree = tree_of(tmp_path, guest)
    for path in ("proc/meminfo", "proc/stat", "proc/loadavg", "proc/uptime", "proc/cpuinfo"):
        assert tree.content(path)
    tree.machine.sample_load()
    tree.close()


def test_a_process_that_has_ended_has_no_number() -> None:
    assert inner_pid(2**22 + 1) == 0


def test_a_process_of_the_hosts_own_has_none() -> None:
    assert inner_pid(os.getpid()) == 0
