"""Whose clients the loop looks at: in each of its rounds every user's for a slice, however many clients a user has.

Root's clients are no crowd, and count as users of their own.
"""

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Hashable
from weakref import WeakValueDictionary

from insula.daemon.peers import Account

SLICE = 0.005
"""Seconds of one user's clients after which the others get their turn."""

Work = Callable[[], None]


class Rounds:
    """Work that waits, by user: what a client sent is to be read, or what was read to be answered."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, deque[Work]] = {}
        self._bulk: WeakValueDictionary[Hashable, asyncio.Lock] = WeakValueDictionary()
        self._loop = asyncio.get_running_loop()
        self._next: asyncio.Handle | None = None

    def take(self, user: Hashable, work: Work) -> None:
        """Do the work when it is the user's turn: in this round of the loop or the next, unless much is before it."""
        self._waiting.setdefault(user, deque()).append(work)
        if self._next is None:
            self._next = self._loop.call_soon(self._round)

    def bulk(self, user: Hashable) -> asyncio.Lock:
        """Hold this while an answer is made that takes long: one at a time of each user."""
        lock = self._bulk.get(user)
        if lock is None:
            lock = self._bulk[user] = asyncio.Lock()
        return lock

    def _round(self) -> None:
        try:
            for user in tuple(self._waiting):
                queue = self._waiting[user]
                end = time.monotonic() + SLICE
                while queue and time.monotonic() < end:
                    queue.popleft()()
                if not queue:
                    del self._waiting[user]
        finally:  # also if some work fails
            self._next = self._loop.call_soon(self._round) if self._waiting else None


class Turn:
    """A client's part in the rounds. client: any object of its own; account: whose it is."""

    def __init__(self, rounds: Rounds, *, client: Hashable, account: Account) -> None:
        self._rounds = rounds
        self._alone = account in (0, os.geteuid())
        self._user: Hashable = client if self._alone else account
        self._waiting: set[Work] = set()
        self.bulk = rounds.bulk(self._user)
        """Held while an answer is made that takes long."""

    def take(self, work: Work) -> None:
        """Do the work when it is this client's turn, once however often that is asked for meanwhile."""
        if work not in self._waiting:
            self._waiting.add(work)
            self._rounds.take(self._user, lambda: self._do(work))

    def arrived(self, work: Work) -> None:
        """Read what has come, in the loop's own call for that.

        Such a call is one of each client in a round of the loop, so one whose user has no other client reads at once.
        """
        if self._alone:
            work()
        else:
            self.take(work)

    def close(self) -> None:
        """Nothing is done any more."""
        self._waiting.clear()

    def _do(self, work: Work) -> None:
        if work in self._waiting:
            self._waiting.discard(work)
            work()
