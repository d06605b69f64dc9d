"""What the programs of a usual system tell of a machine whose files are a view: one story, whoever is asked."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from insula.kernel.cgroups import Cgroup
from insula.view.guestlog import GuestLog
from insula.view.hostmachine import HostMachine
from insula.view.keptcells import KeptCells
from insula.view.machinetree import GuestMachine, MachineTree
from insula.view.messagering import MessageRing
from insula.view.viewedfiles import ViewedGuest, ViewedKind
from tests.waiting import until

pytestmark = [pytest.mark.requires("procps"), pytest.mark.machine("cgroups")]

MIB = 1 << 20
MEMORY = 600 * MIB
HOUR = 3600
INSIDE = """
import ctypes, json, os, subprocess, sys
rendered = sys.argv[1]
libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare(0x20000) or libc.mount(b"none", b"/", None, 0x44000, None):
    raise OSError(ctypes.get_errno(), "a mount namespace")
for name in os.listdir(f"{rendered}/proc"):
    if libc.mount(f"{rendered}/proc/{name}".encode(), f"/proc/{name}".encode(), None, 0x1000, None):
        raise OSError(ctypes.get_errno(), name)
for name in ("cpu", "node"):
    if os.path.isdir(f"/sys/devices/system/{name}"):
        there = f"/sys/devices/system/{name}".encode()
        if libc.mount(f"{rendered}/sys/devices/system/{name}".encode(), there, None, 0x1000, None):
            raise OSError(ctypes.get_errno(), name)
asked = {
    "free": "free -k -w", "nproc": "nproc", "nproc --all": "nproc --all", "online": "getconf _NPROCESSORS_ONLN",
    "configured": "getconf _NPROCESSORS_CONF", "lscpu": "lscpu -J", "lscpu -p": "lscpu -p=CPU,CORE,SOCKET,NODE",
    "vmstat -s": "vmstat -s -S K", "vmstat": "vmstat 1 2", "uptime": "uptime", "uptime -s": "uptime -s",
    "top": "top -b -n 1 -E k -1", "pressure": "cat /proc/pressure/memory",
}
environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC", "TERM": "dumb", "COLUMNS": "200"}
told = {}
for name, command in asked.items():
    ran = subprocess.run(command.split(), capture_output=True, text=True, env=environment)
    told[name] = ran.stdout if ran.returncode == 0 else f"{command}: {ran.returncode} {ran.stderr}"
told["affinity"] = str(sorted(os.sched_getaffinity(0)))
told["python"] = str(os.cpu_count())
print(json.dumps(told))
"""


def render(tree: MachineTree, path: str, directory: Path) -> None:
    """Write all that stands below a path of a view."""
    for name in tree.names(path):
        below = f"{path}/{name}".lstrip("/")
        match tree.kind(below):
            case ViewedKind.DIRECTORY:
                (directory / name).mkdir()
                render(tree, below, directory / name)
            case ViewedKind.LINK:
                (directory / name).symlink_to(tree.target(below))
            case ViewedKind.FILE:
                try:
                    content = tree.content(below)
                except OSError:
                    continue  # some of the host's own cannot be read either
                (directory / name).write_bytes(content)


@pytest.fixture
def processor() -> int:
    """The highest of the host's processors: behind a hole, where there are several."""
    return max(os.sched_getaffinity(0))


@pytest.fixture
def tree(group: Cgroup, processor: int) -> Iterator[MachineTree]:
    group.memory.limit(MEMORY)
    group.cpuset.pin_cpus(str(processor))
    ticks = int((time.clock_gettime(time.CLOCK_BOOTTIME)) * os.sysconf("SC_CLK_TCK"))
    guest = ViewedGuest(
        uuid="u", launch="l", name="web", hierarchies=group.hierarchies, group=group.path, pid=1, born=ticks - HOUR
    )
    cells = KeptCells(None)
    machine = GuestMachine(guest, HostMachine(), cells)
    made = MachineTree(machine, cells, GuestLog(guest, MessageRing(cells.log)), lambda tree: None)
    yield made
    made.close()


@pytest.fixture
def told(group: Cgroup, tree: MachineTree, tmp_path: Path) -> Mapping[str, str]:
    """What each program says whose machine this is."""
    tree.machine.sample_load()
    render(tree, "", tmp_path)
    script = f"input()\n{INSIDE}"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as inmate:
        group.enter(inmate.pid)
        output, errors = inmate.communicate("\n")
    assert inmate.returncode == 0, errors
    answers: Mapping[str, str] = json.loads(output)
    return answers


def test_all_programs_tell_one_story(told: Mapping[str, str], tmp_path: Path, processor: int) -> None:
    # processors
    assert told["affinity"] == f"[{processor}]"
    assert [told[name].strip() for name in ("nproc", "nproc --all", "online", "configured")] == ["1"] * 4
    assert told["python"] == "1"
    lscpu = {each["field"].rstrip(":"): each["data"] for each in json.loads(told["lscpu"])["lscpu"]}
    assert (lscpu["CPU(s)"], lscpu["On-line CPU(s) list"]) == ("1", str(processor))
    assert "Off-line CPU(s) list" not in lscpu
    listed = [line.split(",") for line in told["lscpu -p"].splitlines() if not line.startswith("#")]
    assert [line[0] for line in listed] == [str(processor)]
    assert f"%Cpu{processor}" in told["top"]

    # memory
    free = dict(zip(told["free"].split()[:7], told["free"].splitlines()[1].split()[1:], strict=False))
    assert int(free["total"]) == MEMORY // 1024
    assert int(free["used"]) + int(free["available"]) <= MEMORY // 1024
    summary = {
        line.strip().split(" K ")[1]: line.split()[0] for line in told["vmstat -s"].splitlines() if " K " in line
    }
    assert summary["total memory"] == free["total"]
    assert summary["free memory"] == free["free"]
    top = next(line for line in told["top"].splitlines() if line.startswith("KiB Mem"))
    assert float(top.split()[3]) == int(free["total"])
    swap = told["free"].splitlines()[2].split()
    assert (summary["total swap"], summary["free swap"]) == (swap[1], swap[3])

    # time and load
    stat = (tmp_path / "proc/stat").read_text()
    boot = int(next(line for line in stat.splitlines() if line.startswith("btime")).split()[1])
    since = time.mktime(time.strptime(f"{told['uptime -s'].strip()} UTC", "%Y-%m-%d %H:%M:%S %Z")) - time.timezone
    assert abs(since - boot) <= HOUR  # the file stands still meanwhile, uptime(1) subtracts it from now
    load = (tmp_path / "proc/loadavg").read_text().split()[:3]
    assert f"load average: {', '.join(load)}" in told["uptime"]
    assert f"load average: {', '.join(load)}" in told["top"].splitlines()[0]
    assert len(told["vmstat"].splitlines()) == 4


EATER = """
import time
input()
held = bytearray(100 << 20)
end = time.process_time() + 0.5
while time.process_time() < end:
    pass
input()
"""


def test_what_a_guest_uses_is_told_and_never_less_than_before(group: Cgroup, tree: MachineTree) -> None:
    before = tree.content("proc/stat").decode().splitlines()[0].split()
    free = available(tree)
    with subprocess.Popen([sys.executable, "-c", EATER], stdin=subprocess.PIPE, text=True) as eater:
        group.enter(eater.pid)
        assert eater.stdin is not None
        eater.stdin.write("\n")
        eater.stdin.flush()
        until_used(group)
        held = available(tree)
        eater.communicate("\n")
    after = tree.content("proc/stat").decode().splitlines()[0].split()
    assert free - held >= 90 * 1024
    assert all(int(new) >= int(old) for old, new in zip(before[1:], after[1:], strict=True))
    assert sum(map(int, after[1:4])) - sum(map(int, before[1:4])) >= os.sysconf("SC_CLK_TCK") // 2


def available(tree: MachineTree) -> int:
    rows = dict(line.split(":") for line in tree.content("proc/meminfo").decode().splitlines())
    return int(rows["MemAvailable"].split()[0])


def until_used(group: Cgroup) -> None:
    def worked() -> bool:
        use = group.cpu_time.use(summary=True)
        return use.total >= 500_000_000

    until(worked, "the program having worked for half a second")
