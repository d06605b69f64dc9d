"""A channel: bytes both ways, one host's side at a time, and nobody's writing piles up."""

import asyncio
import os
import pty
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest

from insula.engine.console.guestchannel import BACKLOG, ChannelPeer, GuestChannel
from insula.engine.console.terminalwatch import TerminalWatch
from insula.engine.tokenbucket import TokenBucket
from insula.errors import OperationAbortedError, OperationFailedError, OperationInvalidError
from insula.kernel.fds import Fd
from tests.waiting import patience

pytestmark = pytest.mark.asyncio


class Made(NamedTuple):
    channel: GuestChannel
    slave: int


@asynccontextmanager
async def made(*, missed: bytes = b"", allowance: TokenBucket | None = None) -> AsyncIterator[Made]:
    master, slave = pty.openpty()
    tty.setraw(slave)
    watch = TerminalWatch()
    channel = GuestChannel(Fd(master), name="channel", watch=watch, missed=missed, allowance=allowance)
    try:
        yield Made(channel, slave)
    finally:
        channel.finish()
        if slave >= 0:
            os.close(slave)


async def read_exactly(peer: ChannelPeer, size: int) -> bytes:
    data = b""
    async with asyncio.timeout(patience(20)):
        while len(data) < size:
            piece = await peer.read(size - len(data))
            assert piece, data
            data += piece
    return data


async def test_bytes_pass_both_ways_whatever_they_are() -> None:
    every = bytes(range(256))
    async with made() as (channel, slave):
        peer = channel.attach()
        os.write(slave, every)
        assert await read_exactly(peer, 256) == every
        await peer.write(every)
        assert os.read(slave, 256) == every


async def test_what_was_written_to_nobody_is_there_for_who_comes() -> None:
    async with made(missed=b"while no daemon was, ") as (channel, slave):
        os.write(slave, b"and before anybody came")
        assert await read_exactly(channel.attach(), 44) == b"while no daemon was, and before anybody came"


async def test_one_has_it_until_another_forces_it() -> None:
    async with made() as (channel, slave):
        first = channel.attach()
        with pytest.raises(OperationFailedError, match="active session exists"):
            channel.attach()
        second = channel.attach(force=True)
        assert first.taken_over and await first.read(1) == b""
        with pytest.raises(OperationAbortedError):
            await first.write(b"x")
        os.write(slave, b"hello")
        assert await read_exactly(second, 5) == b"hello"
        second.close()
        assert not channel.taken
        assert channel.attach() is not second


async def test_a_guest_that_writes_more_than_is_read_waits() -> None:
    async with made() as (channel, slave):
        peer = channel.attach()
        os.set_blocking(slave, False)
        written = 0
        quiet = 0
        while quiet < 20:
            try:
                written += os.write(slave, bytes(4096))
                quiet = 0
            except BlockingIOError:
                quiet += 1
                await asyncio.sleep(0.01)
        assert written < 4 * BACKLOG
        assert len(await read_exactly(peer, written)) == written


async def test_a_host_that_writes_more_than_is_read_waits_and_nothing_is_lost() -> None:
    data = os.urandom(512 * 1024)
    async with made() as (channel, slave):
        peer = channel.attach()

        async def send() -> None:
            for start in range(0, len(data), 16384):
                await peer.write(data[start : start + 16384])

        sending = asyncio.create_task(send())
        for _ in range(20):
            await asyncio.sleep(0)
        assert not sending.done()
        os.set_blocking(slave, False)
        read = bytearray()
        async with asyncio.timeout(patience(30)):
            while len(read) < len(data):
                try:
                    read += os.read(slave, 65536)
                except BlockingIOError:
                    await asyncio.sleep(0.001)
        assert read == data
        await sending


async def test_a_flood_is_held_to_its_rate() -> None:
    clock = 0.0
    async with made(allowance=TokenBucket(1, 10, clock=lambda: clock)) as (channel, slave):
        peer = channel.attach()
        os.write(slave, bytes(100))
        assert len(await read_exactly(peer, 100)) == 100
        os.write(slave, b"later")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await peer.read(5)


async def test_it_tells_whether_a_program_inside_has_it_open() -> None:
    master, slave = pty.openpty()
    path = os.ttyname(slave)
    channel = GuestChannel(Fd(master), name="channel", watch=TerminalWatch())
    assert channel.connected
    os.close(slave)
    assert not channel.connected
    peer = channel.attach()
    slave = os.open(path, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(slave)
    assert channel.connected
    os.write(slave, b"again")
    assert await read_exactly(peer, 5) == b"again"
    os.close(slave)
    channel.finish()
    assert not channel.connected


async def test_the_end_comes_after_what_the_guest_wrote_last() -> None:
    async with made() as (channel, slave):
        os.write(slave, b"last words")
        peer = channel.attach()
        assert await read_exactly(peer, 5) == b"last "  # what is left has come along
        channel.finish()
        assert await read_exactly(peer, 5) == b"words"
        assert await peer.read(1) == b""
        with pytest.raises(OperationInvalidError, match="has ended"):
            channel.attach()
