"""Processes on their way, with a real program that lives and dies, and the test telling what it would tell."""

import errno
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from insula.engine.keeper.clients import Clients, KeeperClient, PendingRequest, RefusalError
from insula.engine.keeper.cloning import Begun
from insula.engine.keeper.eventloop import EventLoop
from insula.engine.keeper.held import HeldProcess, StartPhase
from insula.engine.keeper.protocol import Message, receive, send, send_go
from insula.engine.keeper.starting import Starting, StartingProcesses, kill
from insula.engine.program.image import GO
from insula.kernel.fds import Fd
from tests.descriptors import open_fds
from tests.unit.engine.fakes import null
from tests.waiting import patience


class Nursery:
    """One process on its way: the program, what it says (channel), who asks for it (asker), and the all it is in."""

    def __init__(self) -> None:
        self.loop = EventLoop()
        self.settled: list[tuple[HeldProcess, StartPhase]] = []
        self.clients = Clients(self.loop, lambda *_: None, lambda _: None)
        self.all = StartingProcesses(
            self.loop,
            self.clients,
            cloned=lambda _: None,
            never=lambda _: None,
            settled=lambda process: self.settled.append((process, process.phase)),
            ended=lambda _: None,
            give_up=lambda _: None,
        )
        self.asker, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.client = KeeperClient(theirs)
        self.program = subprocess.Popen(["sleep", "1000"])
        self.process = HeldProcess("guest", self.program.pid, Fd(os.pidfd_open(self.program.pid)))
        ours, self.channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.starting: Starting = self.all.attend(Begun(self.process, ours, 0), self.client)

    def request(self, number: int = 1) -> PendingRequest:
        return PendingRequest(self.client, number)

    def say(self, body: dict[str, Any], fds: dict[str, int] | None = None) -> None:
        """Have the process say something, and its keeper hear it."""
        send(self.channel, body, fds)
        self.loop.turn()

    def execute(self) -> None:
        """Have the process execute its program, which closes its channel."""
        self.channel.close()
        self.loop.turn()

    def answer(self) -> Message:
        self.asker.settimeout(patience(10))
        message = receive(self.asker)
        assert message is not None
        return message

    @property
    def silent(self) -> bool:
        """Whether nothing has been answered."""
        self.asker.setblocking(False)
        try:
            return receive(self.asker) is None
        except BlockingIOError:
            return True

    def end(self) -> None:
        """Have the process killed and reaped, as the keeper sees it."""
        self.process.status = signal.SIGKILL
        self.program.kill()
        self.program.wait()
        self.all.listen_to(self.process)

    def close(self) -> None:
        self.program.kill()
        self.program.wait()
        self.asker.close()
        self.channel.close()
        self.client.channel.close()
        self.starting.channel.close()
        self.process.close()


@pytest.fixture
def born() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


def test_it_runs_once_its_channel_ends_after_it_said_that_it_executes(born: Nursery) -> None:
    terminal = null()
    born.all.expect(born.process, born.request(7), 30)
    assert (born.process.phase, born.silent) == (StartPhase.STARTING, True)
    born.say({"consoles": 1}, {"console0": terminal})
    born.say({"executing": True, "hold": False})
    os.close(terminal)
    assert (born.process.phase, born.silent) == (StartPhase.EXECUTING, True)
    born.execute()
    assert born.settled == [(born.process, StartPhase.RUNNING)]
    answer = born.answer()
    assert answer.body == {"answer": 7, "pid": born.program.pid}
    assert sorted(answer.fds) == ["console0", "pidfd"]
    assert [console.master for console in born.process.consoles]
    answer.close()


def test_what_the_child_needs_goes_through_with_go(born: Nursery) -> None:
    tree = null()
    born.all.go(born.process, born.request(), [tree], 30)
    os.close(tree)
    content, fds, _, _ = socket.recv_fds(born.channel, 100, 10)
    assert content == GO
    assert [os.readlink(f"/proc/self/fd/{fd}") for fd in fds] == ["/dev/null"]
    os.close(fds[0])


def test_a_held_one_waits_for_proceed_and_answers_both_times(born: Nursery) -> None:
    born.all.expect(born.process, born.request(1), 30)
    born.say({"executing": True, "hold": True})
    first = born.answer()
    assert first.body["answer"] == 1
    assert born.settled == [(born.process, StartPhase.HELD)]
    born.all.proceed(born.process, born.request(2))
    assert receive(born.channel) == Message({}, {})
    assert born.silent
    born.execute()
    second = born.answer()
    assert second.body["answer"] == 2
    assert born.settled[1:] == [(born.process, StartPhase.RUNNING)]
    first.close()
    second.close()


def test_the_way_to_a_held_one_is_handed_out_and_leads_there_after_the_keepers_death(born: Nursery) -> None:
    born.all.expect(born.process, born.request(1), 30)
    born.say({"executing": True, "hold": True})
    first = born.answer()
    channel = first.fds.pop("channel")
    assert born.all.channel(born.process) == {"channel": born.starting.channel.fileno()}
    born.starting.channel.close()  # as the death of its keeper does
    with socket.socket(fileno=channel) as kept:
        send_go(kept, [])
    assert receive(born.channel) == Message({}, {})
    first.close()


def test_one_that_a_former_keeper_told_to_proceed_counts_as_running_and_may_be_asked_again(born: Nursery) -> None:
    born.all.expect(born.process, born.request(1), 30)
    born.say({"executing": True, "hold": True})
    born.answer().close()
    born.execute()
    assert born.settled[1:] == [(born.process, StartPhase.RUNNING)]
    assert born.all.channel(born.process) == {}
    born.all.proceed(born.process, born.request(2))
    again = born.answer()
    assert again.body == {"answer": 2, "pid": born.program.pid}
    again.close()


@pytest.mark.parametrize("phase", [StartPhase.STARTING, StartPhase.HELD, StartPhase.EXECUTING])
def test_only_one_that_waits_is_told_to_go(born: Nursery, phase: StartPhase) -> None:
    born.process.phase = phase
    with pytest.raises(RefusalError, match=f"the guest is not waiting to go: it is {phase.value}"):
        born.all.go(born.process, born.request(), [], 30)
    with pytest.raises(RefusalError, match="not waiting to go"):
        born.all.send_netlink(born.process, born.request())


def test_only_one_that_is_held_proceeds(born: Nursery) -> None:
    with pytest.raises(RefusalError, match="the guest is not held: it is waiting to go"):
        born.all.proceed(born.process, born.request())


def test_one_that_is_nobodys_business_any_more_is_refused(born: Nursery) -> None:
    born.end()
    born.all.conclude_failed(born.process)
    with pytest.raises(RefusalError, match="not waiting to go"):
        born.all.go(born.process, born.request(), [], 30)


@pytest.mark.parametrize("asked_first", [True, False])
def test_the_netlink_socket_reaches_who_asks_before_or_after_it_is_there(born: Nursery, asked_first: bool) -> None:
    before = open_fds()
    opened = null()
    if asked_first:
        born.all.send_netlink(born.process, born.request(3))
        assert born.silent
    born.say({"netlink": True}, {"netlink": opened})
    os.close(opened)
    if not asked_first:
        assert born.silent
        born.all.send_netlink(born.process, born.request(3))
    answer = born.answer()
    assert answer.body == {"answer": 3}
    assert os.readlink(f"/proc/self/fd/{answer.fds['netlink']}") == "/dev/null"
    answer.close()
    assert open_fds() == before
    assert born.process.phase is StartPhase.CLONED


def test_a_netlink_socket_that_nobody_fetched_is_closed_at_the_end(born: Nursery) -> None:
    opened = null()
    born.say({"netlink": True}, {"netlink": opened})
    os.close(opened)
    assert os.readlink(f"/proc/self/fd/{born.starting.netlink}") == "/dev/null"
    kept = born.starting.netlink
    born.end()
    born.all.conclude_failed(born.process)
    with pytest.raises(FileNotFoundError):
        os.readlink(f"/proc/self/fd/{kept}")


def test_the_step_that_failed_is_answered_when_it_has_ended(born: Nursery) -> None:
    born.all.expect(born.process, born.request(5), 30)
    failure = {"failed": 3, "errno": errno.EPERM}
    failed = "record 3 of its program failed: Operation not permitted"
    born.say(failure)
    assert born.silent
    born.end()
    assert born.all.conclude_failed(born.process) is None
    assert born.answer().body == {
        "answer": 5,
        "error": {"text": failed, "errno": 1, "step": 3},
    }
    assert born.settled == []


def test_a_program_that_cannot_be_executed_does_not_count_as_running(born: Nursery) -> None:
    born.all.expect(born.process, born.request(), 30)
    born.say({"executing": True, "hold": False})
    born.say({"failed": 9, "errno": errno.ENOENT})
    born.execute()
    assert born.process.phase is StartPhase.EXECUTING
    assert born.settled == []
    born.end()
    born.all.conclude_failed(born.process)
    assert born.answer().body["error"]["step"] == 9


def test_of_two_failures_the_first_is_answered(born: Nursery) -> None:
    born.all.expect(born.process, born.request(), 30)
    born.say({"failed": 7, "errno": errno.EPERM})
    born.say({"failed": 12, "errno": 0})
    born.end()
    born.all.conclude_failed(born.process)
    assert born.answer().body["error"]["step"] == 7


def test_a_program_that_cannot_be_played_blames_no_record(born: Nursery) -> None:
    born.all.expect(born.process, born.request(), 30)
    born.say({"failed": -1, "errno": errno.ENOMEM})
    born.end()
    born.all.conclude_failed(born.process)
    error = born.answer().body["error"]
    assert (error["text"], "step" in error) == ("its program cannot be played: Cannot allocate memory", False)


def test_last_words_that_are_still_on_the_way_are_heard(born: Nursery) -> None:
    born.all.expect(born.process, born.request(), 30)
    send(born.channel, {"failed": 2, "errno": 5})
    born.end()
    born.all.conclude_failed(born.process)
    assert born.answer().body["error"]["step"] == 2


def test_both_who_ask_for_one_that_ended_are_answered(born: Nursery) -> None:
    born.all.send_netlink(born.process, born.request(1))
    born.all.expect(born.process, born.request(2), 30)
    born.end()
    assert born.all.conclude_failed(born.process) is None
    answers = [born.answer().body for _ in range(2)]
    assert sorted(answer["answer"] for answer in answers) == [1, 2]
    assert all(each["error"]["text"] == "it ended while performing its steps: killed by signal 9" for each in answers)


def test_what_one_died_of_is_kept_for_who_asks_later(born: Nursery) -> None:
    born.end()
    assert born.all.conclude_failed(born.process) == {
        "text": "it ended while waiting to go: killed by signal 9",
        "errno": 0,
    }
    assert born.silent


def test_one_that_ends_by_itself_has_given_up(born: Nursery) -> None:
    born.end()
    born.process.status = 127 << 8
    failure = born.all.conclude_failed(born.process)
    assert failure is not None
    assert failure["text"] == "it ended while waiting to go: it gave up"


def test_patience_has_an_end(born: Nursery) -> None:
    born.all.expect(born.process, born.request(), 0.0)
    born.loop.turn()
    assert born.program.wait(patience(10)) == -signal.SIGKILL
    born.process.status = signal.SIGKILL
    born.all.conclude_failed(born.process)
    assert born.answer().body["error"]["text"] == "it did not get past 'performing its steps' in time"


def test_patience_does_not_end_what_runs(born: Nursery) -> None:
    born.all.expect(born.process, born.request(), 0.001)
    send(born.channel, {"executing": True, "hold": False})
    born.channel.close()
    born.all.listen_to(born.process)
    due: list[bool] = []
    born.loop.after(0.01, lambda: due.append(True))
    while not due:
        born.loop.turn()
    assert born.program.poll() is None
    born.answer().close()


def test_nothing_is_left_open_by_one_that_fails(born: Nursery) -> None:
    born.channel.close()
    before = open_fds() - {born.starting.channel.fileno()}
    born.all.expect(born.process, born.request(), 30)
    born.end()
    born.all.conclude_failed(born.process)
    born.answer()
    assert open_fds() == before


def test_who_goes_away_before_go_takes_the_process_along(born: Nursery) -> None:
    born.all.abandon(KeeperClient(born.asker))
    assert born.program.poll() is None
    born.all.abandon(born.client)
    assert born.program.wait(patience(10)) == -signal.SIGKILL


def test_who_goes_away_after_go_takes_nobody_along(born: Nursery) -> None:
    born.all.expect(born.process, born.request(), 30)
    born.all.abandon(born.client)
    assert born.program.poll() is None


def test_go_to_one_that_is_dead_is_no_error_since_its_end_will_tell(born: Nursery) -> None:
    born.channel.close()
    born.all.go(born.process, born.request(4), [], 30)
    born.end()
    born.all.conclude_failed(born.process)
    assert born.answer().body["answer"] == 4


@pytest.mark.parametrize("nonsense", [b"\xff", b"[]"])
def test_a_process_that_speaks_nonsense_is_not_listened_to_any_more(born: Nursery, nonsense: bytes) -> None:
    born.all.expect(born.process, born.request(), 30)
    born.channel.send(nonsense)
    born.loop.turn()
    assert born.starting.channel.fileno() < 0
    assert born.settled == []
    assert born.process.phase is StartPhase.STARTING


@pytest.mark.parametrize(
    ("body", "fds"),
    [({"executing": True, "hold": True}, 0), ({"consoles": 2}, 2), ({"consoles": 200}, 200), ({"netlink": True}, 1)],
)
def test_one_that_enters_and_says_what_only_an_init_does_is_ended(
    born: Nursery, body: dict[str, Any], fds: int
) -> None:
    """A privileged guest had its tracee say such things: each left descriptors with whoever had asked for it."""
    born.process.execution = "1"
    born.all.expect(born.process, born.request(7), 30)
    before = open_fds()
    nothing = null()
    born.say(body, {"netlink" if "netlink" in body else f"console{number}": nothing for number in range(fds)})
    os.close(nothing)
    assert born.program.wait(patience(10)) == -signal.SIGKILL
    assert len(open_fds()) < len(before)
    born.process.status = signal.SIGKILL
    born.all.conclude_failed(born.process)
    answer = born.answer()
    assert "this is for a guest's first process" in answer.body["error"]["text"] and not answer.fds


def test_killing_what_has_ended_is_no_error(born: Nursery) -> None:
    born.program.kill()
    born.program.wait()
    kill(born.process)
