"""The keeper reads what is printed while no daemon does, and no more than its time allows."""

import os
import socket
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

import pytest

from insula.engine.keeper import held
from insula.engine.keeper.eventloop import READABLE, EventLoop
from insula.engine.keeper.held import HeldConsole
from insula.engine.keeper.lonereading import read_alone
from insula.engine.tokenbucket import TokenBucket
from insula.kernel.fds import Fd


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    master, slave = os.openpty()
    tty.setraw(slave)
    yield master, slave
    os.close(master)
    os.close(slave)


def test_everything_that_comes_is_taken_in(terminal: tuple[int, int]) -> None:
    master, slave = terminal
    console, loop = HeldConsole(Fd(master)), EventLoop()
    read_alone(loop, console)
    for word in (b"one", b"two", b"three"):
        os.write(slave, word)
        while not console.ring:
            loop.turn()
        assert console.ring.take() == word
    loop.unwatch(master)


def test_a_flood_is_taken_in_slowly_and_goes_on_after_each_pause(
    terminal: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time passes in pauses only, so that however slow the machine is, the flood comes faster than it may."""
    now = 0.0
    monkeypatch.setattr(held, "READ_BURST", 100_000)
    monkeypatch.setattr(held, "TokenBucket", partial(TokenBucket, clock=lambda: now))
    master, slave = terminal
    console, loop = HeldConsole(Fd(master)), EventLoop()
    later, pauses = loop.after, []

    def after(seconds: float, action: Callable[[], None]) -> object:
        nonlocal now
        now += seconds
        pauses.append(seconds)
        return later(0.001, action)

    monkeypatch.setattr(EventLoop, "after", lambda _, seconds, action: after(seconds, action))
    read_alone(loop, console)
    end = b"the end"

    def flood() -> None:
        left = memoryview(bytes(1_000_000) + end)
        with suppress(OSError):
            while left:
                left = left[os.write(slave, left[:4096]) :]

    writer = threading.Thread(target=flood)
    writer.start()
    said = b""
    while said != end:
        loop.turn()
        said = (said + console.ring.take())[-len(end) :]
    writer.join()
    assert sum(pauses) > 900_000 / (2 * held.READ_RATE)
    os.write(slave, b"and on")
    while len(said) < len(end + b"and on"):
        loop.turn()
        said += console.ring.take()
    assert said == end + b"and on"
    loop.unwatch(master)


def test_a_pause_that_outlives_its_console_leaves_the_next_of_its_number_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a client's channel, of which each datagram is one turn: waiting for its edges would lose the second."""
    monkeypatch.setattr(held, "READ_BURST", 1)
    master, slave = os.openpty()
    tty.setraw(slave)
    console, loop = HeldConsole(Fd(master)), EventLoop()
    waiting: list[Callable[[], None]] = []
    monkeypatch.setattr(EventLoop, "after", lambda _, seconds, action: waiting.append(action))
    read_alone(loop, console)
    os.write(slave, b"x" * 100)
    while not waiting:
        loop.turn()
    loop.unwatch(master)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        os.dup2(theirs.detach(), master)
        said: list[bytes] = []
        loop.watch(master, READABLE, lambda _: said.append(os.read(master, 10)))
        for action in waiting:
            action()
        ours.send(b"one")
        ours.send(b"two")
        for _ in range(2):
            loop.turn()
    assert said == [b"one", b"two"]
    loop.unwatch(master)
    os.close(master)
    os.close(slave)
