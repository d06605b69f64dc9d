"""Words with a reaper that the test plays."""

import os
import socket
from collections.abc import Iterator

import pytest

from insula.engine.keeper import reaperlink
from insula.engine.keeper.eventloop import EventLoop
from insula.engine.keeper.reaperlink import ReaperLink, Results, converse, spawn
from tests.waiting import patience


class Talk:
    """A keeper's link, and the other end. told: what was answered, in order."""

    def __init__(self) -> None:
        self.loop = EventLoop()
        ours, self.reaper = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.reaper.settimeout(patience(10))
        self.link = ReaperLink(self.loop, ours)
        self.told: list[Results] = []

    def ask(self, *words: str | int) -> None:
        self.link.ask(*words, told=self.told.append)


@pytest.fixture
def talk() -> Iterator[Talk]:
    made = Talk()
    yield made
    made.reaper.close()
    made.link._lost()


def test_answers_find_whoever_asked_in_whatever_order_they_come(talk: Talk) -> None:
    talk.ask("status", 7, 9)
    talk.ask("list")
    assert talk.reaper.recv(100) == b"1\0status\x007\x009"
    assert talk.reaper.recv(100) == b"2\0list"
    talk.reaper.send(b"2\0ok\x007 9 0\x008 9 256")
    talk.reaper.send(b"1\0ok\x00768")
    talk.loop.turn()
    assert talk.told == [["7 9 0", "8 9 256"], ["768"]]


@pytest.mark.parametrize("answer", [b"1\0error\0nobody", b"1", b"1\0", b"1\0\xff"])
def test_an_error_and_nonsense_are_no_answer(talk: Talk, answer: bytes) -> None:
    talk.ask("status", 7, 9)
    talk.reaper.send(answer)
    talk.loop.turn()
    assert talk.told == [None]


@pytest.mark.parametrize("answer", [b"2\0ok", b"x\0ok", b"\0", b"\xff\xfe"])
def test_what_nobody_asked_is_not_heard(talk: Talk, answer: bytes) -> None:
    talk.ask("status", 7, 9)
    talk.reaper.send(answer)
    talk.loop.turn()
    assert talk.told == []


def test_a_reaper_that_dies_answers_everybody_at_once(talk: Talk) -> None:
    talk.ask("status", 7, 9)
    talk.ask("status", 8, 9)
    talk.reaper.close()
    talk.loop.turn()
    assert talk.told == [None, None]
    talk.ask("status", 9, 9)
    assert talk.told == [None, None, None]


def test_a_reaper_that_does_not_answer_is_not_waited_for(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaperlink, "PATIENCE", 0.01)
    talk.ask("status", 7, 9)
    talk.loop.turn()
    assert talk.told == [None]
    talk.reaper.send(b"1\0ok\x003")
    talk.loop.turn()
    assert talk.told == [None], "an answer that comes late is not told again"


def test_more_questions_than_a_socket_holds_are_all_asked(talk: Talk) -> None:
    count = 5000
    talk.reaper.setblocking(False)
    for number in range(count):
        talk.ask("status", number, 9)
    for number in range(1, count + 1):
        asked = None
        while asked is None:
            try:
                asked = talk.reaper.recv(100)
            except BlockingIOError:
                talk.loop.turn()
        assert asked.startswith(b"%d\0" % number)


def test_without_a_reaper_nothing_is_known() -> None:
    told: list[Results] = []
    ReaperLink(EventLoop(), None).ask("status", 7, 9, told=told.append)
    assert told == [None]


def played(answer: bytes) -> socket.socket:
    """Return a channel on which the answer waits already."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.send(answer)
    if os.fork() == 0:
        ours.close()
        theirs.recv(1000)
        os._exit(0)
    theirs.close()
    return ours


def test_a_conversation_returns_what_follows_ok() -> None:
    with played(b"0\0ok\x001") as channel:
        assert converse(channel, "hello") == ["1"]
    os.wait()


def test_an_error_is_raised_with_its_text() -> None:
    with played(b"0\0error\0KeyError: nobody") as channel, pytest.raises(OSError, match="KeyError: nobody"):
        spawn(channel, ["/bin/true"], {"A": "b"}, (0, 1, 2))
    os.wait()


def test_who_ends_instead_of_answering_is_gone() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.shutdown(socket.SHUT_WR)
    with ours, theirs, pytest.raises(ConnectionResetError, match="the reaper is gone"):
        converse(ours, "hello")


def test_who_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaperlink, "PATIENCE", 0.01)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, pytest.raises(TimeoutError):
        converse(ours, "hello")
