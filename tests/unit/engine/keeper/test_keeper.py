"""The keeper in a fork of the test, without its own mount namespace: guests that are plain programs, born and buried.

What needs a guest's namespaces, and the keeper as a process of its own, is in tests/system/test_keeper.py.
"""

import errno
import os
import resource
import select
import signal
import socket
import subprocess
import sys
from typing import Any

import pytest

from insula.engine.keeper import keeper as keeper_module
from insula.engine.keeper.held import RING_MAX
from insula.engine.keeper.link import completed
from insula.engine.keeper.protocol import VERSION, EventKind, Message, Verb, receive, send
from insula.engine.steps.guest.terminals import TakeStreams
from insula.errors import KeeperError, StepError
from insula.kernel.fds import Fd, contents
from insula.kernel.privileges import permitted_mask
from tests.players import image_file, program_of
from tests.unit.engine.forkedkeeper import BROKEN, SLEEP, ForkedKeeper, gone, program
from tests.waiting import patience, stop, until


def test_hello_tells_who_it_is_and_that_it_holds_nothing(held: ForkedKeeper) -> None:
    itself = {"version": VERSION, "pid": held.pid, "permitted": permitted_mask()}
    assert held.ask(Verb.HELLO) == {**itself, "guests": [], "executions": []}


def test_a_verb_that_it_does_not_know_is_refused(held: ForkedKeeper) -> None:
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel.connect(held.address)
    send(channel, {"request": 3, "verb": "explode"})
    error = {"text": "the keeper does not know the verb 'explode'", "errno": 0}
    assert receive(channel) == Message({"answer": 3, "error": error}, {})
    channel.close()


@pytest.mark.parametrize(
    ("verb", "body", "complaint"),
    [
        (Verb.FETCH, {}, "KeyError: 'uuid'"),
        (Verb.FETCH, {"uuid": "u"}, "no guest with the UUID u is held"),
        (Verb.KILL, {"uuid": "u"}, "no guest with the UUID u is held"),
        (Verb.GO, {"uuid": "u"}, "no guest with the UUID u is held"),
        (Verb.NETLINK, {"uuid": "u"}, "no guest with the UUID u is held"),
        (Verb.PROCEED, {"uuid": "u"}, "no guest with the UUID u is held"),
        (Verb.FORGET, {"uuid": "u"}, "no guest with the UUID u is held"),
        (Verb.FORGET, {"id": "7"}, "KeyError: '7'"),
        (Verb.EXECUTE, {"id": "7", "uuid": "u"}, "no descriptor of the init came"),
        (Verb.LAUNCH, {"uuid": "u", "namespaces": ["nonsense"]}, "KeyError: 'nonsense'"),
        (Verb.ADOPT, {"uuid": "u", "pid": 1}, "KeyError: 'pidfd'"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_and_changes_nothing(
    held: ForkedKeeper, verb: Verb, body: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(KeeperError, match=complaint):
        held.ask(verb, **body)
    assert held.ask(Verb.HELLO)["guests"] == []


def test_a_guest_is_born_runs_ends_and_is_forgotten(held: ForkedKeeper) -> None:
    pid = held.bear("u", *program("exit 7"))
    assert held.ask(Verb.HELLO)["guests"] == [
        {"uuid": "u", "id": None, "pid": pid, "state": "CLONED", "status": None, "consoles": 0}
    ]
    answer = held.tell(Verb.GO, uuid="u")
    assert os.readlink(f"/proc/self/fd/{answer.fds['pidfd']}") == "anon_inode:[pidfd]"
    answer.close()
    event = held.wait_for_event(EventKind.EXITED)
    assert (event.uuid, event.status) == ("u", 7 << 8)
    assert held.stage_of("u") == "EXITED"
    assert held.ask(Verb.FETCH, uuid="u") == {"pid": pid, "state": "EXITED", "status": 7 << 8}
    assert held.ask(Verb.KILL, uuid="u") == {"status": 7 << 8}
    assert held.ask(Verb.FORGET, uuid="u") == {}
    assert held.stage_of("u") is None


def test_a_uuid_is_held_once(held: ForkedKeeper) -> None:
    held.bear("u", *program(SLEEP))
    with pytest.raises(KeeperError, match="a guest with the UUID u is held already"):
        held.bear("u", *program(SLEEP))


def test_what_runs_is_neither_told_to_go_nor_forgotten(held: ForkedKeeper) -> None:
    held.start("u", SLEEP)
    for verb, complaint in (
        (Verb.GO, "not waiting to go: it is running"),
        (Verb.FORGET, "cannot be forgotten: it is running"),
    ):
        with pytest.raises(KeeperError, match=complaint):
            held.ask(verb, uuid="u")


def test_a_held_guest_waits_for_proceed_and_is_announced_when_killed(held: ForkedKeeper) -> None:
    held.bear("u", *program("exit 3"), hold=True)
    held.ask(Verb.GO, uuid="u")
    assert held.stage_of("u") == "HELD"
    held.ask(Verb.PROCEED, uuid="u")
    assert held.wait_for_event(EventKind.EXITED).status == 3 << 8
    held.bear("v", *program(SLEEP), hold=True)
    held.ask(Verb.GO, uuid="v")
    held.events.clear()
    assert held.ask(Verb.KILL, uuid="v") == {"status": 9}
    assert held.wait_for_event(EventKind.EXITED).uuid == "v"
    held.ask(Verb.FORGET, uuid="v")
    assert held.ask(Verb.ABORT, uuid="v") == {"status": None, "failure": None}


def test_a_step_that_fails_is_told_and_nothing_is_held_of_it(held: ForkedKeeper) -> None:
    pid = held.bear("u", BROKEN, *program(SLEEP))
    with pytest.raises(StepError, match="Invalid argument") as caught:
        held.ask(Verb.GO, uuid="u")
    assert (caught.value.step, caught.value.errno) == ("3", errno.EINVAL)
    assert held.stage_of("u") is None
    assert gone(pid)


def test_giving_up_a_launch_ends_one_that_waits_and_leaves_one_that_runs(held: ForkedKeeper) -> None:
    waiting = held.bear("u", *program(SLEEP))
    assert held.ask(Verb.ABORT, uuid="u") == {"status": signal.SIGKILL}
    assert gone(waiting)
    assert held.stage_of("u") is None
    running = held.start("v", SLEEP)
    assert held.ask(Verb.ABORT, uuid="v") == {"status": None, "failure": None}
    assert not gone(running)


def test_a_guest_that_takes_too_long_is_ended(held: ForkedKeeper) -> None:
    pid = held.bear("u", *program(SLEEP))
    # Standing still, it performs nothing.
    stop(pid)
    with pytest.raises(KeeperError, match="it did not get past 'performing its steps' in time"):
        held.ask(Verb.GO, uuid="u", seconds=0.01)
    assert gone(pid)


def test_what_cannot_be_staged_fails_the_launch_and_leaves_the_guest_to_be_given_up(held: ForkedKeeper) -> None:
    held.bear("u", *program(SLEEP))
    with pytest.raises(KeeperError, match="KeyError: 'root'"):
        held.ask(Verb.GO, uuid="u", locked_trees=["root"])
    assert held.ask(Verb.ABORT, uuid="u") == {"status": signal.SIGKILL}


def test_who_leaves_before_go_takes_the_guest_along_and_after_it_does_not(held: ForkedKeeper) -> None:
    running = held.start("running", SLEEP)
    other = held.another()
    fd = image_file(program_of(*program(SLEEP)))
    number = other.ask(Verb.LAUNCH, {"uuid": "waiting", "namespaces": []}, {"image": fd})
    waiting = completed(other.answer(number)).body["pid"]
    os.close(fd)
    other.close()
    until(lambda: held.stage_of("waiting") is None, "the guest's end")
    assert gone(waiting)
    assert not gone(running)


def test_a_keeper_without_clients_takes_its_guests_along(held: ForkedKeeper) -> None:
    first, second = held.start("u", SLEEP), held.bear("v", *program(SLEEP))
    pidfds = [os.pidfd_open(pid) for pid in (first, second)]
    assert held.end() == 0
    for pidfd in pidfds:
        assert select.select([pidfd], [], [], patience(10))[0]
        os.close(pidfd)


def test_one_that_listens_ends_when_for_a_while_nothing_was_held_and_nobody_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeper_module, "LINGERING", 0.1)
    made = ForkedKeeper(lingers=True)
    pidfd = os.pidfd_open(made.pid)
    made.start("u", SLEEP)
    made.link.close()
    assert not select.select([pidfd], [], [], 0.4)[0], "it holds a guest"
    made.link = made.another()
    made.ask(Verb.KILL, uuid="u")
    made.ask(Verb.FORGET, uuid="u")
    assert not select.select([pidfd], [], [], 0.4)[0], "somebody is there"
    made.link.close()
    assert select.select([pidfd], [], [], patience(10))[0]
    os.close(pidfd)
    assert made.end() == 50


def test_it_quits_when_told_to_but_not_while_it_holds_anything(held: ForkedKeeper) -> None:
    held.start("u", SLEEP)
    with pytest.raises(KeeperError, match=r"1 guest\(s\) and 0 process\(es\) are held"):
        held.ask(Verb.QUIT)
    held.ask(Verb.KILL, uuid="u")
    with pytest.raises(KeeperError, match="are held"):
        held.ask(Verb.QUIT)
    held.ask(Verb.FORGET, uuid="u")
    held.ask(Verb.QUIT)
    assert held.end() == 50


def test_guests_get_the_fd_limits_from_before_the_keeper_raised_its_own(held: ForkedKeeper) -> None:
    reader, writer = os.pipe()
    held.bear("u", TakeStreams(why="-"), *program("ulimit -Sn"))
    held.ask(Verb.GO, {"stdin": writer, "stdout": writer, "stderr": writer}, uuid="u")
    os.close(writer)
    with open(reader) as stream:
        assert int(stream.read()) == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


# Entering: setns is left out, which takes a right that tests do not need to have


def test_an_adopted_guest_is_held_as_if_born_here(held: ForkedKeeper, stranger: "subprocess.Popen[bytes]") -> None:
    held.adopt("u", stranger.pid)
    assert held.stage_of("u") == "RUNNING"
    held.adopt("u", stranger.pid)
    with pytest.raises(KeeperError, match="another guest with the UUID u is held already"):
        held.adopt("u", os.getpid())


def test_what_a_console_says_is_kept_while_nobody_reads_it(
    held: ForkedKeeper, stranger: "subprocess.Popen[bytes]"
) -> None:
    master, slave = os.openpty()
    held.adopt("u", stranger.pid, master)
    said = b"x" * 999 + b"\n"
    for _ in range(2 * RING_MAX // len(said)):
        os.write(slave, said)
    os.write(slave, b"login: ")

    def ring() -> bytes:
        answer = held.tell(Verb.FETCH, uuid="u")
        assert os.ttyname(slave) == f"/dev/pts/{_number_of(answer.fds['console0'])}"
        kept = contents(answer.fds["ring0"]) if "ring0" in answer.fds else b""
        answer.close()
        return kept

    kept = b""
    while not kept.endswith(b"login: "):
        assert select.select([], [slave], [], patience(10))[1]
        kept = (kept + ring())[-RING_MAX:]
    assert kept.count(said.rstrip()) >= RING_MAX // (len(said) + 1) - 1
    os.close(slave)
    os.close(master)


def _number_of(master: Fd) -> int:
    import fcntl
    import struct

    return int(struct.unpack("i", fcntl.ioctl(master, 0x80045430, bytes(4)))[0])


def test_consoles_are_left_to_a_client_that_reads_them(held: ForkedKeeper, stranger: "subprocess.Popen[bytes]") -> None:
    master, slave = os.openpty()
    held.adopt("u", stranger.pid, master)
    held.ask(Verb.HELLO, consoles=True)
    os.write(slave, b"for the client")
    assert held.ask(Verb.FETCH, uuid="u")["state"] == "RUNNING"
    assert os.read(master, 100) == b"for the client"
    held.ask(Verb.HELLO, consoles=False)
    os.write(slave, b"for the keeper")
    answer = Message({}, {})
    until(lambda: answer.fds.update(held.tell(Verb.FETCH, uuid="u").fds) or "ring0" in answer.fds, "the keeper reading")
    assert contents(answer.fds["ring0"]) == b"for the keeper"
    answer.close()
    os.close(slave)
    os.close(master)


def test_it_imports_only_what_every_guest_may_begin_with() -> None:
    heavy = ("asyncio", "lxml", "pyroute2", "xml", "logging", "jeepney", "rich", "insula.model", "insula.service")
    code = f"import insula.engine.keeper.main, sys; print([each for each in {heavy!r} if each in sys.modules])"
    ended = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"
