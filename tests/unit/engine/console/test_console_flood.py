"""A guest that prints without end pays for that itself, and nobody else."""

import asyncio
import os

import pytest

from insula.engine.console.console import BACKLOG_HIGH
from insula.engine.console.consolechannel import Viewing
from insula.engine.tokenbucket import TokenBucket
from tests.unit.engine.consoleline import line, print_all, until, writer_ends

pytestmark = pytest.mark.asyncio


async def test_a_guest_that_prints_without_end_waits_as_long_as_its_allowance_says_and_is_named_once() -> None:
    ticks = 0.0
    async with line(allowance=TokenBucket(1e9, 100_000, clock=lambda: ticks)) as console:
        writer = asyncio.create_task(asyncio.to_thread(print_all, console.slave, bytes(4_000_000)))
        await until(lambda: bool(console.told))
        while not writer.done():
            ticks += 1.0
            await asyncio.sleep(0.001)
    assert len(console.told) == 1
    assert "the guest prints more" in console.told[0]


async def test_a_guest_beyond_its_allowance_is_not_read_until_time_has_passed() -> None:
    ticks = 0.0
    async with line(allowance=TokenBucket(1, 1000, clock=lambda: ticks)) as console:
        watcher = console.hub.attach(Viewing.WATCHING)
        writer = asyncio.create_task(asyncio.to_thread(print_all, console.slave, bytes(2_000_000)))
        await until(lambda: bool(console.told))
        seen = watcher.backlog
        assert seen < 2 * BACKLOG_HIGH
        await asyncio.sleep(0.2)  # the length of the observation, not a wait for something
        assert watcher.backlog == seen
        assert not writer.done()
        viewer = console.hub.attach()
        await viewer.write(b"typing goes on")
        assert await asyncio.to_thread(os.read, console.slave, 100) == b"typing goes on"
        await console.hub.finish()
        await writer_ends(writer)


async def test_a_guest_that_prints_many_small_pieces_is_looked_at_now_and_then_and_loses_nothing() -> None:
    ticks = 0.0
    looks = Counted(1000, 10, clock=lambda: ticks)
    async with line(looks=looks) as console:
        watcher = console.hub.attach(Viewing.WATCHING)
        writer = asyncio.create_task(asyncio.to_thread(_print_pieces, console.slave, 20_000))
        seen = b""
        while len(seen) < 20_000:
            ticks += 0.001
            seen += await watcher.read()
        await writer
        assert seen == b"y" * 20_000
        assert looks.taken < 10_000, "each piece was fetched by itself"
        assert not console.told


class Counted(TokenBucket):
    """Knows how often it was asked."""

    taken = 0

    def take(self, count: int) -> float:
        self.taken += 1
        return super().take(count)


def _print_pieces(descriptor: int, count: int) -> None:
    for _ in range(count):
        os.write(descriptor, b"y")
