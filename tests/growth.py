"""How the time that something takes grows with what it is given: what is told is of this thread's processor alone."""

import gc
import time
from collections.abc import Callable

_LOOKS = 2
_FACTOR = 4


def growth(work: Callable[[int], object], size: int) -> float:
    """Return how many times longer work takes for four times as much: about 4, or 16 where it grows with the square.

    work: is given a size. Of several looks the shortest counts, as what others do to a processor only adds.
    """
    small, large = (min(_taken(work, each) for _ in range(_LOOKS)) for each in (size, size * _FACTOR))
    return large / small


def _taken(work: Callable[[int], object], size: int) -> float:
    gc.collect()
    before = time.thread_time()
    work(size)
    return time.thread_time() - before
