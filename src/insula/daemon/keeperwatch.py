"""How long the daemon waits for the keeper: a limit for each request, and a look whether the keeper lives.

    a request waits ─── PING_AFTER ──► ping ─── SILENCE ──► told to go on ─── SILENCE ──► replaced
                              └─ any word from it ends the suspicion

The keeper never waits for anything itself, so a request that takes long is one thing, a silent keeper another: only
the second is replaced, since with it goes what only it can learn of the guests' ends.
"""

import asyncio
from collections.abc import Callable

from insula.engine.keeper.link import ANSWER_WITHIN
from insula.engine.keeper.protocol import Verb

PING_AFTER = 2.0
"""Seconds a request waits before the keeper is asked whether it lives."""
SILENCE = 4.0
"""Seconds it may take to say so; then it is told to go on, and after as many again it is replaced."""
_LOOK_EVERY = 0.5


class KeeperWatch:
    """Clocks over what was asked and not answered yet.

    ping: asks the keeper for a word; wake: tells a stopped one to go on; replace: ends it; late: called with the
    request that has waited long enough.
    """

    def __init__(
        self,
        *,
        ping: Callable[[], None],
        wake: Callable[[], None],
        replace: Callable[[], None],
        late: Callable[[int], None],
    ) -> None:
        self._ping, self._wake, self._replace, self._late = ping, wake, replace, late
        self._asked: dict[int, tuple[Verb, float]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._pinged: float | None = None
        self._woken = False

    def asked(self, number: int, verb: Verb) -> None:
        """A request waits from now on."""
        loop = asyncio.get_running_loop()
        self._asked[number] = verb, loop.time()
        if self._timer is None:
            self._timer = loop.call_later(_LOOK_EVERY, self._look)

    def answered(self, number: int) -> None:
        """A request waits no more, answered or not."""
        self._asked.pop(number, None)

    def heard(self) -> None:
        """The keeper has said something, or another one is there."""
        self._pinged, self._woken = None, False

    def stop(self) -> None:
        """Watch no longer."""
        self._asked.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._timer = None
        for number, (verb, begun) in list(self._asked.items()):
            if now - begun > ANSWER_WITHIN[verb]:
                self._late(number)
        if self._asked:
            self._suspect(now)
            self._timer = loop.call_later(_LOOK_EVERY, self._look)

    def _suspect(self, now: float) -> None:
        if self._pinged is None:
            if now - min(begun for _, begun in self._asked.values()) > PING_AFTER:
                self._pinged = now
                self._ping()
        elif now - self._pinged > 2 * SILENCE:
            self.heard()
            self._replace()
        elif now - self._pinged > SILENCE and not self._woken:
            self._woken = True
            self._wake()
