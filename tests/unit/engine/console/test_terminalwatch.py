"""Terminals are waited for by edges: once for each change, whoever has the other end open."""

import asyncio
import os
import pty
import tty

import pytest

from insula.engine.console.terminalwatch import TerminalWatch
from tests.descriptors import open_fds
from tests.waiting import patience

pytestmark = pytest.mark.asyncio


async def turns(count: int = 50) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_change_is_told_once_and_again_when_asked_for() -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    told = asyncio.Event()
    count = 0

    def ready() -> None:
        nonlocal count
        count += 1
        told.set()

    watch = TerminalWatch()
    watch.add(master, ready)
    await turns()
    told.clear()
    os.write(slave, b"x")
    async with asyncio.timeout(patience(5)):
        await told.wait()
    await turns()
    seen = count
    await turns()
    assert count == seen
    watch.again(master)
    await turns()
    assert count == seen + 1
    os.close(slave)
    await turns()
    hung_up = count
    await turns()
    assert count == hung_up
    watch.remove(master)
    os.close(master)


async def test_one_that_fails_keeps_no_other_from_being_told() -> None:
    pairs = [pty.openpty() for _ in range(5)]
    told: set[int] = set()

    def ready(master: int) -> None:
        told.add(master)
        raise RuntimeError("a mistake of ours")

    watch = TerminalWatch()
    for master, _ in pairs:
        watch.add(master, lambda master=master: ready(master))  # type: ignore[misc]
    await turns()
    assert told == {master for master, _ in pairs}
    for master, slave in pairs:
        watch.remove(master)
        os.close(master)
        os.close(slave)


async def test_nothing_stays_open_when_nothing_is_watched() -> None:
    master, slave = pty.openpty()
    before = len(open_fds())
    watch = TerminalWatch()
    watch.add(master, lambda: None)
    watch.add(slave, lambda: None)
    watch.remove(master)
    watch.remove(slave)
    watch.remove(slave)
    assert len(open_fds()) == before
    os.close(master)
    os.close(slave)
