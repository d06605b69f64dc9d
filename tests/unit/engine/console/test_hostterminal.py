"""A terminal of the host shows the console: what is read and typed there, by whom, and that it holds nobody."""

import asyncio
import errno
import os
import re
import time

import pytest

from insula.engine.console import hostterminal
from insula.engine.console.consolechannel import Viewing
from tests.unit.engine.consoleline import line, print_all, read_exactly, read_until
from tests.waiting import patience

pytestmark = pytest.mark.asyncio


async def test_a_program_of_the_host_reads_what_the_guest_prints_and_types() -> None:
    async with line(shown=True) as console:
        terminal = os.open(console.terminal, os.O_RDWR | os.O_NOCTTY)
        console.print(b"login: ")
        assert await asyncio.to_thread(os.read, terminal, 100) == b"login: "
        os.write(terminal, b"root\r")
        assert await asyncio.to_thread(os.read, console.slave, 100) == b"root\r"
        os.close(terminal)


async def test_a_program_of_the_host_and_an_interactive_viewer_may_both_type() -> None:
    async with line(shown=True) as console:
        viewer = console.hub.attach()
        await viewer.write(b"a")
        assert await asyncio.to_thread(os.read, console.slave, 100) == b"a"
        terminal = os.open(console.terminal, os.O_RDWR | os.O_NOCTTY)
        os.write(terminal, b"b")
        assert await asyncio.to_thread(os.read, console.slave, 100) == b"b"
        os.close(terminal)
        await viewer.write(b"c")
        assert await asyncio.to_thread(os.read, console.slave, 100) == b"c"


async def test_who_opens_the_hosts_terminal_now_and_then_gets_the_newest_that_fits() -> None:
    async with line(shown=True) as console:
        watcher = console.hub.attach(Viewing.WATCHING)
        for rounds in range(3):
            printed = b"".join(b"%d %08d\n" % (rounds, number) for number in range(20_000))
            await asyncio.to_thread(print_all, console.slave, printed)
            console.print(b"END")
            await read_until(watcher, b"END")
            found = _taken_at_once(console.terminal)
            assert len(found) >= 4096
            assert (printed + b"END").endswith(found)
            console.print(b"once")
            await read_until(watcher, b"once")
            assert _taken_at_once(console.terminal) == b"once"


async def test_who_has_the_hosts_terminal_open_and_does_not_read_holds_nobody_and_is_told() -> None:
    async with line(shown=True) as console:
        terminal = os.open(console.terminal, os.O_RDWR | os.O_NOCTTY)
        watcher = console.hub.attach(Viewing.WATCHING)
        async with asyncio.timeout(patience(60)):
            await asyncio.to_thread(print_all, console.slave, bytes(1 << 20))
        console.print(b"END")
        await read_until(watcher, b"END")
        seen = b""
        while not seen.endswith(b"END"):
            seen += await asyncio.to_thread(os.read, terminal, 65536)
        assert re.search(rb"\[insula: \d+ bytes were skipped\]", seen)
        assert len(seen) < 1 << 19
        os.close(terminal)


async def test_what_is_typed_at_the_hosts_terminal_waits_for_a_guest_that_reads_slowly() -> None:
    typed = bytes(range(256)) * 2048
    async with line(shown=True) as console:
        terminal = os.open(console.terminal, os.O_RDWR | os.O_NOCTTY)
        writing = asyncio.create_task(asyncio.to_thread(print_all, terminal, typed))
        received = bytearray()
        async with asyncio.timeout(patience(60)):
            while len(received) < len(typed):
                received += await asyncio.to_thread(os.read, console.slave, 4096)
            await writing
        os.close(terminal)
        assert bytes(received) == typed


async def test_the_hosts_terminal_ends_with_the_console() -> None:
    async with line(shown=True) as console:
        terminal = os.open(console.terminal, os.O_RDWR | os.O_NOCTTY)
        reading = asyncio.create_task(asyncio.to_thread(os.read, terminal, 100))
        console.print(b"last words")
        await console.hub.finish()
        assert await reading == b"last words"
        assert os.read(terminal, 100) == b""
        os.close(terminal)


async def test_a_terminal_of_the_host_that_nobody_has_open_costs_no_processor_time() -> None:
    async with line(shown=True) as console:
        os.close(os.open(console.terminal, os.O_RDWR | os.O_NOCTTY))
        before = time.process_time()
        await asyncio.sleep(0.5)  # the length of the observation, not a wait for something
        assert time.process_time() - before < 0.25


def _taken_at_once(path: str) -> bytes:
    """What a program gets that opens a terminal and reads without waiting."""
    with open(path, "rb") as file:
        os.set_blocking(file.fileno(), False)
        return file.read() or b""


async def test_where_no_descriptor_is_free_viewers_see_everything_and_the_end_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(master: int) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    async with line(shown=True) as console:
        monkeypatch.setattr(hostterminal, "open_slave", refuse)
        viewer = console.hub.attach()
        writer = asyncio.create_task(asyncio.to_thread(print_all, console.slave, bytes(200_000)))
        assert await read_exactly(viewer, 200_000) == bytes(200_000)
        await writer
        terminal = os.open(console.terminal, os.O_RDWR | os.O_NOCTTY)
        await console.hub.finish()
        os.close(terminal)
