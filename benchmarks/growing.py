"""What more and more containers at once cost: each start on the way, and at some sizes all verbs and all questions."""

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from benchmarks import processor
from benchmarks.asking import answers, ask_often, connected, timed
from benchmarks.ours import InsulaCalls
from benchmarks.peers import Runtime, Served

FEW = 10
"""The size that all others are compared with; measured again at the end, as the machine may have become slower."""
_ROUNDS = 5


def grown(runtime: Runtime, most: int, rounds: int) -> dict[str, Any]:
    """Return milliseconds of every start up to so many containers, and what there is to tell at 10, 100, … of them.

    "again" is the size FEW once more, when the others are gone.
    """
    sizes = _sizes(min(most, runtime.most))
    names = [f"g{number}" for number in range(sizes[-1])]
    started: list[str] = []
    starts: list[float] = []
    found: dict[str, dict[str, Any]] = {}
    try:
        for name in names:
            runtime.make(name)
            began = time.perf_counter()
            runtime.start(name)
            starts.append((time.perf_counter() - began) * 1000)
            started.append(name)
            if len(started) in sizes:
                found[str(len(started))] = _at(runtime, started, rounds)
        while len(started) > FEW:
            runtime.destroy(started.pop())
        found["again"] = _verbs(runtime, "gx", rounds)
    finally:
        for name in started:
            runtime.destroy(name)
        for name in names[: len(starts)]:
            runtime.forget(name)
    return {"starts": starts, "sizes": found}


def _sizes(most: int) -> list[int]:
    return sorted({*(size for size in (FEW, 100, 1000) if size < most), most})


def _at(runtime: Runtime, running: Sequence[str], rounds: int) -> dict[str, Any]:
    """What there is to tell while these run."""
    figures = _verbs(runtime, f"gx{len(running)}", rounds)
    figures["list"] = ask_often(lambda: runtime.listing(len(running)), _ROUNDS)
    figures["memory"] = runtime.resident(running) / 1024**2
    if isinstance(runtime, Served):
        figures["questions"] = _questions(runtime, len(running))
    if isinstance(runtime, InsulaCalls):
        figures["recovery"] = recovery(runtime, len(running))
    return figures


def _verbs(runtime: Runtime, name: str, rounds: int) -> dict[str, Any]:
    """Medians of starts and destroys of one more container, and the processor time of a start."""
    took: dict[str, list[float]] = {"start": [], "destroy": []}
    worked = []
    runtime.make(name)
    for number in range(rounds + 1):
        before = processor.used()
        with timed(took["start"]):
            runtime.start(name)
        worked.append(processor.used() - before)
        runtime.settle(name)
        with timed(took["destroy"]):
            runtime.destroy(name)
        runtime.make_again(name)
        if not number:  # the first one warms up
            for each in (*took.values(), worked):
                each.clear()
    runtime.forget(name)
    return {verb: statistics.median(each) for verb, each in took.items()} | {"cpu": statistics.median(worked)}


def _questions(served: Served, count: int) -> dict[str, float]:
    """Milliseconds of what a management program asks of so many running domains."""
    with connected(served) as connection:
        ids = connection.listDomainsID()
        if len(ids) < count:
            raise RuntimeError(f"expected {count} domains, got {len(ids)}")
        asked: dict[str, Callable[[], object]] = {
            "connectListAllDomains": lambda: connection.listAllDomains(1),
            "a lookup by id of each": lambda: [connection.lookupByID(each) for each in ids],
            "virsh list": partial(served.virsh, "list"),
        }
        if answers(lambda: connection.getAllDomainStats(0, 1)):
            asked["connectGetAllDomainStats"] = lambda: connection.getAllDomainStats(0, 1)
            asked["virsh domstats"] = partial(served.virsh, "domstats")
        return {question: ask_often(ask, _ROUNDS) for question, ask in asked.items()}


def recovery(daemon: InsulaCalls, count: int) -> dict[str, float]:
    """Kill the daemon, start it again; return milliseconds until a client's list shows all guests running, until all
    are taken over, and the daemon's own processor time until then."""
    daemon.kill()
    already = daemon.log.read_text().count(_ALL_TAKEN_OVER)
    began = time.perf_counter()
    daemon.begin()
    daemon.listing(count)
    served = time.perf_counter() - began
    while daemon.log.read_text().count(_ALL_TAKEN_OVER) == already:
        if time.perf_counter() - began > 120:
            raise RuntimeError("the new daemon does not take its guests over")
        time.sleep(0.002)
    return {
        "served": served * 1000,
        "taken over": (time.perf_counter() - began) * 1000,
        "cpu": daemon.worked() * 1000,
    }


_ALL_TAKEN_OVER = "everything is taken over"
"""What the daemon's log says then."""
