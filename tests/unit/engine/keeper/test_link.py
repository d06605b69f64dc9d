"""Tests of insula.engine.keeper.link."""

import os
import socket
from collections.abc import Generator, Iterator

import pytest

from insula.engine.keeper import link
from insula.engine.keeper.link import BlockingLink, KeeperEvent, completed
from insula.engine.keeper.protocol import EventKind, Verb, receive, send
from insula.errors import KeeperError, StepError
from tests.descriptors import open_fds

EXITED = {"event": "exited", "uuid": "u", "id": None, "status": 9}
EXECUTED = {"event": "executed", "uuid": "u", "id": "7", "status": None}


class FakeKeeper:
    """The other end of a link: says what tests have it say."""

    def __init__(self) -> None:
        ours, self.channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.events: list[KeeperEvent] = []
        self.link = BlockingLink(ours, self.events.append)

    def close(self) -> None:
        self.link.close()
        self.channel.close()


@pytest.fixture
def keeper() -> Iterator[FakeKeeper]:
    made = FakeKeeper()
    yield made
    made.close()


def test_a_request_has_a_number_a_verb_its_fields_and_fds(keeper: FakeKeeper) -> None:
    with open("/dev/null") as null:
        number = keeper.link.ask(Verb.FETCH, {"uuid": "u"}, {"null": null.fileno()})
        asked = receive(keeper.channel)
        assert asked is not None
        assert asked.body == {"request": number, "verb": "fetch", "uuid": "u"}
        assert os.path.sameopenfile(asked.fds["null"], null.fileno())
    asked.close()


def test_answers_find_their_requests_in_any_order(keeper: FakeKeeper) -> None:
    numbers = [keeper.link.ask(Verb.HELLO, {}, {}) for _ in range(3)]
    for number in reversed(numbers):
        send(keeper.channel, {"answer": number, "mine": number})
    assert [completed(keeper.link.answer(number)).body["mine"] for number in numbers] == numbers


def test_an_answer_that_nobody_waits_for_is_closed(keeper: FakeKeeper) -> None:
    before = open_fds()
    with open("/dev/null") as null:
        send(keeper.channel, {"answer": 99}, {"null": null.fileno()})
    number = keeper.link.ask(Verb.HELLO, {}, {})
    send(keeper.channel, {"answer": number})
    completed(keeper.link.answer(number))
    assert open_fds() == before


def test_events_on_the_way_are_delivered_once_in_order(keeper: FakeKeeper) -> None:
    number = keeper.link.ask(Verb.HELLO, {}, {})
    send(keeper.channel, EXITED)
    send(keeper.channel, EXECUTED)
    send(keeper.channel, {"answer": number})
    completed(keeper.link.answer(number))
    assert [(event.kind, event.uuid, event.status) for event in keeper.events] == [
        (EventKind.EXITED, "u", 9),
        (EventKind.EXECUTED, "u", None),
    ]
    assert keeper.events[1].execution == "7"


def test_an_answer_that_does_not_come_is_not_waited_for_without_end(
    keeper: FakeKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "ANSWER_WITHIN", {Verb.KILL: 0.01, Verb.HELLO: 10})
    late = keeper.link.ask(Verb.KILL, {}, {})
    with pytest.raises(KeeperError, match="does not answer"):
        completed(keeper.link.answer(late))
    send(keeper.channel, {"answer": late})
    number = keeper.link.ask(Verb.HELLO, {}, {})
    send(keeper.channel, {"answer": number, "n": 1})
    assert completed(keeper.link.answer(number)).body["n"] == 1


def test_dispatching_takes_one_message(keeper: FakeKeeper) -> None:
    send(keeper.channel, EXITED)
    assert keeper.link.fileno() >= 0
    keeper.link.dispatch()
    assert [event.kind for event in keeper.events] == [EventKind.EXITED]


def test_an_error_with_a_step_or_an_errno_is_a_step_error(keeper: FakeKeeper) -> None:
    for error, step, errno in (
        ({"text": "no", "step": 3, "errno": 13}, "3", 13),
        ({"text": "no", "step": -1}, "-1", 0),
        ({"text": "no", "errno": 17}, "", 17),
    ):
        number = keeper.link.ask(Verb.GO, {}, {})
        send(keeper.channel, {"answer": number, "error": error})
        with pytest.raises(StepError, match=r"^no$") as caught:
            completed(keeper.link.answer(number))
        assert (caught.value.step, caught.value.errno) == (step, errno)


def test_an_error_without_either_is_the_keepers(keeper: FakeKeeper) -> None:
    number = keeper.link.ask(Verb.GO, {}, {})
    send(keeper.channel, {"answer": number, "error": {"text": "unknown", "errno": 0}})
    with pytest.raises(KeeperError, match=r"^unknown$"):
        completed(keeper.link.answer(number))


def test_a_keeper_that_is_gone_is_said_so(keeper: FakeKeeper) -> None:
    number = keeper.link.ask(Verb.HELLO, {}, {})
    keeper.channel.close()
    with pytest.raises(KeeperError, match=r"gone|understood"):
        completed(keeper.link.answer(number))
    with pytest.raises(KeeperError, match="does not take requests"):
        keeper.link.ask(Verb.HELLO, {}, {})


def test_a_keeper_that_speaks_nonsense_is_said_so(keeper: FakeKeeper) -> None:
    number = keeper.link.ask(Verb.HELLO, {}, {})
    keeper.channel.send(b"nonsense")
    with pytest.raises(KeeperError, match="cannot be understood"):
        completed(keeper.link.answer(number))


class Waiting:
    def __await__(self) -> Generator[None, None, None]:
        yield


def test_a_coroutine_that_suspends_is_a_mistake() -> None:
    async def wait() -> None:
        await Waiting()

    with pytest.raises(RuntimeError, match="suspended"):
        completed(wait())
