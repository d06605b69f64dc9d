"""Neighbours: how long a quiet guest takes to answer while another takes all that it can get, beside without.

    unshare -m --propagation private .venv/bin/python -m benchmarks.neighbours [--only KIND]… [--rounds N]

One daemon, two guests of one processor each with the limits that every guest has, the quiet one of 256 MiB and the
other of 512; the bombs are those of `tests/bombs.c`, whose disk is a file of 32 MiB. Measured are a request to a
program inside that echoes it (*echo*), and a whole `insula exec` by an open connection (*exec*). In turns: without a
bomb, then with it, some rounds, so that what else the machine does falls on both alike. Told are medians and 99th
percentiles in milliseconds, and the ratios of a round, as the median of all rounds.
"""

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.ours import InsulaCalls
from benchmarks.peers import domain_xml
from benchmarks.run import busybox_root
from insula.errors import OperationInvalidError
from insula.rpc.procedures import Insula, Remote
from tests import bombs

_QUIET, _BOMBER = "quiet", "bomber"
_ECHOES, _EXECUTIONS = 500, 60
"""Requests of a phase."""
_PACE = 0.003
"""Seconds between requests: the quiet guest is one that answers now and then."""
_FIRST = -15
"""How who asks comes before others on the processor: what is measured is the guest's time, and the daemon's."""
_SETTLING = 1.0
"""Seconds that a bomb has before it is looked at."""
Percentiles = tuple[float, float]
"""Milliseconds that half of the answers, and 99 of 100, came within."""


@dataclass
class InsulaNeighbours(InsulaCalls):
    """The daemon, with a guest that has a disk of its own."""

    disk: Path = field(default_factory=Path)

    def make(self, name: str) -> None:
        xml = domain_xml(name, self.root)
        if name == _BOMBER:
            disk = (
                f"<filesystem type='file'><driver type='loop' format='raw'/><source file='{self.disk}'/>"
                "<target dir='/disk'/></filesystem>"
            )
            mark, memory = "<insula:opennamespace/>", "<memory unit='MiB'>"
            xml = xml.replace("<console", f"{disk}<console").replace(mark, f"{mark}<insula:view enabled='yes'/>")
            xml = xml.replace(f"{memory}256", f"{memory}512")
        self.call(Remote.DOMAIN_DEFINE_XML, xml)

    def begun(self, name: str, *words: str, streams: Sequence[int]) -> str:
        """Start a program inside; return what the daemon calls it."""
        assert self.client is not None
        started, _ = self.client.call_with_fds(
            Insula.DOMAIN_EXEC, self.domain(name), json.dumps({"argv": words}), 0, fds=tuple(streams)
        )
        return str(started.exec)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what a guest notices of its neighbour's bombs.")
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    kinds = options.only or [*bombs.ENDS, *bombs.FLOODS]
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        work = Path(directory)
        insula = InsulaNeighbours(disk=work / "disk")
        subprocess.run(["mkfs.ext4", "-q", "-F", "-N", "512", str(insula.disk), "32M"], check=True)
        root = busybox_root(work / "root")
        (root / "bin/cat").symlink_to("busybox")
        (root / "disk").mkdir()
        (root / bombs.PLACE.lstrip("/")).write_bytes(bombs.program().read_bytes())
        (root / bombs.PLACE.lstrip("/")).chmod(0o755)
        insula.prepare(root, work)
        os.nice(_FIRST)
        try:
            _measured(insula, kinds, options.rounds)
        finally:
            insula.finish()


def _measured(insula: InsulaNeighbours, kinds: Sequence[str], rounds: int) -> None:
    for name in (_QUIET, _BOMBER):
        insula.make(name)
    insula.start(_QUIET)
    try:
        _compared(insula, kinds, rounds)
    finally:
        insula.destroy(_QUIET)


def _compared(insula: InsulaNeighbours, kinds: Sequence[str], rounds: int) -> None:
    print(f"load {os.getloadavg()[0]:.1f}, {len(os.sched_getaffinity(0))} processors")
    print(f"{'bomb':<10}{'request':<8}{'alone p50 p99':>20}{'beside p50 p99':>20}{'ratio p50 p99':>18}")
    with _echo(insula) as ask:
        requests: dict[str, tuple[Callable[[], None], int]] = {
            "echo": (ask, _ECHOES),
            "exec": (lambda: insula.execute(_QUIET), _EXECUTIONS),
        }
        for kind in kinds:
            alone, beside = [], []
            for _ in range(rounds):
                alone.append(_phase(requests))
                with _bomb(insula, kind):
                    beside.append(_phase(requests))
            for name in requests:
                _tell(kind, name, [each[name] for each in alone], [each[name] for each in beside])


def _tell(kind: str, request: str, alone: Sequence[Percentiles], beside: Sequence[Percentiles]) -> None:
    """Print a row: medians over the rounds of each percentile and of each round's ratio."""
    ratios = [(after[0] / before[0], after[1] / before[1]) for before, after in zip(alone, beside, strict=True)]
    columns = [_columns(each) for each in (alone, beside, ratios)]
    told = [f"{statistics.median(p50):.2f} {statistics.median(p99):.2f}" for p50, p99 in columns]
    print(f"{kind:<10}{request:<8}{told[0]:>20}{told[1]:>20}{told[2]:>18}", flush=True)


def _columns(pairs: Sequence[Percentiles]) -> tuple[list[float], list[float]]:
    return [each[0] for each in pairs], [each[1] for each in pairs]


def _phase(requests: Mapping[str, tuple[Callable[[], None], int]]) -> dict[str, Percentiles]:
    """Ask each request so many times; return what half of the answers, and 99 of 100, came within."""
    found = {}
    for name, (ask, count) in requests.items():
        taken = []
        for _ in range(count):
            time.sleep(_PACE)
            began = time.perf_counter()
            ask()
            taken.append((time.perf_counter() - began) * 1000)
        taken.sort()
        found[name] = (statistics.median(taken), taken[count * 99 // 100])
    return found


@contextlib.contextmanager
def _echo(insula: InsulaNeighbours) -> Iterator[Callable[[], None]]:
    """A program inside that gives back what it is sent; yield what asks it once."""
    theirs, ours = os.pipe()
    back, answers = os.pipe()
    with open(os.devnull, "r+b") as null:
        insula.begun(_QUIET, "/bin/cat", streams=(theirs, answers, null.fileno()))
    os.close(theirs)
    os.close(answers)

    def ask() -> None:
        os.write(ours, b"x")
        if os.read(back, 1) != b"x":
            raise RuntimeError("the echo ended")

    ask()
    yield ask
    os.close(ours)
    os.close(back)


@contextlib.contextmanager
def _bomb(insula: InsulaNeighbours, kind: str) -> Iterator[None]:
    """A guest in which a bomb goes off, again and again."""
    insula.start(_BOMBER)
    with open(os.devnull, "r+b") as null:
        insula.begun(_BOMBER, bombs.PLACE, kind, "flood", streams=(null.fileno(),) * 3)
    time.sleep(_SETTLING)
    try:
        yield
    finally:
        try:
            insula.destroy(_BOMBER)
        except OperationInvalidError:  # the kernel has killed its init for memory
            print(f"{kind}: the guest ended before it was destroyed", file=sys.stderr)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: exit(1))
    main()
