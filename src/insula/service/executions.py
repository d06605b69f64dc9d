"""The programs that were put into guests: numbered for clients, with their ends remembered for those who ask late."""

import asyncio
import itertools
import os
import signal
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

from insula.engine.enter.attachment import EnteredProcess
from insula.errors import InvalidArgumentError
from insula.kernel.process import has_ended, start_time

REMEMBERED = 1000
"""Programs that have ended and may still be asked about."""


@dataclass(kw_only=True, slots=True)
class WaitedProcess:
    """born: its start time in clock ticks since boot, None as long as nobody has looked, or if it had ended then."""

    executed: EnteredProcess
    end: asyncio.Future[int | None]
    born: int | None = None


class Executions:
    """Who is who, and who has ended. The keeper may tell the end of a program before we learn that it began."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._known: dict[int, WaitedProcess] = {}
        self._by_identity: dict[str, int] = {}
        self._early: dict[str, int | None] = {}
        self._ended: deque[int] = deque()
        """Those whose end is remembered, the oldest first."""
        self._seen_by_us: set[str] = set()
        """Those whose pidfd the loop watches."""

    def add(self, executed: EnteredProcess) -> int:
        """Return the number by which clients mean this program."""
        number, loop = next(self._numbers), asyncio.get_running_loop()
        waited = self._known[number] = WaitedProcess(executed=executed, end=loop.create_future())
        loop.call_soon(_learn_birth, waited)  # not before the client has its answer
        self._by_identity[executed.id] = number
        if executed.id in self._early:
            self.ended(executed.id, self._early.pop(executed.id))
        return number

    def end(self, number: int) -> asyncio.Future[int | None]:
        """Return what becomes the wait status; None if nobody could learn it. Raises: InvalidArgumentError."""
        return asyncio.shield(self._of(number).end)

    def signal(self, number: int, signal_number: int) -> None:
        """Raises: InvalidArgumentError for a program we do not know."""
        execution = self._of(number)
        if not execution.end.done():
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(execution.executed.pidfd, signal_number)

    def ended(self, identity: str, status: int | None) -> None:
        """A program has ended: its fd goes, its status is for those who wait."""
        number = self._by_identity.pop(identity, None)
        if number is None:
            self._early[identity] = status
            if len(self._early) > REMEMBERED:
                del self._early[next(iter(self._early))]
            return
        execution = self._known[number]
        self.leave_to_keeper(execution.executed)
        os.close(execution.executed.pidfd)
        execution.end.set_result(status)
        self._ended.append(number)
        if len(self._ended) > REMEMBERED:
            del self._known[self._ended.popleft()]

    def running(self) -> list[tuple[EnteredProcess, int | None]]:
        """Return the programs that have not ended, as far as we know, and when each was born."""
        known = [self._known[number] for number in self._by_identity.values()]
        return [(each.executed, each.born) for each in known]

    def see_to_end(self, executed: EnteredProcess) -> None:
        """No keeper will tell the end of this program: see it ourselves, without a status."""
        if executed.id in self._by_identity:
            self._seen_by_us.add(executed.id)
            loop = asyncio.get_running_loop()
            loop.add_reader(executed.pidfd, self.ended, executed.id, None)

    def leave_to_keeper(self, executed: EnteredProcess) -> None:
        """A keeper will tell the end of this program after all, and how it was."""
        if executed.id in self._seen_by_us:
            self._seen_by_us.discard(executed.id)
            asyncio.get_running_loop().remove_reader(executed.pidfd)

    def _of(self, number: int) -> WaitedProcess:
        execution = self._known.get(number)
        if execution is None:
            raise InvalidArgumentError(f"no program {number} was put into a guest, or it ended long ago")
        return execution


def _learn_birth(process: WaitedProcess) -> None:
    """Look when a process began: by that it is known to whoever reaps it, should its keeper die."""
    if not process.end.done():
        with suppress(OSError):
            born = start_time(process.executed.pid)
            # It has not ended, so its pid was nobody else's.
            process.born = None if has_ended(process.executed.pidfd) else born
