"""CallQueue: how many at once, who waits behind whom, and that nothing is left behind."""

import asyncio
import os

import pytest

from insula.daemon.callqueue import CallQueue, Lane
from insula.daemon.incomingcall import Answer, IncomingCall, Work
from insula.rpc.arrivals import Call
from insula.rpc.procedures import Remote
from insula.service.events import Events
from tests.unit.daemon.fakes import FakeClient, FakeDomains, services_of

pytestmark = pytest.mark.asyncio


class Works:
    """Pieces of work that end when told; started, done: their names, in order."""

    def __init__(self, usual: int) -> None:
        self.started: list[str] = []
        self.done: list[str] = []
        self._gates: dict[str, asyncio.Event] = {}
        self.freed = 0
        self.turns = CallQueue(usual=usual, perform=self._perform, freed=self._free)
        self._services = services_of(FakeDomains(events=Events()))

    def _free(self) -> None:
        self.freed += 1

    async def _perform(self, request: IncomingCall, work: Work) -> None:
        await work

    def add(self, name: str, lane: Lane = Lane.USUAL) -> IncomingCall:
        self._gates[name] = asyncio.Event()
        call = Call(Remote.DOMAIN_CREATE, 1, None, ())
        request = IncomingCall(call=call, client=FakeClient(Events()), services=self._services)
        self.turns.take(lane, request, self._work(name))
        return request

    async def _work(self, name: str) -> Answer:
        self.started.append(name)
        await self._gates[name].wait()
        self.done.append(name)
        return None

    async def finish(self, name: str) -> None:
        self._gates[name].set()
        for _ in range(5):
            await asyncio.sleep(0)


async def test_only_so_many_run_and_the_others_follow_in_order() -> None:
    works = Works(usual=2)
    for name in "abcd":
        works.add(name)
    await asyncio.sleep(0)
    assert works.started == ["a", "b"] and works.turns.full
    await works.finish("b")
    assert works.started == ["a", "b", "c"] and works.turns.full
    await works.finish("a")
    assert works.started == ["a", "b", "c", "d"] and not works.turns.full
    works.turns.close()
    await works.turns.ended()


async def test_urgent_and_waiting_work_does_not_queue_behind_usual_work() -> None:
    works = Works(usual=1)
    works.add("usual")
    works.add("parked")
    works.add("urgent", Lane.URGENT)
    works.add("waiting", Lane.WAITING)
    await asyncio.sleep(0)
    assert works.started == ["usual", "urgent", "waiting"]
    works.turns.close()
    await works.turns.ended()


async def test_large_answers_are_made_one_at_a_time() -> None:
    works = Works(usual=5)
    works.add("large", Lane.BULK)
    works.add("another", Lane.BULK)
    works.add("usual")
    await asyncio.sleep(0)
    assert works.started == ["large", "usual"]
    await works.finish("large")
    assert works.started == ["large", "usual", "another"]
    works.turns.close()
    await works.turns.ended()


async def test_closing_ends_what_runs_and_never_begins_what_was_parked() -> None:
    works = Works(usual=1)
    works.add("running")
    works.add("parked")
    await asyncio.sleep(0)
    works.turns.close()
    await works.turns.ended()
    assert (works.started, works.done) == (["running"], [])


async def test_a_call_that_is_given_up_before_it_began_closes_what_came_with_it() -> None:
    works = Works(usual=1)
    reader, writer = os.pipe()
    request = works.add("never")
    request.reply_fds = [reader]
    works.turns.close()
    await works.turns.ended()
    await asyncio.sleep(0)
    assert works.started == [] and works.freed == 1
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reader)
    os.close(writer)
