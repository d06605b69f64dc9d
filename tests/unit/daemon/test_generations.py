"""Requests find the keeper that holds the guest; an old one that holds nothing is sent away. Keepers are our own."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from insula.daemon.generations import KeeperGenerations
from insula.engine.keeper import protocol
from insula.engine.keeper.link import KeeperEvent, KeeperLink
from insula.engine.keeper.protocol import Verb
from insula.errors import KeeperError
from tests.waiting import patience

pytestmark = pytest.mark.asyncio


@dataclass(kw_only=True)
class Keeper:
    """Answers on its end of a pair. guests: UUIDs it holds; word: how it calls what it has come to; asked: by whom."""

    word: str
    guests: list[str] = field(default_factory=list)
    executions: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    ended: bool = False

    def __post_init__(self) -> None:
        self.theirs, self.channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channel.setblocking(False)

    def attend(self) -> None:
        asyncio.get_running_loop().add_reader(self.channel, self._read)

    def _read(self) -> None:
        try:
            message = protocol.receive(self.channel)
        except BlockingIOError:
            return
        if message is None:
            self.die()
            return
        verb, subject = message.body["verb"], message.body.get("id", message.body.get("uuid", ""))
        self.asked.append((verb, subject))
        protocol.send(self.channel, {"answer": message.body["request"], **self._answer(verb, subject)})
        if verb == "quit" and not self.guests:
            self.die()

    def _answer(self, verb: str, subject: str) -> dict[str, Any]:
        match verb:
            case "hello":
                guests = [{"uuid": each, "pid": 7, self.word: "RUNNING", "status": None} for each in self.guests]
                executions = [{"id": name, "uuid": uuid} for name, uuid in self.executions.items()]
                return {"version": 1, "guests": guests, "executions": executions}
            case "ping" | "quit" | "launch" | "execute":
                return {}
            case _ if subject not in (*self.guests, *self.executions):
                return {"error": {"text": f"no guest with the UUID {subject} is held"}}
            case "forget":
                self.guests = [each for each in self.guests if each != subject]
                self.executions.pop(subject, None)
            case "fetch":
                return {"pid": 7, self.word: "RUNNING", "status": None}
        return {"status": 9}

    def tell(self, event: dict[str, Any]) -> None:
        protocol.send(self.channel, event)

    def die(self) -> None:
        if not self.ended:
            self.ended = True
            asyncio.get_running_loop().remove_reader(self.channel)
            self.channel.close()


@dataclass(kw_only=True)
class Scene:
    link: KeeperGenerations
    old: Keeper
    new: Keeper
    events: list[KeeperEvent]
    restored: list[None]

    async def ask(self, verb: Verb, **body: Any) -> dict[str, Any]:
        return (await self.link.answer(self.link.ask(verb, body, {}))).body


@asynccontextmanager
async def scene(*guests: str, executions: dict[str, str] | None = None) -> AsyncIterator[Scene]:
    old = Keeper(word="stage", guests=list(guests), executions=executions or {})
    new = Keeper(word="state", guests=["young"])
    events: list[KeeperEvent] = []
    restored: list[None] = []

    async def restore() -> None:
        restored.append(None)

    link = KeeperGenerations(
        obtain=lambda: new.theirs, older=lambda: {1: old.theirs}, on_event=events.append, restored=restore
    )
    for each in (old, new):
        each.attend()
    await link.start()
    try:
        yield Scene(link=link, old=old, new=new, events=events, restored=restored)
    finally:
        await link.close()
        for each in (old, new):
            each.die()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(patience(10)):
        while not condition():  # noqa: ASYNC110 - the sockets are the event
            await asyncio.sleep(0.005)


async def test_they_are_one_keeper_link() -> None:
    async with scene("aged") as at:
        link: KeeperLink = at.link
        assert link is at.link and at.link.older_versions == [1]


async def test_what_all_of_them_hold_is_told_as_one_in_todays_words() -> None:
    async with scene("aged", executions={"x1": "aged"}) as at:
        hello = await at.ask(Verb.HELLO)
        assert [(each["uuid"], each["state"]) for each in hello["guests"]] == [
            ("young", "RUNNING"),
            ("aged", "RUNNING"),
        ]
        assert [each["id"] for each in hello["executions"]] == ["x1"]


async def test_a_guest_is_asked_about_where_it_is_held_and_new_ones_are_the_newests() -> None:
    async with scene("aged", executions={"x1": "aged"}) as at:
        await at.ask(Verb.HELLO)
        assert (await at.ask(Verb.FETCH, uuid="aged"))["state"] == "RUNNING"
        assert (await at.ask(Verb.KILL, uuid="young"))["status"] == 9
        await at.ask(Verb.FORGET, id="x1")
        await at.ask(Verb.LAUNCH, uuid="unborn")
        await at.ask(Verb.EXECUTE, uuid="aged", id="x2")
        assert at.old.asked[2:] == [("fetch", "aged"), ("forget", "x1")]
        assert at.new.asked[2:] == [("kill", "young"), ("launch", "unborn"), ("execute", "x2")]


async def test_an_old_keeper_ends_once_it_has_let_go_of_its_last_guest() -> None:
    async with scene("aged", "older") as at:
        await at.ask(Verb.HELLO)
        for each in ("aged", "older"):
            assert not at.old.ended
            await at.ask(Verb.FORGET, uuid=each)
        await until(lambda: at.old.ended)
        assert at.old.asked[-1][0] == "quit"
        assert ("forget", "aged") in at.new.asked, "what entered the guest is the newest's"
        assert (at.link.older_versions, at.restored) == ([], [])


async def test_an_old_keeper_that_holds_nothing_ends_at_once() -> None:
    async with scene() as at:
        await at.ask(Verb.HELLO)
        await until(lambda: at.old.ended)


async def test_what_an_old_keeper_tells_is_heard() -> None:
    async with scene("aged") as at:
        await at.ask(Verb.HELLO)
        at.old.tell({"event": "exited", "uuid": "aged", "status": 0})
        await until(lambda: at.events)
        assert (at.events[0].uuid, at.events[0].status) == ("aged", 0)


async def test_what_an_old_keeper_held_that_dies_is_handed_over_and_asked_of_the_newest() -> None:
    async with scene("aged") as at:
        await at.ask(Verb.HELLO)
        at.old.die()
        await until(lambda: at.restored)
        with pytest.raises(KeeperError, match="is held"):
            await at.ask(Verb.FETCH, uuid="aged")
        assert at.new.asked[-1] == ("fetch", "aged")
        assert [each["uuid"] for each in (await at.ask(Verb.HELLO))["guests"]] == ["young"]


async def test_a_guest_that_is_started_again_is_the_newests_though_an_old_keeper_has_not_forgotten_it() -> None:
    async with scene("aged", "other") as at:
        await at.ask(Verb.HELLO)
        at.new.guests.append("aged")
        await at.ask(Verb.LAUNCH, uuid="aged")
        await at.ask(Verb.KILL, uuid="aged")
        assert at.new.asked[-2:] == [("launch", "aged"), ("kill", "aged")]
        await until(lambda: at.old.guests == ["other"])


async def test_a_failure_of_the_keeper_that_counts_is_told_though_others_answer() -> None:
    async with scene("aged") as at:
        await at.ask(Verb.HELLO)
        at.old.guests.clear()
        at.new.guests.append("aged")
        with pytest.raises(KeeperError, match="is held"):
            await at.ask(Verb.FORGET, uuid="aged")
