"""Probes that are tried inside guests, each with an end."""

import asyncio
import signal
from typing import Any, cast

import pytest

from insula.engine.spec import Process
from insula.errors import OperationFailedError
from insula.model.probes import Probe
from insula.service.guest import GuestVerbs, StartedProgram
from insula.service.guestvisits import GuestVisits
from insula.service.managed import ManagedDomain
from insula.service.probing import Probing
from tests.unit.service.fakes import Rig, domain_xml, until

pytestmark = pytest.mark.asyncio


class ScriptedGuest:
    """What is asked of programs in guests. status: how one ends, None for never before it is killed; error: how one
    fails to begin."""

    def __init__(self, status: int | None = 0, error: Exception | None = None) -> None:
        self.status, self.error = status, error
        self.argv: list[tuple[str, ...]] = []
        self.signals: list[int] = []
        self._end: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    async def execute(self, managed: ManagedDomain, process: Process, **_: Any) -> StartedProgram:
        self.argv.append(process.argv)
        if self.error is not None:
            raise self.error
        if self.status is not None and not self._end.done():
            self._end.set_result(self.status)
        return StartedProgram(id=1, pid=2, master=None)

    def wait_executed(self, number: int, waiter: object = None) -> "asyncio.Future[int | None]":
        return asyncio.shield(self._end)

    async def kill_executed(self, number: int) -> None:
        self.signals.append(signal.SIGKILL)
        self._end.set_result(signal.SIGKILL)


class ScriptedVisits:
    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[tuple[str, dict[str, Any], float | None]] = []

    async def look(self, managed: ManagedDomain, look: str, arguments: dict[str, Any], *, seconds: float | None) -> Any:
        self.asked.append((look, arguments, seconds))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def failure(rig: Rig, probe: Probe, guest: Any = None, visits: Any = None, seconds: float = 60) -> str | None:
    managed = rig.domains.of(await rig.domains.create_xml(domain_xml()))
    return await Probing(cast("GuestVerbs", guest), cast("GuestVisits", visits)).failure(managed, probe, seconds)


async def test_a_port_is_tried_by_a_look_that_has_an_end(rig: Rig) -> None:
    visits = ScriptedVisits(None)
    assert await failure(rig, Probe(port=80), visits=visits, seconds=3) is None
    ((look, arguments, seconds),) = visits.asked
    assert (look, arguments) == ("connect-port", {"port": 80, "addresses": ["127.0.0.1", "::1"], "seconds": 3})
    assert seconds is not None and seconds > 3


@pytest.mark.parametrize(
    ("answer", "reason"),
    [("Connection refused", "port 80: Connection refused"), (OperationFailedError("it is deaf"), "it is deaf")],
)
async def test_why_a_port_does_not_answer_is_told(rig: Rig, answer: Any, reason: str) -> None:
    assert await failure(rig, Probe(port=80), visits=ScriptedVisits(answer)) == reason


@pytest.mark.parametrize(
    ("status", "reason"), [(0, None), (0x0300, "command 'a': exit status 3"), (9, "command 'a': killed by signal 9")]
)
async def test_a_command_succeeds_by_its_status(rig: Rig, status: int, reason: str | None) -> None:
    guest = ScriptedGuest(status)
    assert await failure(rig, Probe(command="a"), guest) == reason
    assert guest.argv == [("a",)] and guest.signals == []


async def test_a_command_that_does_not_end_is_killed(rig: Rig) -> None:
    guest = ScriptedGuest(None)
    assert await failure(rig, Probe(command="sleep 99"), guest, seconds=0.01) == (
        "command 'sleep 99' does not end within 0.01 s"
    )
    assert guest.signals == [signal.SIGKILL]


async def test_a_command_that_cannot_be_executed_is_told(rig: Rig) -> None:
    guest = ScriptedGuest(error=OperationFailedError("there is no program 'a'"))
    assert await failure(rig, Probe(command="a"), guest) == "there is no program 'a'"


async def test_a_command_that_nobody_waits_for_any_more_is_killed(rig: Rig) -> None:
    guest = ScriptedGuest(None)
    trying = asyncio.create_task(failure(rig, Probe(command="sleep 99"), guest))
    await until(lambda: guest.argv)
    await asyncio.sleep(0.01)
    trying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trying
    assert guest.signals == [signal.SIGKILL]
