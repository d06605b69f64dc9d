"""What tests cost, in a measure that hangs on neither the speed nor the load of the host.

Processor time, of the test process and of all that it started and collected, does not count waiting for a processor.
But a processor is slower when its neighbour is busy too, and the emulated machine counts as spent what its host gave to
others. So a fixed piece of work is timed again and again between the tests; what they used is told in its terms.
"""

import os
import resource
import statistics
import time
from collections import deque

USUAL = 0.010
"""Processor seconds of `_work` on a usual host, measured."""
USUAL_IN_MACHINE = 0.200
"""The same in the emulated machine on such a host: what is told there are seconds of the host's processor as well."""
_EVERY = 1.0
"""Processor seconds of tests between two looks at the speed."""
_LOOKS = 7
"""Looks of which the median counts: one may fall on a moment unlike others."""


class Meter:
    """Counts from when it is made. `lap` tells what was used since the last one."""

    def __init__(self, *, emulated: bool = False) -> None:
        self._usual = USUAL_IN_MACHINE if emulated else USUAL
        self._looks: deque[float] = deque(maxlen=_LOOKS)
        for _ in range(3):
            self._look()
        self._since_look = 0.0
        self._before = _used()

    def lap(self) -> float:
        """Return the processor seconds of a usual host that were used since the lap before."""
        used = _used() - self._before
        self._since_look += used
        if self._since_look > _EVERY:
            self._look()
            self._since_look = 0.0
        self._before = _used()
        return used / self.slowness()

    def slowness(self) -> float:
        """Return how many times longer than a usual host this one takes for the same, of late."""
        return statistics.median(self._looks) / self._usual

    def _look(self) -> None:
        before = time.thread_time()
        _work()
        self._looks.append(time.thread_time() - before)


def _used() -> float:
    """Return the seconds of user and system time of this process and of its ended and collected children."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in both)


def _work() -> int:
    """Do what tests do most, in small: make objects, look names up, put text together, call the kernel."""
    seen: dict[str, list[int]] = {}
    for number in range(45_000):
        seen.setdefault(f"key {number % 97}", []).append(number)
        if not number % 20:
            os.stat("/")
    return sum(map(len, seen.values()))
