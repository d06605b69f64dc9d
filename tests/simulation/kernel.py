"""What the kernel under a walk answers: which calls it refuses, who waits in it, and whom signals reach."""

import errno
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from insula.engine.threads import in_own_thread
from insula.engine.writers import Writers
from insula.kernel.process import start_time
from insula.service import consolereaders, executions, runrecord, runs
from insula.testing.fakehost import FakeHost
from tests.simulation.channel import KEEPER_PID
from tests.simulation.disk import FileOperations
from tests.simulation.documents import remembered
from tests.simulation.fakelinks import FakeLinks
from tests.simulation.loop import HeldUpError
from tests.simulation.statuses import KILLED
from tests.simulation.world import World


class Kernel:
    """Of one host. refusals: what it refuses next, by the first word, and how; holds: the domains whose guests do not
    let themselves be frozen, and who waits for that.

    broke: called when it refuses something; keeper_killed, keeper_continues: called for signals to the keeper.
    """

    def __init__(
        self,
        world: World,
        operations: FileOperations,
        *,
        boot: str,
        broke: Callable[[], None],
        keeper_killed: Callable[[], None],
        keeper_continues: Callable[[], None],
    ) -> None:
        self._world, self._operations = world, operations
        self._broke, self._keeper_killed, self._keeper_continues = broke, keeper_killed, keeper_continues
        self.host = FakeHost(boot=boot, before=self._before, later=world.soon, after=world.after, terminal=self._line)
        self.links = FakeLinks(before=self._before_links)
        self.refusals: dict[str, int] = {}
        self.holds: dict[UUID, list[Callable[[], None]]] = {}

    def _before(self, what: str) -> None:
        word = what.split()[0]
        if (code := self.refusals.pop(word, 0)) != 0:
            self._broke()
            raise OSError(code, os.strerror(code), what)
        if word == "freeze" and self._world.actor is not None:
            group = what.removeprefix("freeze ")
            guest = next((each for each in self.host.guests().values() if each.group == group), None)
            if guest is not None and guest.executed and UUID(guest.uuid) in self.holds:
                raise HeldUpError(self.holds[UUID(guest.uuid)].append)
        self._operations.before("host", what)

    def _before_links(self, what: str) -> None:
        """What nobody simulated does to links always works."""
        if self._world.actor is not None:
            self._before(what)

    def _line(self) -> tuple[int, int]:
        """Return both ends of a console, which are no terminals: the kernel takes its time to close those."""
        one, other = (each.detach() for each in socket.socketpair())
        self._operations.forget(one)
        self._operations.forget(other)
        return one, other

    def let_go(self, uuid: UUID) -> None:
        """A guest can be frozen again, or has ended."""
        for wake in self.holds.pop(uuid, []):
            wake()

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Have files, clocks and signals be this host's while the block lasts."""
        kill, clock, ticking = os.kill, time.time, runrecord.since_boot
        os.kill = self._signalled
        time.time = lambda: 1_700_000_000 + self._world.now
        for each in (runrecord, runs):
            vars(each)["since_boot"] = lambda: 1000 + self._world.now
        vars(executions)["start_time"] = self._born
        free, perform = vars(consolereaders)["free_terminals"], Writers.perform
        vars(consolereaders)["free_terminals"] = lambda: 0  # no terminal of the real host's is taken
        Writers.perform = _performed  # type: ignore[method-assign,assignment]
        try:
            with self._operations.installed(), remembered():
                yield
        finally:
            os.kill, time.time, vars(executions)["start_time"] = kill, clock, start_time
            for each in (runrecord, runs):
                vars(each)["since_boot"] = ticking
            vars(consolereaders)["free_terminals"] = free
            Writers.perform = perform  # type: ignore[method-assign]

    def _signalled(self, pid: int, number: int) -> None:
        assert pid == KEEPER_PID, f"a signal is sent to {pid}"
        if number == KILLED:
            self._keeper_killed()
        else:
            self._keeper_continues()

    def _born(self, pid: int) -> int:
        """As `kernel.process.start_time`."""
        if pid not in self.host.processes:
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
        return self.host.processes[pid].born


async def _performed(_: Writers, work: Callable[[], Any]) -> Any:
    """Do what a log's thread would do, at some instant."""
    return await in_own_thread(work)
