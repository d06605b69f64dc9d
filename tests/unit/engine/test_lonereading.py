"""The keeper reads what is printed while no daemon does, and no more than its time allows."""

import os
import threading
import tty
from collections.abc import Iterator
from contextlib import suppress

import pytest

from insula.engine import custody
from insula.engine.custody import Console
from insula.engine.lonereading import read_alone
from insula.engine.loop import Loop
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
    console, loop = Console(Fd(master)), Loop()
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
    monkeypatch.setattr(custody, "READ_BURST", 100_000)
    master, slave = terminal
    console, loop = Console(Fd(master)), Loop()
    read_alone(loop, console)
    paused = 0

    def flood() -> None:
        left = 1_000_000
        with suppress(OSError):
            while left:
                left -= os.write(slave, bytes(min(left, 4096)))

    writer = threading.Thread(target=flood)
    writer.start()
    while writer.is_alive():
        loop.after(0.01, lambda: None)
        loop.turn()
        paused += console.pause > 0
    assert paused
    while console.ring.take() or console.pause:
        loop.after(0.1, lambda: None)
        loop.turn()
    os.write(slave, b"and on")
    while not console.ring:
        loop.turn()
    assert console.ring.take() == b"and on"
    loop.unwatch(master)
