"""How much may pass in a second: a bucket that fills evenly and is emptied in bursts."""

import time
from collections.abc import Callable

SHORTEST_PAUSE = 0.05
"""Seconds: waking up more often costs more than it gives."""


class TokenBucket:
    """A measure of what has passed.

    rate: units a second in the long run; burst: units that may pass at once after a quiet time; clock: seconds.
    """

    __slots__ = ("_burst", "_clock", "_rate", "_room", "_seen")

    def __init__(self, rate: float, burst: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._room = burst
        self._seen = clock()

    def take(self, count: int) -> float:
        """Count what has passed; return the seconds to wait before more may, 0 if there is room."""
        now = self._clock()
        self._room = min(self._burst, self._room + (now - self._seen) * self._rate) - count
        self._seen = now
        return 0.0 if self._room > 0 else max(SHORTEST_PAUSE, -self._room / self._rate)
