"""The console hub against real ptys: what viewers see, who may type, and that nobody is held for ever."""

import asyncio
import os
import threading
import time
from pathlib import Path

import pytest

from insula.engine.console.console import BACKLOG_HIGH
from insula.engine.console.consolechannel import Viewing
from insula.engine.console.consolering import RING_BYTES
from insula.errors import OperationAbortedError, OperationFailedError, OperationInvalidError
from tests.descriptors import open_fds
from tests.unit.engine.consoleline import line, print_all, read_exactly, read_until, until
from tests.waiting import patience

pytestmark = pytest.mark.asyncio


async def test_a_viewer_reads_what_the_guest_prints() -> None:
    async with line() as console:
        viewer = console.hub.attach()
        console.print(b"hello\r\n")
        assert await read_until(viewer, b"\n") == b"hello\r\n"


async def test_every_byte_value_passes_unchanged_in_both_directions() -> None:
    everything = bytes(range(256)) * 16
    async with line() as console:
        viewer = console.hub.attach()
        console.print(everything)
        assert await read_exactly(viewer, len(everything)) == everything
        await viewer.write(everything)
        typed = b""
        while len(typed) < len(everything):
            typed += await asyncio.to_thread(os.read, console.slave, 65536)
        assert typed == everything


async def test_a_late_viewer_first_reads_what_was_printed_before() -> None:
    async with line() as console:
        early = console.hub.attach(Viewing.WATCHING)
        console.print(b"boot messages\r\n")
        await read_until(early, b"messages")
        late = console.hub.attach()
        assert await read_until(late, b"\n") == b"boot messages\r\n"


async def test_the_replay_is_bounded_and_holds_the_newest_bytes() -> None:
    async with line() as console:
        early = console.hub.attach(Viewing.WATCHING)
        printed = b"".join(b"%09d\n" % number for number in range(RING_BYTES // 5))
        writer = asyncio.create_task(asyncio.to_thread(os.write, console.slave, printed))
        await read_exactly(early, len(printed))
        await writer
        late = console.hub.attach(Viewing.WATCHING)
        assert await read_exactly(late, RING_BYTES) == printed[-RING_BYTES:]
        assert late.backlog == 0


@pytest.mark.parametrize("query", [b"\x1b[6n", b"\x1b[c", b"\x1b[>0c", b"\x1b[18t", b"\x1b]11;?\x1b\\", b"\x05"])
async def test_the_replay_asks_an_interactive_terminal_no_questions(query: bytes) -> None:
    async with line() as console:
        watcher = console.hub.attach(Viewing.WATCHING)
        console.print(b"a" + query + b"\x1b[1mz")
        await read_until(watcher, b"z")
        viewer = console.hub.attach()
        assert await read_until(viewer, b"z") == b"a\x1b[1mz"


async def test_a_live_terminal_query_reaches_the_viewer() -> None:
    async with line() as console:
        viewer = console.hub.attach()
        console.print(b"\x1b[6nz")
        assert await read_until(viewer, b"z") == b"\x1b[6nz"


async def test_a_second_interactive_viewer_is_refused() -> None:
    async with line() as console:
        first = console.hub.attach()
        with pytest.raises(OperationFailedError, match="active session exists"):
            console.hub.attach()
        console.print(b"still mine")
        await read_until(first, b"still mine")


async def test_force_takes_the_console_over_and_the_first_viewer_sees_the_end() -> None:
    async with line() as console:
        first = console.hub.attach()
        second = console.hub.attach(force=True)
        assert await first.read() == b""
        with pytest.raises(OperationAbortedError):
            await first.write(b"x")
        first.close()  # the loser's clean-up does not take the console from the winner
        assert console.hub.interactive
        await second.write(b"y")
        assert os.read(console.slave, 10) == b"y"


async def test_closing_a_viewer_frees_the_console_and_leaves_the_guest_alone() -> None:
    async with line() as console:
        console.hub.attach().close()
        console.print(b"alive")
        assert await read_until(console.hub.attach(), b"alive") == b"alive"


async def test_the_end_comes_after_the_last_byte() -> None:
    async with line() as console:
        viewer = console.hub.attach()
        console.print(b"last words")
        await console.hub.finish()
        assert await viewer.read() == b"last words"
        assert await viewer.read() == b""
        with pytest.raises(OperationInvalidError, match="start the domain"):
            console.hub.attach()


async def test_finish_closes_its_descriptors_and_may_be_repeated() -> None:
    before = len(open_fds())
    async with line() as console:
        await console.hub.finish()
        await console.hub.finish()
        assert console.hub.finished
        os.close(console.slave)
        assert len(open_fds()) == before


async def test_the_line_survives_a_guest_that_closes_and_reopens_its_terminal() -> None:
    async with line() as console:
        name = os.ttyname(console.slave)
        viewer = console.hub.attach()
        os.close(console.slave)
        again = os.open(name, os.O_RDWR | os.O_NOCTTY)
        os.write(again, b"login:")
        assert await read_until(viewer, b"login:") == b"login:"
        await viewer.write(b"root\n")
        assert os.read(again, 100) == b"root\n"
        os.close(again)


async def test_a_terminal_nobody_has_open_costs_no_processor_time() -> None:
    async with line() as console:
        os.close(console.slave)
        before = time.process_time()
        await asyncio.sleep(0.5)  # the length of the observation, not a wait for something
        assert time.process_time() - before < 0.25


async def test_a_guest_nobody_looks_at_is_never_held() -> None:
    async with line() as console:
        printed = os.urandom(1024 * 1024)
        async with asyncio.timeout(patience(60)):
            assert await asyncio.to_thread(print_all, console.slave, printed) == len(printed)


async def test_a_slow_interactive_viewer_holds_the_guest_and_loses_nothing() -> None:
    async with line() as console:
        viewer = console.hub.attach()
        printed = os.urandom(BACKLOG_HIGH * 4)
        writer = asyncio.create_task(asyncio.to_thread(print_all, console.slave, printed))
        await until(lambda: viewer.backlog > BACKLOG_HIGH)
        assert not writer.done()
        assert viewer.backlog < 2 * BACKLOG_HIGH + 65536
        assert await read_exactly(viewer, len(printed)) == printed
        assert await writer == len(printed)


async def test_an_interactive_viewer_that_never_reads_holds_the_guest_only_so_long() -> None:
    async with line(patience=0.2) as console:
        viewer = console.hub.attach()
        printed = os.urandom(BACKLOG_HIGH * 4)
        async with asyncio.timeout(patience(60)):
            await asyncio.to_thread(print_all, console.slave, printed)
        console.print(b"END")
        watcher = console.hub.attach(Viewing.WATCHING)
        await read_until(watcher, b"END")
        assert b"bytes were skipped" in await viewer.read()
        assert (await read_exactly(viewer, BACKLOG_HIGH)).endswith(b"END")


async def test_leaving_while_the_guest_is_held_lets_it_go_on() -> None:
    async with line() as console:
        viewer = console.hub.attach()
        writer = asyncio.create_task(asyncio.to_thread(print_all, console.slave, bytes(BACKLOG_HIGH * 4)))
        await until(lambda: viewer.backlog > BACKLOG_HIGH)
        viewer.close()
        async with asyncio.timeout(patience(60)):
            await writer


async def test_the_log_holds_everything_and_the_ring_is_there_after_a_restart(tmp_path: Path) -> None:
    log, ring = tmp_path / "logs" / "web.log", tmp_path / "console0"
    async with line(log=log, ring=ring) as console:
        viewer = console.hub.attach()
        console.print(b"before the restart\r\n")
        await read_until(viewer, b"\n")
    assert log.read_bytes() == b"before the restart\r\n"
    async with line(log=log, ring=ring, resumed=True) as console:
        assert await read_until(console.hub.attach(), b"\n") == b"before the restart\r\n"
    async with line(log=log, ring=ring) as console:
        console.print(b"a new life")
        assert await read_until(console.hub.attach(), b"life") == b"a new life"


async def test_what_a_viewer_has_seen_is_kept_even_if_we_are_killed_right_then(tmp_path: Path) -> None:
    log, ring = tmp_path / "web.log", tmp_path / "console0"
    async with line(log=log, ring=ring) as console:
        viewer = console.hub.attach()
        for number in range(100):
            console.print(b"line %d\n" % number)
            await read_until(viewer, b"line %d\n" % number)
            assert ring.read_bytes().endswith(b"line %d\n" % number)
    whole = log.read_bytes()
    log.write_bytes(whole[:-50])  # as a kill would have left it
    async with line(log=log, ring=ring, resumed=True, missed=b"line 100\n") as console:
        assert await read_until(console.hub.attach(), b"line 100\n") == whole + b"line 100\n"
    assert log.read_bytes() == whole + b"line 100\n"
    async with line(log=log, ring=ring) as console:
        console.print(b"a new life")
        assert await read_until(console.hub.attach(), b"life") == b"a new life"


async def test_what_the_guest_wrote_while_nobody_read_comes_between_log_and_news(tmp_path: Path) -> None:
    log, ring = tmp_path / "web.log", tmp_path / "console0"
    log.write_bytes(b"before, ")
    ring.write_bytes(b"before, ")
    async with line(log=log, ring=ring, resumed=True, missed=b"meanwhile, ") as console:
        console.print(b"now")
        assert await read_until(console.hub.attach(), b"now") == b"before, meanwhile, now"
    assert log.read_bytes() == b"before, meanwhile, now"


async def test_the_consoles_of_a_guest_need_two_descriptors_each(tmp_path: Path) -> None:
    before = len(open_fds())
    async with line(shown=True, log=tmp_path / "log", ring=tmp_path / "ring") as console:
        console.print(b"hello")
        await read_until(console.hub.attach(Viewing.WATCHING), b"hello")
        shared_epoll, guests_end = 1, 1
        await until(lambda: len(open_fds()) - before == 2 + shared_epoll + guests_end)


async def test_a_hundred_million_bytes_pass_without_a_loss_and_the_loop_stays_responsive() -> None:
    piece = bytes(range(256)) * 4096  # 1 MiB
    count = 96
    async with line() as console:
        viewer = console.hub.attach()
        writer = threading.Thread(target=lambda: [print_all(console.slave, piece) for _ in range(count)])
        writer.start()
        beats = 0

        async def beat() -> None:
            nonlocal beats
            while True:
                await asyncio.sleep(0.001)
                beats += 1

        heart = asyncio.create_task(beat())
        position = 0
        async with asyncio.timeout(patience(110)):
            while position < len(piece) * count:
                data = await viewer.read(256 * 1024)
                start = position % 256
                assert data == (piece + piece)[start : start + len(data)]
                position += len(data)
        heart.cancel()
        await asyncio.to_thread(writer.join)
        assert beats > 20, "the event loop was blocked by a fast console"
