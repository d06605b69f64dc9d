"""Virtual time, one seed, and whatever happens outside the daemon: messages on their way, threads, guests, clients.

Nothing here waits: when nobody has anything to do, the clock goes on to the next instant at which somebody has.
"""

import heapq
import itertools
import random
from collections.abc import Callable
from typing import Protocol

TURN_TAKES = 50e-6
"""Seconds, at most, that one callback takes; so what is due soon comes between any two of them."""
SHORT, LONG = 1e-6, 5e-3
"""Between these lies how long something takes that has no time of its own (a message, a thread): any magnitude as
often as any other."""


class Process(Protocol):
    """Who may end at any instant, and whose work is then done by nobody."""

    @property
    def alive(self) -> bool: ...


class World:
    """What outlives every process. seed: gives every choice that is made in it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.turns = 0
        self.happened = 0
        self.actor: Process | None = None
        """Who does what is done now; None for what nobody simulated does: the keeper, guests, the test."""
        self._serial = itertools.count()
        self._events: list[tuple[float, int, Process | None, Callable[[], None]]] = []

    def soon(self, work: Callable[[], None], *, owner: Process | None = None) -> None:
        """Do work a short while from now, unless its owner has ended by then."""
        magnitude = self.random.random()
        self.after(SHORT * (LONG / SHORT) ** magnitude, work, owner=owner)

    def after(self, seconds: float, work: Callable[[], None], *, owner: Process | None = None) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._serial), owner, work))

    def next_event(self) -> float | None:
        """Return when the next event is due, None if there is none."""
        due = self._events
        while due:
            when, _, owner, _ = due[0]
            if owner is None or owner.alive:
                return when
            heapq.heappop(due)
        return None

    def happen(self) -> None:
        """Let the next event happen."""
        due, _, owner, work = heapq.heappop(self._events)
        self.happened += 1
        self.now = max(self.now, due)
        if owner is None or owner.alive:
            before, self.actor = self.actor, owner
            try:
                work()
            finally:
                self.actor = before

    def spend(self) -> None:
        """Let a callback have taken its time."""
        self.turns += 1
        self.now += self.random.random() * TURN_TAKES
