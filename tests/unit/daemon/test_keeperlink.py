"""The link that outlives keepers, against keepers of the test's own over real sockets."""

import asyncio
import os
import select
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any

import pytest

from insula.daemon import keeperlink, keeperwatch
from insula.daemon.keeperlink import KeeperSupervisor
from insula.engine.keeper import protocol
from insula.engine.keeper.link import KeeperEvent, KeeperLink
from insula.engine.keeper.protocol import Message, Verb
from insula.errors import KeeperError, StepError
from tests.descriptors import open_fds
from tests.waiting import patience

pytestmark = pytest.mark.asyncio


@dataclass(kw_only=True, slots=True)
class Keepers:
    """Keepers in the order they were obtained; the last one lives. refuse: how many attempts to fail first."""

    channels: list[socket.socket] = field(default_factory=list)
    events: list[KeeperEvent] = field(default_factory=list)
    restored: int = 0
    refuse: int = 0
    silent: bool = False
    restored_event: asyncio.Event = field(default_factory=asyncio.Event)

    def obtain(self) -> socket.socket:
        if self.refuse:
            self.refuse -= 1
            raise KeeperError("no keeper today")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channels.append(theirs)
        if len(self.channels) == 1 and not self.silent:
            protocol.send(theirs, {"answer": 1})  # what is asked first of all: whether it lives
        return ours

    async def restore(self) -> None:
        self.restored += 1
        self.restored_event.set()

    @property
    def keeper(self) -> socket.socket:
        return self.channels[-1]

    def take(self) -> Message:
        """The next request, which must be there already."""
        self.keeper.setblocking(False)
        message = protocol.receive(self.keeper)
        assert message is not None
        return message

    def answer(self, request: Message, body: dict[str, Any], fds: dict[str, int] | None = None) -> None:
        protocol.send(self.keeper, {"answer": request.body["request"], **body}, fds)


@asynccontextmanager
async def supervised() -> AsyncIterator[tuple[KeeperSupervisor, Keepers]]:
    keepers = Keepers()
    link = KeeperSupervisor(obtain=keepers.obtain, on_event=keepers.events.append, restored=keepers.restore)
    await link.start()
    assert keepers.take().body["verb"] == "ping"
    try:
        yield link, keepers
    finally:
        await link.close()
        for each in keepers.channels:
            each.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(patience(10)):
        while not condition():  # noqa: ASYNC110 - the sockets are the event
            await asyncio.sleep(0.005)


async def test_it_is_a_keeper_link() -> None:
    async with supervised() as (supervisor, _):
        link: KeeperLink = supervisor
        assert supervisor.connected and link is supervisor


async def test_answers_find_their_requests_in_any_order() -> None:
    async with supervised() as (link, keepers):
        first = link.ask(Verb.HELLO, {"a": 1}, {})
        second = link.ask(Verb.KILL, {"b": 2}, {})
        one, two = keepers.take(), keepers.take()
        assert (one.body["verb"], one.body["a"], two.body["verb"]) == ("hello", 1, "kill")
        keepers.answer(two, {"n": 2})
        keepers.answer(one, {"n": 1})
        assert (await link.answer(first)).body["n"] == 1
        assert (await link.answer(second)).body["n"] == 2


async def test_descriptors_travel_both_ways_and_the_asker_keeps_its_own() -> None:
    async with supervised() as (link, keepers):
        reader, writer = os.pipe()
        number = link.ask(Verb.GO, {}, {"root": reader})
        request = keepers.take()
        os.write(writer, b"x")
        assert os.read(request.fds["root"], 1) == b"x"
        keepers.answer(request, {}, {"console0": request.fds["root"]})
        answer = await link.answer(number)
        os.write(writer, b"y")
        assert os.read(answer.fds["console0"], 1) == b"y"
        os.fstat(reader)
        request.close()
        answer.close()
        os.close(reader)
        os.close(writer)


async def test_a_descriptor_that_is_closed_already_is_its_askers_fault_and_no_keeper_is_lost() -> None:
    async with supervised() as (link, keepers):
        with pytest.raises(OSError, match="what was to go with 'execute'"):
            link.ask(Verb.EXECUTE, {}, {"init": -1})
        number = link.ask(Verb.PING, {}, {})
        keepers.answer(keepers.take(), {})
        (await link.answer(number)).close()
        assert link.connected
        assert link.restarts == 0


async def test_a_failed_step_is_raised_as_one() -> None:
    async with supervised() as (link, keepers):
        number = link.ask(Verb.GO, {}, {})
        keepers.answer(keepers.take(), {"error": {"text": "no such file", "errno": 2, "step": 3}})
        with pytest.raises(StepError, match="no such file") as caught:
            await link.answer(number)
        assert (caught.value.step, caught.value.errno) == ("3", 2)


async def test_events_are_delivered() -> None:
    async with supervised() as (_, keepers):
        protocol.send(keepers.keeper, {"event": "exited", "uuid": "u", "status": 2})
        await until(lambda: keepers.events)
        assert (keepers.events[0].uuid, keepers.events[0].status) == ("u", 2)


async def test_the_keepers_death_fails_those_who_wait_and_a_new_one_is_put_in_its_place() -> None:
    async with supervised() as (link, keepers):
        number = link.ask(Verb.LAUNCH, {}, {})
        keepers.keeper.close()
        with pytest.raises(KeeperError, match="gone"):
            await link.answer(number)
        await asyncio.wait_for(keepers.restored_event.wait(), patience(10))
        assert (len(keepers.channels), keepers.restored, link.restarts) == (2, 1, 1)
        number = link.ask(Verb.HELLO, {}, {})
        keepers.answer(keepers.take(), {"n": 1})
        assert (await link.answer(number)).body["n"] == 1


async def test_a_keeper_that_talks_nonsense_is_given_up() -> None:
    async with supervised() as (_, keepers):
        keepers.keeper.send(b"nonsense")
        await asyncio.wait_for(keepers.restored_event.wait(), patience(10))
        assert keepers.restored == 1


async def test_a_keeper_that_dies_while_it_is_given_its_guests_is_replaced_too() -> None:
    async with supervised() as (link, keepers):
        restore = keepers.restore

        async def dying() -> None:
            if len(keepers.channels) == 2:
                keepers.keeper.close()
                await until(lambda: not link.connected)
            await restore()

        link._restored = dying
        keepers.keeper.close()
        await until(lambda: keepers.restored == 2)
        await until(lambda: link.connected)
        assert len(keepers.channels) == 3


async def test_what_is_asked_while_guests_are_handed_over_waits_until_they_are() -> None:
    async with supervised() as (link, keepers):
        handing, go_on = asyncio.Event(), asyncio.Event()

        async def restore() -> None:
            mine = link.ask(Verb.ADOPT, {"uuid": "u"}, {})
            handing.set()
            await go_on.wait()
            (await link.answer(mine)).close()

        link._restored = restore
        keepers.keeper.close()
        await asyncio.wait_for(handing.wait(), patience(10))
        number = link.ask(Verb.KILL, {"uuid": "u"}, {})
        adopting = keepers.take()
        assert adopting.body["verb"] == "adopt"
        with pytest.raises(BlockingIOError):
            keepers.take()
        go_on.set()
        keepers.answer(adopting, {})
        keepers.keeper.setblocking(False)
        await until(lambda: not link._parked)
        killing = keepers.take()
        assert killing.body["verb"] == "kill"
        keepers.answer(killing, {"status": 9})
        assert (await link.answer(number)).body["status"] == 9


async def test_who_hands_guests_to_a_keeper_that_dies_is_told_and_others_wait_for_the_next() -> None:
    async with supervised() as (link, keepers):
        told: list[KeeperError] = []
        waiting: list[int] = []

        async def restore() -> None:
            if len(keepers.channels) == 2:
                waiting.append(await asyncio.create_task(asked_by_another(link), context=Context()))
                keepers.keeper.close()
                await until(lambda: not link.connected)
                try:
                    link.ask(Verb.ADOPT, {}, {})
                except KeeperError as error:
                    told.append(error)
            await keepers.restore()

        link._restored = restore
        keepers.keeper.close()
        await until(lambda: keepers.restored == 2 and not link._parked)
        assert len(told) == 1
        killing = keepers.take()
        assert (len(keepers.channels), killing.body["verb"]) == (3, "kill")
        keepers.answer(killing, {"status": 9})
        assert (await link.answer(waiting[0])).body["status"] == 9


async def asked_by_another(link: KeeperSupervisor) -> int:
    return link.ask(Verb.KILL, {}, {})


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("PING_AFTER", 0.02), ("SILENCE", 0.05), ("_LOOK_EVERY", 0.005)):
        monkeypatch.setattr(keeperwatch, name, seconds)


@pytest.mark.usefixtures("impatient")
async def test_a_keeper_that_says_nothing_is_told_to_go_on_and_then_killed_and_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    async with supervised() as (link, keepers):
        number = link.ask(Verb.KILL, {}, {})
        with pytest.raises(KeeperError, match="did not answer"):
            await asyncio.wait_for(link.answer(number), patience(10))
        assert [each for _, each in sent] == [signal.SIGCONT, signal.SIGKILL]
        await asyncio.wait_for(keepers.restored_event.wait(), patience(10))
        assert link.restarts == 1


@pytest.mark.usefixtures("impatient")
async def test_a_silent_keeper_is_replaced_before_the_daemon_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "kill", lambda pid, number: None)
    keepers = Keepers(silent=True)
    link = KeeperSupervisor(obtain=keepers.obtain, on_event=keepers.events.append, restored=keepers.restore)
    await asyncio.wait_for(link.start(), patience(10))
    assert (len(keepers.channels), link.restarts, link.connected) == (2, 1, True)
    await link.close()
    for each in keepers.channels:
        each.close()


@pytest.mark.usefixtures("impatient")
async def test_a_keeper_that_answers_a_ping_may_take_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async with supervised() as (link, keepers):
        number = link.ask(Verb.GO, {}, {})
        going = keepers.take()
        for _ in range(5):
            await until(lambda: select.select([keepers.keeper], [], [], 0)[0])
            ping = keepers.take()
            assert ping.body["verb"] == "ping"
            keepers.answer(ping, {})
        keepers.answer(going, {"pid": 1})
        assert (await link.answer(number)).body["pid"] == 1
        assert link.restarts == 0


@pytest.mark.usefixtures("impatient")
async def test_a_request_that_takes_too_long_is_given_up_and_its_late_answer_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeperwatch, "PING_AFTER", 100)
    monkeypatch.setattr(keeperwatch, "ANSWER_WITHIN", {Verb.KILL: 0.02, Verb.HELLO: 100})
    async with supervised() as (link, keepers):
        number = link.ask(Verb.KILL, {}, {})
        killing = keepers.take()
        with pytest.raises(KeeperError, match="has not done in time"):
            await asyncio.wait_for(link.answer(number), patience(10))
        keepers.answer(killing, {"status": 9})
        number = link.ask(Verb.HELLO, {}, {})
        keepers.answer(keepers.take(), {"n": 1})
        assert (await link.answer(number)).body["n"] == 1


async def test_starting_a_keeper_is_tried_again_until_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeperlink, "RESTART_PAUSES", (0.0, 0.01))
    async with supervised() as (link, keepers):
        keepers.refuse = 3
        keepers.keeper.close()
        await until(lambda: not link.connected)
        reader, writer = os.pipe()
        number = link.ask(Verb.KILL, {"uuid": "u"}, {"fd": reader})
        os.close(reader)
        forgotten = asyncio.create_task(link.answer(link.ask(Verb.HELLO, {}, {})))
        await asyncio.sleep(0)
        forgotten.cancel()
        await asyncio.wait_for(keepers.restored_event.wait(), patience(10))
        assert link.connected and keepers.refuse == 0
        await asyncio.sleep(0)
        request = keepers.take()
        assert request.body["verb"] == "kill", "what was asked meanwhile reaches the new keeper, if somebody waits"
        os.write(writer, b"x")
        assert os.read(request.fds["fd"], 1) == b"x"
        os.close(writer)
        request.close()
        keepers.answer(request, {"status": 9})
        assert (await link.answer(number)).body["status"] == 9


async def test_nobody_waits_forever_for_a_keeper_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeperlink, "RESTART_PAUSES", (0.0, 0.01))
    async with supervised() as (link, keepers):
        keepers.refuse = 10**6
        keepers.keeper.close()
        await until(lambda: not link.connected)
        number = link.ask(Verb.KILL, {}, {})
        with pytest.raises(KeeperError):
            await asyncio.wait_for(link.answer(number), patience(10))
        with pytest.raises(KeeperError, match="none can be started"):
            link.ask(Verb.KILL, {}, {})


async def test_an_answer_nobody_waits_for_any_more_leaks_no_descriptor() -> None:
    async with supervised() as (link, keepers):
        waiter = asyncio.create_task(link.answer(link.ask(Verb.LAUNCH, {}, {})))
        await asyncio.sleep(0)
        waiter.cancel()
        await asyncio.gather(waiter, return_exceptions=True)
        before = len(open_fds())
        reader, writer = os.pipe()
        keepers.answer(keepers.take(), {}, {"pidfd": reader})
        protocol.send(keepers.keeper, {"event": "exited", "uuid": "u", "status": None})
        await until(lambda: keepers.events)
        os.close(reader)
        os.close(writer)
        assert len(open_fds()) == before


async def test_requests_to_a_busy_keeper_wait_and_keep_their_order() -> None:
    async with supervised() as (link, keepers):
        reader, writer = os.pipe()
        numbers = [link.ask(Verb.KILL, {"n": n, "padding": "x" * 30_000}, {"fd": reader}) for n in range(100)]
        os.close(reader)
        os.close(writer)
        keepers.keeper.setblocking(False)
        seen = []

        def pump() -> bool:
            try:
                request = keepers.take()
            except BlockingIOError:
                return False
            seen.append(request.body["n"])
            request.close()
            keepers.answer(request, {"n": request.body["n"]})
            return len(seen) == len(numbers)

        await until(pump)
        assert seen == list(range(100))
        assert [(await link.answer(each)).body["n"] for each in numbers] == seen


async def test_closing_tells_an_idle_keeper_to_end_if_so_asked() -> None:
    async with supervised() as (link, keepers):
        closing = asyncio.create_task(link.close(quit_keeper=True))
        await asyncio.sleep(0)
        request = keepers.take()
        assert request.body["verb"] == "quit"
        keepers.answer(request, {})
        await closing
        assert keepers.restored == 0 and not link.connected
