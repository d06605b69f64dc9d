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

REMEMBERED = 1000
"""Programs that have ended and may still be asked about."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitedProcess:
    executed: EnteredProcess
    end: asyncio.Future[int | None]


class Executions:
    """Who is who, and who has ended. The keeper may tell the end of a program before we learn that it began."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._known: dict[int, WaitedProcess] = {}
        self._by_identity: dict[str, int] = {}
        self._early: dict[str, int | None] = {}
        self._ended: deque[int] = deque()
        """Those whose end is remembered, the oldest first."""

    def add(self, executed: EnteredProcess) -> int:
        """Return the number by which clients mean this program."""
        number = next(self._numbers)
        self._known[number] = WaitedProcess(executed=executed, end=asyncio.get_running_loop().create_future())
        self._by_identity[executed.id] = number
        if executed.id in self._early:
            self.ended(executed.id, self._early.pop(executed.id))
        return number

    async def end(self, number: int) -> int | None:
        """Return the wait status, once there is one; None if nobody could learn it. Raises: InvalidArgumentError."""
        return await asyncio.shield(self._of(number).end)

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
        os.close(execution.executed.pidfd)
        execution.end.set_result(status)
        self._ended.append(number)
        if len(self._ended) > REMEMBERED:
            del self._known[self._ended.popleft()]

    def running(self) -> list[EnteredProcess]:
        """Return the programs that have not ended, as far as we know."""
        return [self._known[number].executed for number in self._by_identity.values()]

    def see_to_end(self, executed: EnteredProcess) -> None:
        """No keeper will tell the end of this program: see it ourselves, without a status."""
        if executed.id in self._by_identity:
            loop = asyncio.get_running_loop()
            loop.add_reader(executed.pidfd, self._seen_to_end, executed.pidfd, executed.id)

    def _seen_to_end(self, pidfd: int, identity: str) -> None:
        asyncio.get_running_loop().remove_reader(pidfd)
        self.ended(identity, None)

    def _of(self, number: int) -> WaitedProcess:
        execution = self._known.get(number)
        if execution is None:
            raise InvalidArgumentError(f"no program {number} was put into a guest, or it ended long ago")
        return execution
