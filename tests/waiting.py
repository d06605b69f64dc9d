"""Deadlines for tests: wait for a condition, never for a time."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

SCALE_VARIABLE = "INSULA_TEST_TIME_SCALE"
"""How many times slower this host is than a usual one; the emulated machine sets 15."""

MOST_CROWDED = 10.0
"""Who waits on a host with still more to do for each processor waits no longer."""


def time_scale() -> float:
    """Return the factor by which every deadline on this host is stretched."""
    return float(os.environ.get(SCALE_VARIABLE) or 1)


def scaled(seconds: float) -> float:
    """Return a usual host's seconds in this host's."""
    return seconds * time_scale()


def patience(seconds: float) -> float:
    """Return how long something may take, on this host as busy as it is now, before it counts as never coming.

    seconds: on a usual host that has nothing else to do. Whoever waits so long is only late to say that it failed.
    """
    crowd = os.getloadavg()[0] / len(os.sched_getaffinity(0))
    return scaled(seconds) * min(max(crowd, 1.0), MOST_CROWDED)


def until(condition: Callable[[], T], what: str, seconds: float = 5.0) -> T:
    """Return the first true value of condition, asked again and again with growing pauses.

    seconds: as for `patience`.
    Raises: TimeoutError naming what was waited for and the last value seen.
    """
    allowed = patience(seconds)
    deadline = time.monotonic() + allowed
    pause = 0.002
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {allowed:g} s; last seen: {value!r}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


def stop(pid: int) -> None:
    """Have a process stand still; before it does, it may still receive what is sent to it afterwards."""
    os.kill(pid, signal.SIGSTOP)
    stat = Path(f"/proc/{pid}/stat")
    until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", f"the stop of process {pid}")


def until_heard(pid: int, number: signal.Signals) -> None:
    """Wait until a process has its handler for a signal.

    It has that some time after it was executed, and what is sent before ends it, or is lost if it is a guest's init.
    """
    status = Path(f"/proc/{pid}/status")

    def caught() -> int:
        mask = next(line for line in status.read_text().splitlines() if line.startswith("SigCgt:")).split()[1]
        return int(mask, 16) >> (number - 1) & 1

    until(caught, f"the handler of process {pid} for {number.name}")
