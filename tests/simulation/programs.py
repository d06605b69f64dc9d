"""Programs that clients put into guests: what becomes of them is held against what is told of them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from insula.service.guest import StartedProgram
from insula.testing import FakeHost, FakeProcess
from tests import invariants
from tests.simulation.daemon import SimulatedDaemon
from tests.simulation.statuses import KILLED


@dataclass(kw_only=True, slots=True, eq=False)
class Program:
    """One that was begun. id: the daemon's; keepers: how many had died before it was asked for; told: its end, to the
    client that waits for it."""

    id: int
    process: FakeProcess
    keepers: int
    told: list[int | None] = field(default_factory=list)

    def __str__(self) -> str:
        return f"program {self.id} of guest {self.process.uuid}"


class Programs:
    """Those of the living daemon, and of the host. say: told what happens."""

    def __init__(self, host: FakeHost, say: Callable[[str], None]) -> None:
        self._host, self._say = host, say
        self._begun: list[Program] = []
        self.keepers = 0
        """How many keepers have died."""

    def forget(self) -> None:
        """The daemon is gone, and with it everybody who knew a number of its."""
        self._begun.clear()

    def began(self, daemon: SimulatedDaemon, name: str, started: StartedProgram, *, keepers: int) -> None:
        """A client has its answer, and waits for the end. keepers: how many had died when it asked."""
        process = next(each for each in self._host.entered if each.pid == started.pid)
        program = Program(id=started.id, process=process, keepers=keepers)
        self._say(f"{name}: program {program.id} runs as process {started.pid}")
        self._begun.append(program)
        # Clients go by the names of their domains: who hangs up waits for nothing.
        waiting = daemon.call(_waited(daemon.services.guest.wait_executed(program.id)), f"wait for program of {name}")
        waiting.add_done_callback(lambda task: None if task.cancelled() else program.told.append(task.result()))

    def end(self, uuid: str, status: int) -> None:
        """Let the oldest program of a guest end by itself, if one runs and may."""
        running = [each for each in self._host.inside(uuid) if each.executed]
        if running and (status == KILLED or not self._host.group(running[0].group).frozen):
            self._say(f"process {running[0].pid} of guest {uuid} ends with {status:#x}")
            self._host.end(running[0], status)

    def check_at_rest(self, daemon: SimulatedDaemon) -> None:
        """What holds when nothing is under way."""
        for each in self._begun:
            end = daemon.services.guest.wait_executed(each.id)
            known = [end.result()] if end.done() else []
            died = each.keepers != self.keepers
            invariants.a_program_end_is_told(
                str(each), [*known, *each.told], status=each.process.status, keeper_died=died
            )
            if not known:
                end.cancel()
        invariants.each_is_told_once("end of program", daemon.program_ends)
        living = {each.execution for each in self._host.processes.values()}
        keeper = self._host.keeper
        left = [] if keeper is None else sorted(keeper.entered - living)
        assert not left, f"programs have ended, and the keeper still holds {left}"


async def _waited(end: asyncio.Future[int | None]) -> int | None:
    return await end
