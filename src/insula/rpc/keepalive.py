"""The countdown that tells a silent peer from a dead one, with the clock passed in.

After `interval` seconds without a packet a PING is due, and again after each further interval; when `count` of them
stayed without any packet in return, the peer is dead: after `interval * (count + 1)` seconds of silence. Any packet
starts the count anew. Source: libvirt's virkeepalive.c.
"""

from enum import Enum
from typing import Final

INTERVAL: Final = 5.0
"""Seconds, libvirt's default."""
COUNT: Final = 5
"""Pings that may stay unanswered, libvirt's default."""


class Due(Enum):
    """What the clock asks for."""

    NOTHING = "nothing"
    PING = "ping"
    DEATH = "death"


class Countdown:
    """One side's watch over the other. Times are seconds of any one monotonic clock."""

    def __init__(self, *, now: float, interval: float = INTERVAL, count: int = COUNT) -> None:
        self._interval = interval
        self._count = count
        self._left = count
        self._since = now

    @property
    def deadline(self) -> float:
        """When to look again at the latest."""
        return self._since + self._interval

    def heard(self, now: float) -> None:
        """Note that a packet came."""
        self._left = self._count
        self._since = now

    def due(self, now: float) -> Due:
        """Return what to do at `now`; a ping that is due counts as sent."""
        if now < self.deadline:
            return Due.NOTHING
        if self._left == 0:
            return Due.DEATH
        self._left -= 1
        self._since = now
        return Due.PING
