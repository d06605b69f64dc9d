"""The machine view: what a start with one costs beside the same without, and what reading costs its process.

    unshare -m --propagation private .venv/bin/python -m benchmarks.machineview [--rounds N] [--guests N]

In turns, on one daemon: a start of a domain with a view and of one without. Then one guest's files are read one after
the other, beside the kernel's own; and many guests' four files, once a second, as by `top` in each.
"""

import argparse
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ours import InsulaCalls
from benchmarks.peers import domain_xml
from benchmarks.run import busybox_root
from insula.rpc.procedures import Remote

_FILES = ("proc/meminfo", "proc/stat", "proc/uptime", "proc/loadavg")
_SETTING = "<insula:view enabled='{}'/>"
_READS = 400
_SECONDS = 10


@dataclass
class InsulaViewed(InsulaCalls):
    """The daemon, whose domains have a view if their names say so."""

    def make(self, name: str) -> None:
        said = _SETTING.format("yes" if name.startswith("viewed") else "no")
        mark = "<insula:opennamespace/>"
        self.call(Remote.DOMAIN_DEFINE_XML, domain_xml(name, self.root).replace(mark, mark + said))


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the machine view.")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--guests", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        insula = InsulaViewed()
        insula.prepare(busybox_root(Path(directory) / "root"), Path(directory))
        try:
            _starts(insula, options.rounds)
            _reading(insula)
            _polling(insula, options.guests)
        finally:
            insula.finish()


def _starts(insula: InsulaViewed, rounds: int) -> None:
    taken: dict[str, list[float]] = {"viewed": [], "plain": []}
    for name in taken:
        insula.make(name)
    for number in range(rounds + 2):
        for name, times in taken.items():
            time.sleep(0.1)
            took = _seconds(lambda name=name: insula.start(name))  # type: ignore[misc]
            if number > 1:
                times.append(took)
            insula.destroy(name)
    ratios = [with_one / without for with_one, without in zip(taken["viewed"], taken["plain"], strict=True)]
    medians = {name: statistics.median(times) * 1000 for name, times in taken.items()}
    print(f"start: {medians['viewed']:.2f} ms with a view, {medians['plain']:.2f} ms without;", end=" ")
    print(f"median of the pairs' ratios {statistics.median(ratios):.2f}, load {os.getloadavg()[0]:.1f}")


def _reading(insula: InsulaViewed) -> None:
    insula.start("viewed")
    root = Path(f"/proc/{_init(insula, 'viewed')}/root")
    print("reading, median and 99th percentile in ms: of the view, of the kernel's own; load", os.getloadavg()[0])
    for file in ("proc/meminfo", "proc/stat", "proc/uptime", "proc/loadavg", "proc/cpuinfo", "proc/diskstats"):
        ours, kernels = (_percentiles(lambda path=base / file: _read(path)) for base in (root, Path("/")))  # type: ignore[misc]
        print(f"  {file:<16}{ours[0]:.3f} {ours[1]:.3f}   {kernels[0]:.3f} {kernels[1]:.3f}")
    insula.destroy("viewed")


def _polling(insula: InsulaViewed, guests: int) -> None:
    names = [f"viewed{number}" for number in range(guests)]
    for name in names:
        insula.make(name)
        insula.start(name)
    roots = [Path(f"/proc/{_init(insula, name)}/root") for name in names]
    view = _view_of(insula)
    before, began = _used(view), time.monotonic()
    for _ in range(_SECONDS):
        turn = time.monotonic()
        for root in roots:
            for file in _FILES:
                _read(root / file)
        time.sleep(max(0.0, 1 - (time.monotonic() - turn)))
    elapsed = time.monotonic() - began
    share = (_used(view) - before) / elapsed
    status = Path(f"/proc/{view}/status").read_text().splitlines()
    memory = next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) // 1024
    rate = _SECONDS / elapsed
    print(f"{guests} guests, four files each, {rate:.2f} times a second: {share * 100:.1f} % of a processor,", end=" ")
    print(f"{share / rate * 100:.1f} % at once a second; {memory} MiB")
    for name in names:
        insula.destroy(name)


def _seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _percentiles(action: Callable[[], object]) -> tuple[float, float]:
    taken = sorted(_seconds(action) * 1000 for _ in range(_READS))
    return taken[len(taken) // 2], taken[len(taken) * 99 // 100]


def _read(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        while os.read(fd, 1 << 16):
            pass
    finally:
        os.close(fd)


def _init(insula: InsulaViewed, name: str) -> int:
    return int(insula.domain(name).id)


def _view_of(insula: InsulaViewed) -> int:
    """Return the process of the view: the one that has that name, below this one's daemon or process 1."""
    found: Sequence[int] = [
        int(each.name)
        for each in Path("/proc").iterdir()
        if each.name.isdecimal() and _name(each) == "insula-view" and _has(each, os.fspath(insula.layout.logs))
    ]
    return max(found)


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return ""


def _has(process: Path, directory: str) -> bool:
    try:
        return os.readlink(process / "fd/2").startswith(directory)
    except OSError:
        return False


def _used(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: exit(1))
    main()
