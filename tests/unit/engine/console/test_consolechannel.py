"""What one viewer of a console sees and may do."""

import asyncio
import fcntl
import os
import struct
import termios

import pytest

from insula.engine.console.console import BACKLOG_HIGH
from insula.engine.console.consolechannel import Viewing
from insula.errors import OperationInvalidError
from tests.unit.engine.consoleline import line, print_all, read_exactly, read_until

pytestmark = pytest.mark.asyncio


async def test_a_viewer_that_wants_no_replay_reads_only_what_comes() -> None:
    async with line() as console:
        early = console.hub.attach(Viewing.WATCHING)
        console.print(b"old")
        await read_until(early, b"old")
        late = console.hub.attach(replay=False)
        console.print(b"new")
        assert await read_until(late, b"new") == b"new"


async def test_watchers_are_many_and_cannot_type() -> None:
    async with line() as console:
        watchers = [console.hub.attach(Viewing.WATCHING) for _ in range(3)]
        console.print(b"news")
        for watcher in watchers:
            assert await read_until(watcher, b"news") == b"news"
        with pytest.raises(OperationInvalidError):
            await watchers[0].write(b"x")


async def test_a_slow_watcher_holds_nobody_and_is_told_what_it_missed() -> None:
    async with line() as console:
        watcher = console.hub.attach(Viewing.WATCHING)
        printed = os.urandom(BACKLOG_HIGH * 3)
        await asyncio.to_thread(print_all, console.slave, printed)
        viewer_sees_all = console.hub.attach(Viewing.WATCHING)
        console.print(b"END")
        await read_until(viewer_sees_all, b"END")
        assert b"bytes were skipped" in await watcher.read()
        rest = await read_exactly(watcher, BACKLOG_HIGH)
        assert rest == (printed + b"END")[-BACKLOG_HIGH:]


async def test_the_window_size_reaches_the_guest() -> None:
    async with line() as console:
        console.hub.attach().resize(33, 111)
        size = fcntl.ioctl(console.slave, termios.TIOCGWINSZ, bytes(8))
        assert struct.unpack("4H", size)[:2] == (33, 111)
