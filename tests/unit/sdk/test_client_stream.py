"""Streams of the async client."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from insula.errors import OperationFailedError, RpcError
from insula.rpc.connection import Call, StreamAbort, StreamData, StreamFinish, StreamHole
from insula.rpc.procedures import Insula, Remote
from insula.sdk import client as client_module
from insula.sdk.client import Client, connect
from tests.fakeserver import FakeServer, FakeSession
from tests.unit.sdk.answers import ANSWERS, WEB, echo

pytestmark = pytest.mark.asyncio

VOLUME = ("pool", "name", "key")


@pytest_asyncio.fixture
async def client(server: FakeServer) -> AsyncIterator[Client]:
    async with await connect(server.path) as connected:
        yield connected


async def test_a_log_is_read_to_its_end_and_finished(server: FakeServer, client: Client) -> None:
    async with await client.open_stream(Insula.DOMAIN_LOG, WEB, "console", 0, -1, 0) as stream:
        assert [piece async for piece in stream] == [b"one\n", b"two\n"]
        assert stream.ended
    assert [type(event) for event in server.sessions[0].stream_events] == [StreamFinish]


async def test_what_is_typed_comes_back_while_calls_go_on(client: Client) -> None:
    async with await client.open_stream(Remote.DOMAIN_OPEN_CONSOLE, WEB, None, 0) as stream:
        assert await stream.read() == b"login: "
        reading = asyncio.create_task(stream.read())
        await stream.send(b"root\n")
        assert await client.call(Remote.CONNECT_GET_HOSTNAME) == "host.example"
        assert await reading == b"root\n"


async def test_leaving_by_an_exception_aborts(server: FakeServer, client: Client) -> None:
    stream = await client.open_stream(Remote.DOMAIN_OPEN_CONSOLE, WEB, None, 0)
    with pytest.raises(ZeroDivisionError):
        async with stream:
            raise ZeroDivisionError
    assert [type(event) for event in server.sessions[0].stream_events] == [StreamAbort]


async def test_a_stream_that_the_server_breaks_off_raises_its_error_behind_its_data(client: Client) -> None:
    stream = await client.open_stream(Remote.DOMAIN_OPEN_CONSOLE, WEB, None, 0)
    await stream.send(b"crash")
    assert [await stream.read(), await stream.read()] == [b"login: ", b"crash"]
    for action in (stream.read, stream.finish):
        with pytest.raises(OperationFailedError, match="the guest is gone"):
            await action()


async def test_much_data_goes_up_whole(server: FakeServer, client: Client) -> None:
    data = os.urandom(5_000_000)
    async with await client.open_stream(Remote.STORAGE_VOL_UPLOAD, VOLUME, 0, 0, 1) as stream:
        for at in range(0, len(data), 1_000_000):
            await stream.send(data[at : at + 1_000_000])
        stream.send_hole(7)
        stream.send_eof()
    events = server.sessions[0].stream_events
    assert b"".join(event.data for event in events if isinstance(event, StreamData)) == data
    assert [event.length for event in events if isinstance(event, StreamHole)] == [7]


async def test_a_hole_where_none_is_allowed_is_refused(client: Client) -> None:
    async with await client.open_stream(Remote.STORAGE_VOL_UPLOAD, VOLUME, 0, 0, 0) as stream:
        with pytest.raises(RpcError):
            stream.send_hole(7)


async def test_a_slow_reader_holds_the_server_up_instead_of_filling_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "HELD_MAX", 100_000)
    total = 3_000_000

    def flood(session: FakeSession, call: Call) -> None:
        stream = session.open_stream(call, echo)
        session.connection.send_data(stream, bytes(total))
        session.connection.send_eof(stream)

    with FakeServer(tmp_path / "s", {**ANSWERS, Insula.DOMAIN_LOG: flood}) as server:
        async with await connect(server.path) as client:
            stream = await client.open_stream(Insula.DOMAIN_LOG, WEB, "console", 0, -1, 0)
            await asyncio.sleep(0.1)
            assert not stream.ended
            sizes = [len(piece) async for piece in stream if isinstance(piece, bytes)]
            assert sum(sizes) == total
            await stream.finish()


async def test_a_lost_connection_breaks_the_stream(server: FakeServer, client: Client) -> None:
    stream = await client.open_stream(Remote.DOMAIN_OPEN_CONSOLE, WEB, None, 0)
    server.sessions[0].hang_up()
    assert await stream.read() == b"login: "
    with pytest.raises(OperationFailedError):
        await stream.read()
