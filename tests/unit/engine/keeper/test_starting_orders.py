"""Processes that are ordered and not known yet: the test says on their channels what they, or the spawner, would."""

import errno
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from insula.engine.keeper import starting as module
from insula.engine.keeper.clients import Clients, KeeperClient, PendingRequest, RefusalError
from insula.engine.keeper.cloning import Begun
from insula.engine.keeper.eventloop import EventLoop
from insula.engine.keeper.held import HeldProcess, StartPhase
from insula.engine.keeper.protocol import Message, receive, send
from insula.engine.keeper.starting import StartingProcesses
from insula.kernel.fds import NO_FD
from tests.descriptors import open_fds
from tests.waiting import patience


class Ordered:
    """One order, its process (a program of its own), and who asked for it."""

    def __init__(self) -> None:
        self.loop = EventLoop()
        self.cloned: list[HeldProcess] = []
        self.given_up: list[Begun] = []
        self.ended: list[HeldProcess] = []
        self.clients = Clients(self.loop, lambda *_: None, lambda _: None)
        self.all = StartingProcesses(
            self.loop,
            self.clients,
            cloned=self.cloned.append,
            never=self._never,
            settled=lambda _: None,
            ended=self.ended.append,
            give_up=self.given_up.append,
        )
        self.asker, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.client = KeeperClient(theirs)
        self.process = HeldProcess("guest", 0, NO_FD)
        self.failure: dict[str, Any] | None = None
        self.never = 0
        ours, self.channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.all.attend(Begun(self.process, ours, 4711), self.client)
        self.program = subprocess.Popen(["sleep", "1000"])

    def _never(self, process: HeldProcess) -> None:
        self.never += 1
        self.failure = self.all.conclude_failed(process)

    def say(self, body: dict[str, Any], pid: int = 0) -> None:
        pidfd = os.pidfd_open(pid) if pid else -1
        send(self.channel, body, {"pidfd": pidfd} if pid else {})
        if pid:
            os.close(pidfd)
        self.loop.turn()

    def request(self) -> PendingRequest:
        return PendingRequest(self.client, 1)

    def answer(self) -> dict[str, Any]:
        self.asker.settimeout(patience(10))
        message = receive(self.asker)
        assert isinstance(message, Message)
        message.close()
        return message.body

    def close(self) -> None:
        self.program.kill()
        self.program.wait()
        if self.process in self.all._starting:
            self.all.conclude_failed(self.process)
        self.process.close()
        for each in (self.asker, self.channel, self.client.channel):
            each.close()
        self.loop.close()


@pytest.fixture
def ordered() -> Iterator[Ordered]:
    before = open_fds()
    made = Ordered()
    yield made
    made.close()
    assert open_fds() == before


def test_a_launch_is_answered_once_the_process_says_that_it_is_there(ordered: Ordered) -> None:
    ordered.all.answer_when_cloned(ordered.process, ordered.request())
    stages = [ordered.process.phase]
    ordered.say({"cloned": True}, ordered.program.pid)
    assert ordered.answer() == {"answer": 1, "pid": ordered.program.pid}
    assert [*stages, ordered.process.phase] == [StartPhase.ORDERED, StartPhase.CLONED]
    assert ordered.cloned == [ordered.process]


def test_who_enters_is_answered_for_only_when_its_program_runs(ordered: Ordered) -> None:
    ordered.all.expect(ordered.process, ordered.request(), 30)
    ordered.say({"cloned": True}, ordered.program.pid)
    ordered.say({"executing": True, "hold": False})
    ordered.channel.close()
    ordered.loop.turn()
    assert ordered.answer() == {"answer": 1, "pid": ordered.program.pid}


@pytest.mark.parametrize("entering", [False, True])
def test_one_that_cannot_be_cloned_is_answered_with_the_kernels_reason(ordered: Ordered, entering: bool) -> None:
    expect(ordered, entering)
    ordered.say({"not_cloned": errno.EEXIST})
    error = ordered.answer()["error"]
    assert error == {"text": "File exists", "errno": errno.EEXIST}
    assert ordered.never == 1


def expect(ordered: Ordered, entering: bool) -> None:
    if entering:
        ordered.all.expect(ordered.process, ordered.request(), 30)
    else:
        ordered.all.answer_when_cloned(ordered.process, ordered.request())


@pytest.mark.parametrize("entering", [False, True])
def test_an_order_whose_channel_ends_is_answered_with_an_error(ordered: Ordered, entering: bool) -> None:
    expect(ordered, entering)
    ordered.channel.close()
    ordered.loop.turn()
    error = ordered.answer()["error"]
    assert "what was to clone it has ended" in error["text"] and error["errno"] == errno.ECHILD
    assert ordered.never == 1


@pytest.mark.parametrize(
    ("body", "pid", "reason"),
    [
        ({"executing": True, "hold": False}, 0, "before it says that it is there"),
        ({"cloned": True}, 1, "no child of the keeper's"),
        ({"cloned": True}, 0, "KeyError"),
        ({"not_cloned": "x"}, 0, "invalid literal"),
    ],
)
def test_one_that_says_anything_else_is_given_up(ordered: Ordered, body: dict[str, Any], pid: int, reason: str) -> None:
    ordered.all.answer_when_cloned(ordered.process, ordered.request())
    ordered.say(body, pid)
    assert reason in ordered.answer()["error"]["text"]
    assert (ordered.never, ordered.process.pid) == (1, 0)
    with pytest.raises(BrokenPipeError):
        ordered.channel.send(b"{}")


def test_one_of_which_nothing_is_heard_in_time_is_searched_for(
    ordered: Ordered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ORDER_PATIENCE", 0.01)
    ordered.all.answer_when_cloned(ordered.process, ordered.request())
    ordered.loop.turn()
    assert ordered.answer()["error"]["text"] == "it did not get past 'being cloned' in time"
    assert [begun.other_end for begun in ordered.given_up] == [4711]
    assert ordered.never == 1


def test_the_time_to_be_cloned_in_ends_when_it_is_there(ordered: Ordered, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ORDER_PATIENCE", 0.01)
    ordered.all.answer_when_cloned(ordered.process, ordered.request())
    ordered.say({"cloned": True}, ordered.program.pid)
    ordered.loop.after(0.05, lambda: None)
    ordered.loop.turn()
    assert ordered.given_up == [] and ordered.program.poll() is None


def test_one_that_enters_and_is_not_heard_of_in_time_is_searched_for(ordered: Ordered) -> None:
    ordered.all.expect(ordered.process, ordered.request(), 0.01)
    ordered.loop.turn()
    assert "'being cloned'" in ordered.answer()["error"]["text"]
    assert len(ordered.given_up) == 1


def test_to_kill_what_is_only_ordered_is_to_end_its_channel(ordered: Ordered) -> None:
    ordered.all.answer_when_cloned(ordered.process, ordered.request())
    ordered.all.kill(ordered.process)
    assert ordered.answer()["error"]["text"].startswith("it ended while being cloned")
    with pytest.raises(BrokenPipeError):
        ordered.channel.send(b"{}")
    ordered.all.kill(ordered.process)
    assert ordered.never == 1


def test_what_was_ordered_goes_with_who_ordered_it(ordered: Ordered) -> None:
    ordered.all.answer_when_cloned(ordered.process, ordered.request())
    ordered.all.abandon(ordered.client)
    assert ordered.never == 1


def test_one_that_ended_before_its_channel_is_concluded_behind_that(ordered: Ordered) -> None:
    """Who cloned it may have the channel for a moment longer, and only its end says that the program was executed."""
    ordered.all.expect(ordered.process, ordered.request(), 30)
    ordered.say({"cloned": True}, ordered.program.pid)
    ordered.say({"executing": True, "hold": False})
    ordered.process.status = 0
    assert ordered.all.awaits_end_of(ordered.process)
    assert ordered.ended == []
    ordered.channel.close()
    ordered.loop.turn()
    assert ordered.ended == [ordered.process] and ordered.process.phase is StartPhase.RUNNING
    assert ordered.answer() == {"answer": 1, "pid": ordered.program.pid}
    assert not ordered.all.awaits_end_of(ordered.process)


def test_the_end_of_a_channel_is_not_waited_for_without_end(ordered: Ordered, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LAST_WORD", 0.01)
    ordered.all.expect(ordered.process, ordered.request(), 30)
    ordered.say({"cloned": True}, ordered.program.pid)
    ordered.say({"executing": True, "hold": False})
    assert ordered.all.awaits_end_of(ordered.process)
    ordered.loop.turn()
    assert ordered.ended == [ordered.process]


def test_what_is_only_ordered_cannot_be_told_to_go(ordered: Ordered) -> None:
    with pytest.raises(RefusalError, match="being cloned"):
        ordered.all.go(ordered.process, ordered.request(), (), 30)


def test_one_that_ended_at_once_is_known_before_it_is_reaped(ordered: Ordered) -> None:
    """Its end may be noticed before what it said has been read."""
    ordered.all.answer_when_cloned(ordered.process, ordered.request())
    pidfd = os.pidfd_open(ordered.program.pid)
    send(ordered.channel, {"cloned": True}, {"pidfd": pidfd})
    os.close(pidfd)
    ordered.program.send_signal(signal.SIGKILL)
    ordered.all.listen_to_ordered()
    assert ordered.process.pid == ordered.program.pid
