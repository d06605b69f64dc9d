"""/proc/cpuinfo, /proc/stat, /proc/uptime and /proc/loadavg of a guest.

Its processors have the host's numbers, as `sched_getaffinity`, `getcpu` and the guest's own pinning know them.
Sources: proc_stat(5), proc_uptime(5), proc_loadavg(5), proc_cpuinfo(5).
"""

import os
from collections.abc import Mapping

from insula.view.loadaverages import LoadAverages
from insula.view.processorlists import Processors
from insula.view.processortimes import ProcessorTime, ProcessorTimes

SECOND = 1_000_000_000
_TICK = SECOND // os.sysconf("SC_CLK_TCK")
"""Nanoseconds of one unit of /proc/stat."""
_HUNDREDTH = SECOND // 100


def cpuinfo(blocks: Mapping[int, str], processors: Processors) -> bytes:
    """Return /proc/cpuinfo of these processors. blocks: the host's, see `cpuinfo_blocks`.

    `siblings` and `cpu cores`, which x86 says of a whole package, count what the guest has of it.
    """
    own = {number: blocks[number] for number in processors if number in blocks}
    packages: dict[str, list[str]] = {}
    for block in own.values():
        packages.setdefault(_word(block, "physical id"), []).append(_word(block, "core id"))
    texts = [_counted(block, packages[_word(block, "physical id")]) for block in own.values()]
    if -1 in blocks:
        texts.append(blocks[-1])
    return "".join(f"{text}\n\n" for text in texts).encode()


def _word(block: str, name: str) -> str:
    _, found, rest = block.partition(f"\n{name}\t")
    return rest.partition("\n")[0].strip("\t: ") if found else ""


def _counted(block: str, cores: list[str]) -> str:
    block = _replaced(block, "siblings", len(cores))
    return _replaced(block, "cpu cores", len(set(cores)))


def _replaced(block: str, name: str, value: int) -> str:
    head, found, rest = block.partition(f"\n{name}\t")
    if not found:
        return block
    before, colon, _ = rest.partition(":")
    tail = rest[rest.index("\n") :] if "\n" in rest else ""
    return f"{head}{found}{before}{colon} {value}{tail}"


def stat(
    times: ProcessorTimes, processors: Processors, *, boot: int, forks: int, running: int, waiting: int, interrupts: int
) -> bytes:
    """Return /proc/stat. boot: seconds since the epoch. What nobody counts for a guest is 0: waiting for input and
    output, interrupts, changes of context."""
    whole = times.whole()
    rows = [_row("cpu ", whole), *(_row(f"cpu{each}", times.of(each)) for each in processors)]
    rows += [
        f"intr 0{' 0' * interrupts}",
        "ctxt 0",
        f"btime {boot}",
        f"processes {forks}",
        f"procs_running {running}",
        f"procs_blocked {waiting}",
        "softirq 0 0 0 0 0 0 0 0 0 0 0\n",
    ]
    return "\n".join(rows).encode()


def _row(name: str, time: ProcessorTime) -> str:
    user, system, idle, stolen = time.user // _TICK, time.system // _TICK, time.idle // _TICK, time.stolen // _TICK
    return f"{name} {user} 0 {system} {idle} 0 0 0 {stolen} 0 0"


def uptime(since_boot: int, times: ProcessorTimes) -> bytes:
    """Return /proc/uptime. since_boot: nanoseconds."""
    return f"{_seconds(since_boot)} {_seconds(times.whole().idle)}\n".encode()


def _seconds(nanoseconds: int) -> str:
    hundredths = nanoseconds // _HUNDREDTH
    return f"{hundredths // 100}.{hundredths % 100:02d}"


def loadavg(averages: LoadAverages, tasks: int) -> bytes:
    """Return /proc/loadavg. tasks: how many threads there are."""
    first, second, third = averages.texts()
    running = min(max(1, averages.running), tasks)
    return f"{first} {second} {third} {running}/{tasks} {max(averages.last_pid, 1)}\n".encode()
