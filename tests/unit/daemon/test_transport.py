"""A UNIX socket on the event loop: nothing is lost, no descriptor leaks, and a slow peer is waited for."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from insula.daemon.channel import channel_of
from insula.daemon.rounds import Rounds, Turn
from insula.daemon.transport import READ_SIZE, Transport
from tests.descriptors import open_fds
from tests.waiting import patience, scaled, until

pytestmark = pytest.mark.asyncio


@dataclass(kw_only=True, slots=True)
class Ends:
    """A transport, and the socket at the other end. received, fds, lost: what the transport told."""

    transport: Transport
    peer: socket.socket
    received: bytearray = field(default_factory=bytearray)
    fds: list[int] = field(default_factory=list)
    lost: list[Exception | None] = field(default_factory=list)
    drained: int = 0
    reads: int = 0
    expected: int = 0
    """Bytes of the packet that is coming."""


@asynccontextmanager
async def ends() -> AsyncIterator[Ends]:
    ours, peer = socket.socketpair(socket.AF_UNIX)
    peer.setblocking(False)

    def received(data: bytes, fds: list[int]) -> bool:
        pair.received.extend(data)
        pair.fds.extend(fds)
        pair.reads += 1
        return len(pair.received) < pair.expected

    def lost(error: Exception | None) -> None:
        pair.lost.append(error)

    def drained() -> None:
        pair.drained += 1

    transport = Transport(
        channel_of(ours), turn=Turn(Rounds(), client=0, account=0), received=received, lost=lost, drained=drained
    )
    pair = Ends(transport=transport, peer=peer)
    try:
        yield pair
    finally:
        transport.close()
        peer.close()
        for each in pair.fds:
            os.close(each)


async def receive(peer: socket.socket, count: int) -> bytes:
    data = b""
    async with asyncio.timeout(patience(20)):
        while len(data) < count:
            data += await asyncio.get_running_loop().sock_recv(peer, 65536)
    return data


async def settle(pair: Ends, count: int) -> None:
    async with asyncio.timeout(patience(20)):
        while len(pair.received) < count and not pair.lost:  # noqa: ASYNC110 - the transport is the event
            await asyncio.sleep(0.001)


def open_count() -> int:
    return len(open_fds())


async def test_what_follows_a_packet_is_read_with_it() -> None:
    async with ends() as pair:
        pair.expected = 7
        pair.peer.send(b"call")
        for _ in range(3):
            socket.send_fds(pair.peer, [b"\0"], [pair.peer.fileno()])
        pair.transport.resume_reading()
        while not pair.reads:  # noqa: ASYNC110 - the transport is the event
            await asyncio.sleep(0)
        assert (len(pair.received), len(pair.fds)) == (7, 3)


async def test_an_unfinished_packet_is_not_read_on_and_on() -> None:
    async with ends() as pair:
        pair.expected = 1 << 30
        pair.peer.setblocking(True)
        pair.peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        pair.peer.send(bytes(300_000))
        pair.transport.resume_reading()
        while not pair.reads:  # noqa: ASYNC110 - the transport is the event
            await asyncio.sleep(0)
        assert 1 < pair.reads < 300_000 // READ_SIZE


async def test_bytes_go_both_ways_in_order() -> None:
    async with ends() as pair:
        pair.transport.resume_reading()
        pair.peer.send(b"question")
        await settle(pair, 8)
        assert pair.received == b"question"
        pair.transport.send(b"one ")
        pair.transport.send(b"two")
        assert await receive(pair.peer, 7) == b"one two"


async def test_nothing_is_read_while_paused() -> None:
    async with ends() as pair:
        pair.peer.send(b"early")
        await asyncio.sleep(0.02)
        assert not pair.received
        pair.transport.resume_reading()
        await settle(pair, 5)
        pair.transport.pause_reading()
        pair.peer.send(b" late")
        await asyncio.sleep(0.02)
        assert pair.received == b"early"


async def test_descriptors_arrive_with_their_carrier_bytes() -> None:
    async with ends() as pair:
        pair.transport.resume_reading()
        readers, writers = zip(*(os.pipe() for _ in range(5)), strict=True)
        pair.peer.send(b"packet")
        for reader in readers:
            socket.send_fds(pair.peer, [b"\0"], [reader])
            os.close(reader)
        pair.peer.send(b"next")
        await settle(pair, 15)
        assert pair.received == b"packet" + bytes(5) + b"next"
        for number, (writer, reader) in enumerate(zip(writers, pair.fds, strict=True)):
            os.write(writer, bytes([number]))
            assert os.read(reader, 1) == bytes([number])
            assert not os.get_inheritable(reader)
            os.close(writer)


async def test_descriptors_are_sent_one_a_byte_behind_what_came_before_and_closed() -> None:
    async with ends() as pair:
        before = open_count()
        first, second = os.pipe()
        pair.transport.send(b"packet")
        pair.transport.send(b"\0", first)
        pair.transport.send(b"\0", second)
        assert open_count() == before
        seen = b""
        got: list[int] = []
        while len(seen) < 8:
            data, fds, _, _ = socket.recv_fds(pair.peer, 100, 4)
            seen += data
            got += fds
        assert seen == b"packet\0\0"
        os.write(got[1], b"x")
        assert os.read(got[0], 1) == b"x"
        for each in got:
            os.close(each)


async def test_what_a_slow_peer_does_not_take_waits_and_arrives_whole() -> None:
    async with ends() as pair:
        data = os.urandom(3 * 1024 * 1024)
        pair.transport.send(data)
        pair.transport.send(b"end")
        assert 0 < pair.transport.backlog <= len(data) + 3
        written = asyncio.create_task(pair.transport.written())
        await asyncio.sleep(0.01)
        assert not written.done()
        assert await receive(pair.peer, len(data) + 3) == data + b"end"
        await asyncio.wait_for(written, patience(5))
        assert pair.transport.backlog == 0
        assert pair.drained == 1


async def test_written_returns_at_once_when_nothing_waits() -> None:
    async with ends() as pair:
        pair.transport.send(b"x")
        await asyncio.wait_for(pair.transport.written(), scaled(1))


async def test_the_peers_end_is_told_once() -> None:
    async with ends() as pair:
        pair.transport.resume_reading()
        pair.peer.close()
        await settle(pair, 1)
        assert pair.lost == [None]
        assert pair.transport.closed


async def test_the_peers_end_is_told_also_while_nothing_is_read() -> None:
    async with ends() as pair:
        before = open_count()
        pair.transport.resume_reading()
        pair.transport.pause_reading()
        pair.peer.send(b"unread")
        await asyncio.sleep(0.02)
        assert not pair.transport.closed
        pair.transport.resume_reading()
        await settle(pair, 6)
        pair.transport.pause_reading()
        pair.peer.close()
        await settle(pair, 100)
        assert pair.lost == [None]
        assert open_count() == before - 2  # both ends of the pair


async def test_sending_to_a_peer_that_went_is_told_later_and_not_raised() -> None:
    async with ends() as pair:
        pair.peer.close()
        pair.transport.send(b"x")
        assert pair.lost == []
        await settle(pair, 1)
        assert isinstance(pair.lost[0], BrokenPipeError | ConnectionResetError)


async def test_close_releases_what_was_not_sent_and_those_who_wait() -> None:
    before = open_count()
    async with ends() as pair:
        reader, writer = os.pipe()
        pair.transport.send(bytes(3 * 1024 * 1024))
        pair.transport.send(b"\0", reader)
        written = asyncio.create_task(pair.transport.written())
        await asyncio.sleep(0)
        pair.transport.close()
        with pytest.raises(ConnectionError):
            await written
        with pytest.raises(ConnectionError):
            await pair.transport.written()
        os.close(writer)
    assert open_count() == before
    assert pair.lost == []


async def test_a_descriptor_given_to_a_closed_transport_is_closed() -> None:
    async with ends() as pair:
        pair.transport.close()
        before = open_count()
        reader, writer = os.pipe()
        pair.transport.send(b"\0", reader)
        os.close(writer)
        assert open_count() == before


async def test_too_many_descriptors_at_once_end_the_connection_and_leak_none() -> None:
    async with ends() as pair:
        pair.transport.resume_reading()
        reader, writer = os.pipe()
        before = open_count()
        socket.send_fds(pair.peer, [b"\0"], [reader] * 60)
        await settle(pair, 2)
        assert "file descriptors" in str(pair.lost[0])
        until(lambda: open_count() == before - 1, "an end of all but what was there; less the transport's own socket")
        os.close(reader)
        os.close(writer)
