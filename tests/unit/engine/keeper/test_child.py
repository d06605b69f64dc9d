"""A guest's first process in a fork of the test: it says what happens to it, and never comes back."""

import errno
import json
import os
import resource
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from insula.engine.keeper.child import BEFORE_ANY_STEP, FAILED, Progress, begin, describe, enter
from insula.engine.keeper.protocol import Message, receive, send
from insula.engine.launch.attempt import encoded_steps
from insula.engine.steps.guest.confinement import BecomeUser, LimitResource
from insula.engine.steps.guest.execution import Execute, PassDescriptors
from insula.engine.steps.guest.gueststep import GuestStep
from insula.engine.steps.guest.registry import encode_guest_step
from insula.engine.steps.guest.roottree import KeepMountsPrivate
from insula.engine.steps.guest.terminals import TakeStreams
from insula.kernel.fds import Fd, close_all
from tests.waiting import scaled

LIMITS = (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
STRANGER = BecomeUser(why="-", user="nobody-of-that-name", group=None)
"""A step that fails on every host."""


class Newborn:
    """A process that begins its life, and the keeper's end of its channel."""

    def __init__(self, live: Callable[[socket.socket], None]) -> None:
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self.channel.close()
                live(theirs)
            finally:
                os._exit(99)
        theirs.close()
        self.channel.settimeout(scaled(10))

    def hear(self) -> dict[str, Any] | None:
        """What it says next, None if nothing more; its fds are closed."""
        message = receive(self.channel)
        if message is None:
            return None
        message.close()
        return message.body

    def end(self) -> int:
        """Wait for it; return its exit code."""
        self.channel.close()
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


Starting = Callable[..., Newborn]


@pytest.fixture
def starting() -> Iterator[Starting]:
    """Has a first process begin: with steps, those to be done early, and whatever else the request says."""
    born: list[Newborn] = []

    def made(*steps: GuestStep, child_early: tuple[GuestStep, ...] = (), raw: list[Any] | None = None) -> Newborn:
        request = Message(
            {"early": raw or [encode_guest_step(each) for each in child_early]}, {"steps": encoded_steps(steps)}
        )
        born.append(Newborn(lambda channel: begin(channel, request, LIMITS)))
        request.close()
        return born[-1]

    yield made
    for each in born:
        each.channel.close()


def shell(script: str) -> tuple[GuestStep, ...]:
    """Return the steps of a program on streams that were passed."""
    return (
        TakeStreams(why="-"),
        PassDescriptors(why="-", count=0, needed=[]),
        Execute(why="-", argv=["/bin/sh", "-c", script], env=[["A", "b"]], cwd="/"),
    )


def streams() -> tuple[dict[str, int], int]:
    """Return streams to pass, and where to read what is written to the last two."""
    reader, writer = os.pipe()
    return {"stdin": os.open("/dev/null", os.O_RDONLY), "stdout": writer, "stderr": writer}, reader


def told(reader: int, fds: dict[str, int]) -> str:
    close_all(map(Fd, {*fds.values()}))
    with open(reader) as stream:
        return stream.read()


def test_it_waits_for_go_and_becomes_the_program(starting: Starting) -> None:
    newborn = starting(*shell("echo $A; exit 7"))
    fds, reader = streams()
    send(newborn.channel, {"hold": None}, fds)
    assert newborn.hear() == {"executing": True, "hold": False}
    assert newborn.hear() is None, "the channel ends with the exec"
    assert told(reader, fds) == "b\n"
    assert newborn.end() == 7


def test_the_program_gets_no_fd_and_no_limit_of_the_keepers(starting: Starting) -> None:
    newborn = starting(*shell("ls /proc/self/fd | wc -w; ulimit -Sn"))
    fds, reader = streams()
    send(newborn.channel, {}, fds)
    # 0, 1, 2, and the directory that ls reads.
    assert told(reader, fds).split() == ["4", str(LIMITS[0])]
    assert newborn.end() == 0


def test_early_steps_are_done_before_go(starting: Starting) -> None:
    newborn = starting(*shell("true"), child_early=(LimitResource(why="-", name="CORE", soft=0, hard=0), STRANGER))
    assert newborn.hear() == {
        "failed": 1,
        "text": "the guest has no user 'nobody-of-that-name': /etc/passwd",
        "errno": errno.ENOENT,
    }
    assert newborn.end() == FAILED


def test_steps_are_counted_over_both_lists(starting: Starting) -> None:
    early = (LimitResource(why="-", name="CORE", soft=0, hard=0),) * 2
    newborn = starting(PassDescriptors(why="-", count=0, needed=[]), STRANGER, *shell("true"), child_early=early)
    send(newborn.channel, {})
    failure = newborn.hear()
    assert failure is not None
    assert failure["failed"] == 3
    assert newborn.end() == FAILED


def test_a_program_that_cannot_be_executed_is_told_after_it_was_tried(starting: Starting) -> None:
    newborn = starting(Execute(why="-", argv=["/no/such/init"], env=[], cwd="/"))
    send(newborn.channel, {})
    assert newborn.hear() == {"executing": True, "hold": False}
    failure = newborn.hear()
    assert failure is not None
    assert (failure["failed"], failure["errno"]) == (0, errno.ENOENT)
    assert "/no/such/init" in failure["text"]
    assert newborn.end() == FAILED


def test_a_last_step_that_executes_nothing_is_a_failure(starting: Starting) -> None:
    newborn = starting(PassDescriptors(why="-", count=0, needed=[]))
    send(newborn.channel, {})
    assert newborn.hear() == {"executing": True, "hold": False}
    assert newborn.hear() == {"failed": 0, "text": "RuntimeError: the last step has executed nothing", "errno": 0}
    assert newborn.end() == FAILED


def test_a_request_that_is_none_blames_no_step(starting: Starting) -> None:
    newborn = starting(*shell("true"), raw=[{"step": "BurnTheHouseDown"}])
    failure = newborn.hear()
    assert failure is not None
    assert failure["failed"] == BEFORE_ANY_STEP
    assert "BurnTheHouseDown" in failure["text"]
    assert newborn.end() == FAILED


def test_it_ends_silently_when_the_launch_is_given_up(starting: Starting) -> None:
    newborn = starting(*shell("echo never"))
    newborn.channel.shutdown(socket.SHUT_WR)
    assert newborn.hear() is None
    assert newborn.end() == FAILED


def test_held_it_executes_nothing_until_it_is_told_to_proceed(starting: Starting) -> None:
    newborn = starting(*shell("echo now"))
    fds, reader = streams()
    send(newborn.channel, {"hold": True}, fds)
    assert newborn.hear() == {"executing": True, "hold": True}
    os.set_blocking(reader, False)
    with pytest.raises(BlockingIOError):
        os.read(reader, 1)
    assert os.readlink(f"/proc/{newborn.pid}/exe") == os.readlink("/proc/self/exe")
    os.set_blocking(reader, True)
    send(newborn.channel, {"proceed": True})
    assert newborn.hear() is None
    assert told(reader, fds) == "now\n"
    assert newborn.end() == 0


def test_held_it_ends_when_nobody_is_left_to_tell_it(starting: Starting) -> None:
    newborn = starting(*shell("echo never"))
    fds, reader = streams()
    send(newborn.channel, {"hold": True}, fds)
    assert newborn.hear() == {"executing": True, "hold": True}
    newborn.channel.shutdown(socket.SHUT_WR)
    assert newborn.hear() is None
    assert newborn.end() == FAILED
    assert told(reader, fds) == ""


def test_who_enters_waits_for_nobody_and_its_streams_come_with_the_request() -> None:
    fds, reader = streams()
    passed = {name: Fd(fd) for name, fd in fds.items()}
    request = Message({}, {"steps": encoded_steps(shell("echo here; exit 3")), **passed})
    newborn = Newborn(lambda channel: enter(channel, request, LIMITS))
    assert newborn.hear() == {"executing": True, "hold": False}
    assert newborn.hear() is None
    request.fds.pop("steps")
    assert told(reader, fds) == "here\n"
    assert newborn.end() == 3


def test_who_cannot_enter_says_at_which_step() -> None:
    request = Message(
        {}, {"steps": encoded_steps((PassDescriptors(why="-", count=0, needed=[]), STRANGER, *shell("true")))}
    )
    newborn = Newborn(lambda channel: enter(channel, request, LIMITS))
    failure = newborn.hear()
    assert failure is not None
    assert (failure["failed"], failure["errno"]) == (1, errno.ENOENT)
    assert newborn.end() == FAILED
    request.close()


def test_staged_trees_are_opened_as_soon_as_mounts_are_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KeepMountsPrivate, "perform", lambda step, guest: None)

    def live(channel: socket.socket) -> None:
        progress = Progress(channel, LIMITS)
        progress.perform([PassDescriptors(why="-", count=0, needed=[])], {"root": "/proc"})
        before = dict(progress.guest.fds)
        progress.perform([KeepMountsPrivate(why="-")], {"root": "/proc"})
        fd = progress.guest.fds["root"]
        progress.guest.tell({"before": before, "after": os.readlink(f"/proc/self/fd/{fd}")}, {})

    newborn = Newborn(live)
    assert newborn.hear() == {"before": {}, "after": "/proc"}
    newborn.end()


@pytest.mark.parametrize(
    ("error", "described"),
    [
        (OSError(errno.EPERM, "Operation not permitted", "/x"), {"text": "Operation not permitted: /x", "errno": 1}),
        (OSError(errno.EPERM, "Operation not permitted"), {"text": "Operation not permitted", "errno": 1}),
        (OSError("no number"), {"text": "OSError: no number", "errno": 0}),
        (KeyError("root"), {"text": "KeyError: 'root'", "errno": 0}),
    ],
)
def test_an_error_travels_as_text_and_number(error: BaseException, described: dict[str, Any]) -> None:
    assert describe(error) == described
    assert json.loads(json.dumps(describe(error))) == described
