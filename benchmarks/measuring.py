"""How verbs are measured: in turns, one after the other, and many at once."""

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from benchmarks import processor
from benchmarks.peers import Runtime

VERBS = ("cold start", "start", "exec", "destroy")
PAUSE = 0.1
"""Seconds."""
Figures = dict[str, dict[str, float]]
"""By verb: `wall` and `cpu`, milliseconds, medians."""


class Samples:
    """What was measured of one runtime."""

    def __init__(self) -> None:
        self._taken: dict[str, list[tuple[float, float]]] = {verb: [] for verb in VERBS}

    def time(self, verb: str, action: Callable[[], object]) -> None:
        """Perform an action, and note how long it took and what it cost."""
        worked, began = processor.used(), time.perf_counter()
        action()
        wall = (time.perf_counter() - began) * 1000
        self._taken[verb].append((wall, processor.used() - worked))

    def medians(self) -> Figures:
        return {
            verb: {"wall": statistics.median(w for w, _ in taken), "cpu": statistics.median(c for _, c in taken)}
            for verb, taken in self._taken.items()
        }


def in_turns(runtimes: Sequence[Runtime], rounds: int) -> dict[str, Figures]:
    """Return medians by runtime; the first round warms up."""
    samples = {each.name: Samples() for each in runtimes}
    for number in range(rounds + 1):
        for runtime in runtimes:
            _round(runtime, f"t{number}", samples[runtime.name] if number else Samples(), PAUSE)
    return {name: each.medians() for name, each in samples.items()}


def one_after_the_other(runtime: Runtime, rounds: int) -> Figures:
    """Return medians of a runtime's rounds without pauses between them."""
    samples = Samples()
    for number in range(rounds + 1):
        _round(runtime, f"o{number}", samples if number else Samples(), 0)
    return samples.medians()


def _round(runtime: Runtime, name: str, samples: Samples, pause: float) -> None:
    """One domain's two lives. pause: seconds before each start."""
    runtime.make(name)
    for start in ("cold start", "start"):
        time.sleep(pause)
        samples.time(start, partial(runtime.start, name))
        try:
            if start == "start":
                runtime.settle(name)
                samples.time("exec", partial(runtime.execute, name))
        finally:
            if start == "start":
                samples.time("destroy", partial(runtime.destroy, name))
            else:
                runtime.settle(name)
                runtime.destroy(name)
                runtime.make_again(name)
    runtime.forget(name)


def together(runtime: Runtime, width: int, count: int) -> dict[str, float]:
    """Return what count starts cost of which width are under way at any time: starts a second, and milliseconds."""
    names = [f"w{index}" for index in range(count)]
    took: dict[str, float] = {}

    def start(name: str) -> None:
        began = time.perf_counter()
        runtime.start(name)
        took[name] = (time.perf_counter() - began) * 1000

    try:
        for name in names:
            runtime.make(name)
        with ThreadPoolExecutor(width) as pool:
            began = time.perf_counter()
            list(pool.map(start, names))
            seconds = time.perf_counter() - began
    finally:
        with ThreadPoolExecutor(width) as pool:
            list(pool.map(runtime.destroy, took))
        for name in names:
            runtime.forget(name)
    ordered = sorted(took.values())
    return {
        "width": width,
        "a second": count / seconds,
        "half within": statistics.median(ordered),
        "99 % within": ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))],
    }
