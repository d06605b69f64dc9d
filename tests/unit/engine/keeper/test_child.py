"""A guest's process in a fork of the test: it plays its program, and never comes back."""

import os
import resource
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from insula.engine.keeper.child import play
from insula.engine.keeper.protocol import Message, receive, send_go
from insula.engine.passednumbers import PASSED_FDS_MAX, move_up, reserve_numbers
from insula.engine.program.image import BEFORE_ANY_RECORD, FAILED
from insula.engine.program.program import Program
from insula.engine.steps.guest.confinement import LimitResource
from insula.engine.steps.guest.execution import Execute, PassDescriptors
from insula.engine.steps.guest.gueststep import GuestStep
from insula.engine.steps.guest.terminals import TakeStreams
from insula.kernel.fds import Fd, close_all, memory_file
from tests.players import entering_program_of, image_file, program_of
from tests.waiting import patience

LIMITS = (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
BROKEN = LimitResource(why="-", name="CORE", soft=2, hard=1)
"""A step that fails on every host."""
FINE = LimitResource(why="-", name="CORE", soft=0, hard=0)


class Newborn:
    """A process that begins its life, and the keeper's end of its channel."""

    def __init__(self, image: Fd) -> None:
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self.channel.close()
                channel, moved = socket.socket(fileno=move_up(theirs.detach())), Fd(move_up(image))
                reserve_numbers()
                play(channel, Message({}, {"image": moved}), LIMITS)
            finally:
                os._exit(99)
        theirs.close()
        self.channel.settimeout(patience(10))

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


Starting = Callable[[Program], Newborn]


@pytest.fixture
def starting() -> Iterator[Starting]:
    """Has a process begin with a program."""
    born: list[Newborn] = []

    def made(program: Program) -> Newborn:
        image = image_file(program)
        born.append(Newborn(image))
        os.close(image)
        return born[-1]

    yield made
    for each in born:
        each.channel.close()


def shell(script: str) -> tuple[GuestStep, ...]:
    """Return the steps of a program on streams that were passed."""
    return (
        TakeStreams(why="-"),
        PassDescriptors(why="-", count=0),
        Execute(why="-", argv=["/bin/sh", "-c", script], env=[["A", "b"]]),
    )


def streams() -> tuple[list[int], int]:
    """Return streams to pass, and where to read what is written to the last two."""
    reader, writer = os.pipe()
    return [os.open("/dev/null", os.O_RDONLY), writer, writer], reader


def told(reader: int, fds: list[int]) -> str:
    close_all({*fds})
    with open(reader) as stream:
        return stream.read()


def test_it_waits_for_go_and_becomes_the_program(starting: Starting) -> None:
    newborn = starting(program_of(*shell("echo $A; exit 7")))
    fds, reader = streams()
    send_go(newborn.channel, fds)
    assert newborn.hear() == {"executing": True, "hold": False}
    assert newborn.hear() is None, "the channel ends with the exec"
    assert told(reader, fds) == "b\n"
    assert newborn.end() == 7


def test_the_program_gets_no_fd_and_no_limit_of_the_keepers(starting: Starting) -> None:
    newborn = starting(program_of(*shell("ls /proc/self/fd | wc -w; ulimit -Sn")))
    fds, reader = streams()
    send_go(newborn.channel, fds)
    # 0, 1, 2, and the directory that ls reads.
    assert told(reader, fds).split() == ["4", str(LIMITS[0])]
    assert newborn.end() == 0


def test_as_many_fds_are_passed_as_there_are_numbers_for(starting: Starting) -> None:
    first, *others = shell("ls /proc/self/fd | wc -w; cat /proc/self/fd/66")
    program = program_of(first, PassDescriptors(why="-", count=PASSED_FDS_MAX), *others[1:])
    assert len(program.passed) == 3 + PASSED_FDS_MAX
    newborn = starting(program)
    fds, reader = streams()
    file = memory_file("last", b"the last")
    send_go(newborn.channel, [*fds, *[fds[0]] * (PASSED_FDS_MAX - 1), file])
    os.close(file)
    assert told(reader, fds) == f"{3 + PASSED_FDS_MAX + 1}\nthe last"
    assert newborn.end() == 0


def test_early_steps_are_played_before_go(starting: Starting) -> None:
    program = program_of(*shell("true"), child_early=(FINE, BROKEN))
    newborn = starting(program)
    failure = newborn.hear()
    assert failure is not None
    assert program.failure(failure["failed"], failure["errno"]).step == str(BROKEN)
    assert newborn.end() == FAILED


def test_a_program_that_cannot_be_executed_is_told_after_it_was_tried(starting: Starting) -> None:
    program = program_of(Execute(why="-", argv=["/no/such/init"], env=[]))
    newborn = starting(program)
    send_go(newborn.channel, [])
    assert newborn.hear() == {"executing": True, "hold": False}
    failure = newborn.hear()
    assert failure is not None
    assert "cannot execute /no/such/init: no such program in the guest" in str(
        program.failure(failure["failed"], failure["errno"])
    )
    assert newborn.end() == FAILED


def test_what_is_no_program_blames_no_record() -> None:
    file = memory_file("nonsense", b"x" * 100)
    newborn = Newborn(file)
    os.close(file)
    failure = newborn.hear()
    assert failure is not None
    assert failure["failed"] == BEFORE_ANY_RECORD
    assert newborn.end() == FAILED


def test_it_ends_when_the_launch_is_given_up(starting: Starting) -> None:
    newborn = starting(program_of(*shell("echo never")))
    newborn.channel.shutdown(socket.SHUT_WR)
    failure = newborn.hear()
    assert failure is not None
    assert "failed" in failure
    assert newborn.end() == FAILED


def test_held_it_executes_nothing_until_it_is_told_to_proceed(starting: Starting) -> None:
    newborn = starting(program_of(*shell("echo now"), hold=True))
    fds, reader = streams()
    send_go(newborn.channel, fds)
    assert newborn.hear() == {"executing": True, "hold": True}
    os.set_blocking(reader, False)
    with pytest.raises(BlockingIOError):
        os.read(reader, 1)
    assert os.readlink(f"/proc/{newborn.pid}/exe") == os.readlink("/proc/self/exe")
    os.set_blocking(reader, True)
    send_go(newborn.channel, [])
    assert newborn.hear() is None
    assert told(reader, fds) == "now\n"
    assert newborn.end() == 0


def test_held_it_ends_when_nobody_is_left_to_tell_it(starting: Starting) -> None:
    newborn = starting(program_of(*shell("echo never"), hold=True))
    fds, reader = streams()
    send_go(newborn.channel, fds)
    assert newborn.hear() == {"executing": True, "hold": True}
    newborn.channel.shutdown(socket.SHUT_WR)
    assert newborn.end() == FAILED
    assert told(reader, fds) == ""


def test_who_enters_finds_what_it_needs_in_its_channel() -> None:
    fds, reader = streams()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    image = image_file(entering_program_of(*shell("echo here; exit 3")))
    with ours:
        send_go(ours, [0, *fds])
        pid = os.fork()
        if pid == 0:
            play(theirs, Message({}, {"image": image}), LIMITS)
        theirs.close()
        os.close(image)
        assert told(reader, fds) == "here\n"
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
