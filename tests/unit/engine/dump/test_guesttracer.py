"""Processes of a guest stand still as a whole, and go on afterwards; nobody else's is touched."""

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from insula.engine.dump.guesttracer import GuestTracer
from tests.unit.engine.dump.dumped import group_of, running, states
from tests.waiting import patience, until


@pytest.fixture
def process() -> Iterator["subprocess.Popen[str]"]:
    with running() as made:
        yield made


def test_all_threads_stand_still_until_they_are_let_go(process: "subprocess.Popen[str]", tmp_path: Path) -> None:
    tracer = GuestTracer(group_of(tmp_path, process.pid))
    tracer.stop_all()
    assert states(process.pid) == {"t"}
    assert dict(tracer.stopped(process.pid)) == {int(each): 0 for each in os.listdir(f"/proc/{process.pid}/task")}
    tracer.release_all()
    until(lambda: "t" not in states(process.pid), "its threads going on")


def test_a_process_that_is_not_the_guests_is_not_touched(process: "subprocess.Popen[str]", tmp_path: Path) -> None:
    tracer = GuestTracer(group_of(tmp_path))
    tracer.stop(process.pid)
    assert dict(tracer.stopped(process.pid)) == {}
    assert "t" not in states(process.pid)


@contextmanager
def stopped(group: str) -> Iterator[Callable[[], None]]:
    """Let another process of ours stop a group; give what makes it let go, and live on until the block is left."""
    ours, theirs = socket.socketpair()
    tracer = os.fork()
    if tracer == 0:
        ours.close()
        holding = GuestTracer(group)
        holding.stop_all()
        theirs.send(b"stopped")
        theirs.recv(1)
        holding.release_all()
        theirs.send(b"let go")
        theirs.recv(1)
        os._exit(0)
    theirs.close()
    assert ours.recv(10) == b"stopped"

    def let_go() -> None:
        ours.send(b"!")
        assert ours.recv(10) == b"let go"

    try:
        yield let_go
    finally:
        ours.close()
        os.waitpid(tracer, 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_that_comes_meanwhile_is_not_lost_and_nobody_keeps_the_dead(
    process: "subprocess.Popen[str]", tmp_path: Path, number: signal.Signals
) -> None:
    with stopped(group_of(tmp_path, process.pid)) as let_go:
        process.send_signal(number)
        let_go()
        assert process.wait(patience(60)) == -number


def test_one_that_another_traces_is_left_as_it_is(process: "subprocess.Popen[str]", tmp_path: Path) -> None:
    group = group_of(tmp_path, process.pid)
    first = GuestTracer(group)
    first.stop_all()
    other = os.fork()
    if other == 0:
        second = GuestTracer(group)
        second.stop_all()
        os._exit(0 if set(second.stopped(process.pid).values()) == {None} else 1)
    assert os.waitpid(other, 0)[1] == 0
    first.release_all()
    until(lambda: "t" not in states(process.pid), "its threads going on")


def test_who_dies_lets_all_go_on(process: "subprocess.Popen[str]", tmp_path: Path) -> None:
    group = group_of(tmp_path, process.pid)
    tracer = os.fork()
    if tracer == 0:
        GuestTracer(group).stop_all()
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitpid(tracer, 0)[1] == signal.SIGKILL
    until(lambda: "t" not in states(process.pid), "its threads going on")
