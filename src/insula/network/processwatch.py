"""Notices the ends of processes that are not our children, by their pidfds: nothing is looked at again and again."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass

from insula.kernel.processidentity import ProcessIdentity, opened

_SHORT_LIFE = 10.0
"""Seconds; a process that lived no longer was not well started."""
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
"""Seconds before it is told that another one ended early, twice as many each time: it is started anew, and may never be
well."""


@dataclass
class _FollowedProcess:
    began: float
    early_ends: int
    pidfd: int | None


class ProcessWatch:
    """Follows processes in the event loop that it is made in.

    told: what is called with the name that a process is followed by once it has ended.
    """

    def __init__(self, told: Callable[[str], None]) -> None:
        self._told = told
        self._loop = asyncio.get_running_loop()
        self._followed: dict[str, _FollowedProcess] = {}
        self._closed = False

    def close(self) -> None:
        """Follow nothing any more; verbs that come to their end meanwhile may go on asking for it."""
        self._closed = True
        for name in list(self._followed):
            self.forget(name)

    def follow(self, name: str, identity: ProcessIdentity | None) -> None:
        """Follow a process by a name, instead of the former one of that name; None for one that is none yet.

        One that has ended by now is told at once, and ever later where following it anew does not help.
        """
        if self._closed:
            return
        former = self._followed.get(name)
        if former is not None:
            self._let_go(former)
        followed = _FollowedProcess(
            began=self._loop.time(),
            early_ends=former.early_ends if former is not None else 0,
            pidfd=opened(identity) if identity is not None else None,
        )
        self._followed[name] = followed
        if followed.pidfd is not None:
            self._loop.add_reader(followed.pidfd, self._readable, name, followed)
        elif identity is not None:
            self.count_end(name)

    def forget(self, name: str) -> None:
        """Follow a process no more: its end now is meant to be."""
        followed = self._followed.pop(name, None)
        if followed is not None:
            self._let_go(followed)

    def count_end(self, name: str) -> None:
        """Tell that it has ended: the first time at once, soon after its start only after a pause."""
        followed = self._followed[name]
        early = self._loop.time() - followed.began < _SHORT_LIFE
        followed.early_ends = followed.early_ends + 1 if early else 0
        pause = 0.0
        if followed.early_ends > 1:
            pause = min(_FIRST_PAUSE * 2 ** min(followed.early_ends - 2, 10), _LONGEST_PAUSE)
        self._loop.call_later(pause, self._tell, name, followed)

    def _readable(self, name: str, followed: _FollowedProcess) -> None:
        if followed.pidfd is not None:
            self._let_go(followed)
            self.count_end(name)

    def _tell(self, name: str, followed: _FollowedProcess) -> None:
        if self._followed.get(name) is followed:
            self._told(name)

    def _let_go(self, followed: _FollowedProcess) -> None:
        if followed.pidfd is not None:
            self._loop.remove_reader(followed.pidfd)
            os.close(followed.pidfd)
            followed.pidfd = None
