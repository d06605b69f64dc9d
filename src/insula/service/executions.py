"""The programs that were put into guests: by the numbers that clients know; ends are remembered for who asks late.

A program's number is the id that the keeper knows it by: a later daemon means the same program by it.
"""

import asyncio
import os
import signal
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from insula.engine.enter.attachment import EnteredProcess, is_detached, is_probing
from insula.errors import InvalidArgumentError
from insula.kernel.process import has_ended, start_time

REMEMBERED = 1000
"""Programs that have ended and may still be asked about."""


@dataclass(kw_only=True, slots=True)
class WaitedProcess:
    """executed: None if it had ended when this daemon began; born: its start time in clock ticks since boot, None as
    long as nobody has looked, or if it had ended then; owner: whose going away ends it, None for nobody's; orphaned:
    it had an owner, who was an earlier daemon's client."""

    executed: EnteredProcess | None
    end: asyncio.Future[int | None]
    born: int | None = None
    owner: object | None = None
    orphaned: bool = False


class Executions:
    """Who is who, and who has ended. The keeper may tell the end of a program before we learn that it began."""

    def __init__(self) -> None:
        self._known: dict[int, WaitedProcess] = {}
        self._running: dict[str, WaitedProcess] = {}
        self._early: dict[str, int | None] = {}
        self._ended: dict[bool, deque[int]] = {False: deque(), True: deque()}
        """Those whose end is remembered, the oldest first; probes apart, which would make all others be forgotten."""
        self._seen_by_us: set[str] = set()
        """Those whose pidfd the loop watches."""

    def add(self, executed: EnteredProcess, owner: object | None = None) -> int:
        """Return the number by which clients mean this program. owner: as for `WaitedProcess`."""
        return self._add(executed.id, WaitedProcess(executed=executed, end=_future(), owner=owner))

    def inherit(self, identity: str, executed: EnteredProcess | None) -> None:
        """Know a program that an earlier daemon put in; who waits for it owns it then, unless it is detached.

        executed: None if it has ended, which is still to be told.
        """
        self._add(identity, WaitedProcess(executed=executed, end=_future(), orphaned=not is_detached(identity)))

    def _add(self, identity: str, waited: WaitedProcess) -> int:
        self._known[int(identity)] = self._running[identity] = waited
        asyncio.get_running_loop().call_soon(_learn_birth, waited)  # not before the client has its answer
        if identity in self._early:
            self.ended(identity, self._early.pop(identity))
        return int(identity)

    def end(self, number: int, waiter: object | None = None) -> asyncio.Future[int | None]:
        """Return what becomes the wait status; None if nobody could learn it. Raises: InvalidArgumentError."""
        waited = self._of(number)
        if waited.orphaned and waited.owner is None:
            waited.owner = waiter
        return asyncio.shield(waited.end)

    def domain_of(self, number: int) -> UUID | None:
        """Return the domain that a program was put into, None if nobody remembers. Raises: InvalidArgumentError."""
        executed = self._of(number).executed
        return None if executed is None else UUID(executed.uuid)

    def signal(self, number: int, signal_number: int) -> None:
        """Raises: InvalidArgumentError for a program we do not know."""
        execution = self._of(number)
        if execution.executed is not None and not execution.end.done():
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(execution.executed.pidfd, signal_number)

    def ended(self, identity: str, status: int | None) -> None:
        """A program has ended: its fd goes, its status is for those who wait."""
        execution = self._running.pop(identity, None)
        if execution is None:
            self._early[identity] = status
            if len(self._early) > REMEMBERED:
                del self._early[next(iter(self._early))]
            return
        if execution.executed is not None:
            self.leave_to_keeper(execution.executed)
            os.close(execution.executed.pidfd)
        execution.end.set_result(status)
        execution.owner = None
        ended = self._ended[is_probing(identity)]
        ended.append(int(identity))
        if len(ended) > REMEMBERED:
            del self._known[ended.popleft()]

    def running(self) -> list[tuple[EnteredProcess, int | None]]:
        """Return the programs that have not ended, as far as we know, and when each was born."""
        return [(each.executed, each.born) for each in self._running.values() if each.executed is not None]

    def running_one(self, number: int) -> EnteredProcess | None:
        """Return a program that has not ended, as far as we know; None for any other."""
        waited = self._known.get(number)
        return None if waited is None or waited.end.done() else waited.executed

    def owned_by(self, owner: object) -> list[tuple[EnteredProcess, asyncio.Future[int | None]]]:
        """Return the programs that end with an owner, and what is done when they have."""
        owned = [each for each in self._running.values() if each.owner is owner]
        return [(each.executed, each.end) for each in owned if each.executed is not None]

    def see_to_end(self, executed: EnteredProcess) -> None:
        """No keeper will tell the end of this program: see it ourselves, without a status."""
        if executed.id in self._running:
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


def _future() -> asyncio.Future[int | None]:
    return asyncio.get_running_loop().create_future()


def _learn_birth(process: WaitedProcess) -> None:
    """Look when a process began: by that it is known to whoever reaps it, should its keeper die."""
    if process.executed is not None and not process.end.done():
        with suppress(OSError):
            born = start_time(process.executed.pid)
            # It has not ended, so its pid was nobody else's.
            process.born = None if has_ended(process.executed.pidfd) else born
