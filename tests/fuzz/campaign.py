"""One target's run: inputs by the seed, the finds, how long the slowest took, and how the process grew."""

import hashlib
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.fuzz.target import BrokenError, One, Target, place_of
from tests.waiting import scaled

SEEDS = Path(__file__).parent / "seeds"
"""Inputs that once broke something, a directory a target: each run begins with them."""
GROWTH_MAX = 64 << 20
"""Bytes that a process may grow by in a run, once it has warmed up."""
_WARM = 0.2
_MINIMISING = 3.0
_ENOUGH, _TOO_MANY = 20, 100
"""Different finds, and broken inputs, at which a run gives up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Find:
    """What broke something. seed: of the run; number: which of its inputs it was; data: made as short as it can be."""

    target: str
    place: str
    text: str
    seed: int
    number: int
    data: bytes

    def save(self, directory: Path) -> Path:
        """Keep the input, to be put among the seeds once it is mended."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{self.target}-{hashlib.sha256(self.data).hexdigest()[:12]}"
        path.write_bytes(self.data)
        return path


@dataclass(kw_only=True, slots=True)
class Result:
    """seconds: of the run; slowest: seconds of processor time of the slowest input; growth: bytes."""

    target: Target
    inputs: int = 0
    units: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    growth: int = 0
    broken: int = 0
    figures: str = ""
    finds: dict[str, Find] = field(default_factory=dict)

    def __str__(self) -> str:
        rate = self.inputs / self.seconds if self.seconds else 0
        units = "" if self.units == self.inputs else f" ({self.units} frames)"
        return (
            f"{self.target.name:12} {self.inputs:>9} inputs{units} {rate:>8.0f}/s"
            f"  slowest {self.slowest * 1000:6.1f} ms  growth {self.growth / (1 << 20):6.1f} MiB"
            f"  finds {len(self.finds)}{self.figures and f'{chr(10)}    '}{self.figures}"
        )


def seeds_of(target: Target) -> list[bytes]:
    """Return the target's inputs that once broke something."""
    return [each.read_bytes() for each in sorted((SEEDS / target.name).glob("*"))]


def run(target: Target, seed: int, *, count: int | None = None, seconds: float | None = None) -> Result:
    """Give a target its seeds and then new inputs, so many of them or for so long; return what came of it."""
    result = Result(target=target)
    with target.world() as one:
        started = time.monotonic()
        for data in seeds_of(target):
            _take(result, one, data, seed, -1)
        make = target.inputs(Random(f"{target.name} {seed}"))
        number, warm, before = 0, False, 0
        while (
            len(result.finds) < _ENOUGH
            and result.broken < _TOO_MANY
            and (count is None or number < count)
            and (seconds is None or time.monotonic() - started < seconds)
        ):
            if not warm and _share(number, count, time.monotonic() - started, seconds) > _WARM:
                warm, before = True, _resident()
            _take(result, one, make(), seed, number)
            number += 1
        result.seconds = time.monotonic() - started
        result.figures = getattr(one, "figures", "")
        result.growth = _resident() - before if warm else 0
    if result.growth > GROWTH_MAX:
        text = f"the process grew by {result.growth >> 20} MiB in {number} inputs"
        result.finds["growth"] = Find(target=target.name, place="growth", text=text, seed=seed, number=number, data=b"")
    return result


def _share(number: int, count: int | None, spent: float, seconds: float | None) -> float:
    return number / count if count is not None else spent / seconds if seconds else 1.0


def _take(result: Result, one: One, data: bytes, seed: int, number: int) -> None:
    result.inputs += 1
    result.units += result.target.units(data)
    broken, spent = _tried(one, data, result.target.stall)
    result.slowest = max(result.slowest, spent)
    if broken is None:
        return
    result.broken += 1
    place = place_of(broken)
    if place not in result.finds:
        short = minimised(one, data, place, result.target.stall)
        text = f"{type(broken).__name__}: {broken}"[:300]
        result.finds[place] = Find(
            target=result.target.name, place=place, text=text, seed=seed, number=number, data=short
        )


def _tried(one: One, data: bytes, stall: float) -> tuple[BaseException | None, float]:
    """Return what an input broke, and its processor time: the least of three, if it seems too long."""
    least = float("inf")
    for _ in range(3):
        started = time.thread_time()
        try:
            one(data)
        except Exception as error:
            return error, time.thread_time() - started
        least = min(least, time.thread_time() - started)
        if least < scaled(stall):
            return None, least
    return BrokenError("it stalls"), least


def minimised(one: One, data: bytes, place: str, stall: float) -> bytes:
    """Return data with all taken out that the same find does not need, as far as some seconds allow."""
    deadline = time.monotonic() + _MINIMISING
    size = len(data) // 2
    while size and time.monotonic() < deadline:
        at = 0
        while at < len(data) and time.monotonic() < deadline:
            shorter = data[:at] + data[at + size :]
            broken, _ = _tried(one, shorter, stall)
            if broken is not None and place_of(broken) == place:
                data = shorter
            else:
                at += size
        size //= 2
    return data


def _resident() -> int:
    """Return the bytes of memory that this process has. Source: proc_pid_statm(5)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
