"""The async client against a server on another thread: many things at a time over one connection."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from insula.errors import DomainNotFoundError, OperationFailedError
from insula.rpc.connection import Call
from insula.rpc.procedures import Insula, Keepalive, Remote
from insula.sdk import unix
from insula.sdk.client import Client, connect
from tests.descriptors import open_fds
from tests.fakeserver import FakeServer, FakeSession
from tests.unit.sdk.answers import ANSWERS, RUNNING, WEB
from tests.waiting import patience, scaled, until

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def client(server: FakeServer) -> AsyncIterator[Client]:
    async with await connect(server.path) as connected:
        yield connected


def open_count() -> int:
    return len(open_fds())


async def test_connecting_authenticates_and_opens(server: FakeServer, client: Client) -> None:
    assert server.calls == ["AUTH_LIST", "CONNECT_OPEN"]


async def test_a_call_returns_its_result_or_raises_its_error(client: Client) -> None:
    assert await client.call(Remote.DOMAIN_LOOKUP_BY_NAME, name="web") == WEB
    with pytest.raises(DomainNotFoundError, match="nosuch"):
        await client.call(Remote.DOMAIN_LOOKUP_BY_NAME, "nosuch")
    assert await client.call(Remote.CONNECT_GET_HOSTNAME) == "host.example"


async def test_a_slow_call_does_not_hold_up_others(tmp_path: Path) -> None:
    waiting: list[tuple[FakeSession, Call]] = []
    answers = {**ANSWERS, Insula.EXEC_WAIT: lambda session, call: waiting.append((session, call))}
    with FakeServer(tmp_path / "s", answers) as server:
        async with await connect(server.path) as client:
            slow = asyncio.create_task(client.call(Insula.EXEC_WAIT, 31))
            await asyncio.sleep(0)  # let it start
            names = await asyncio.gather(*(client.call(Remote.CONNECT_GET_HOSTNAME) for _ in range(20)))
            assert names == ["host.example"] * 20
            assert not slow.done()
            session, call = waiting.pop()
            session.do(lambda wire: wire.reply(call, 9))
            assert await slow == 9


async def test_descriptors_go_out_and_come_in(client: Client) -> None:
    reader, writer = os.pipe()
    await client.call_with_fds(Insula.DOMAIN_EXEC, WEB, "out", 0, fds=(reader, writer, writer))
    assert os.read(reader, 100) == b"out"
    _, (terminal,) = await client.call_with_fds(Insula.DOMAIN_EXEC, WEB, "in", 0)
    assert os.read(terminal, 100) == b"in"
    unix.close_fds((reader, writer, terminal))


async def test_a_cancelled_call_is_forgotten_and_its_descriptors_closed(tmp_path: Path) -> None:
    waiting: list[tuple[FakeSession, Call]] = []
    answers = {**ANSWERS, Insula.DOMAIN_EXEC: lambda session, call: waiting.append((session, call))}
    with FakeServer(tmp_path / "s", answers) as server:
        async with await connect(server.path) as client:
            task = asyncio.create_task(client.call_with_fds(Insula.DOMAIN_EXEC, WEB, "x", 0))
            while not waiting:
                await client.call(Remote.CONNECT_GET_HOSTNAME)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            before = open_count()
            session, call = waiting.pop()
            session.do(lambda wire: wire.reply(call, 1, 2, fds=[0]))
            assert await client.call(Remote.CONNECT_GET_HOSTNAME) == "host.example"
            assert open_count() == before


async def test_messages_come_in_order_to_who_waits(client: Client) -> None:
    waiting = asyncio.create_task(client.next_message())
    await client.call(Remote.DOMAIN_CREATE_WITH_FLAGS, WEB, 0)
    assert (await waiting).values.msg == (RUNNING, 2, 0)


async def test_watched_messages_go_to_their_watcher(client: Client) -> None:
    queue = client.watch(5)
    await client.call(Remote.DOMAIN_DESTROY_FLAGS, WEB, 0)
    await client.wait_for(lambda: bool(queue))
    assert queue.popleft().values.msg == (WEB, 5, 1)
    client.unwatch(5)


async def test_a_ping_is_answered_though_nobody_waits(tmp_path: Path) -> None:
    with FakeServer(tmp_path / "s", ANSWERS, keepalive=scaled(0.1)) as server:
        async with await connect(server.path) as client:
            await client.call(Remote.CONNECT_SUPPORTS_FEATURE, 10)
            await asyncio.sleep(scaled(0.7))  # six intervals: the server would have hung up
            assert await client.call(Remote.CONNECT_GET_HOSTNAME) == "host.example"
            assert not server.sessions[0].dead


async def test_a_server_that_does_not_answer_pings_counts_as_dead(tmp_path: Path) -> None:
    stuck = threading.Event()

    def hang(session: FakeSession, call: Call) -> None:
        stuck.wait(patience(20))
        session.connection.reply(call, 0)

    with FakeServer(tmp_path / "s", {**ANSWERS, Insula.EXEC_WAIT: hang}) as server:
        async with await connect(server.path) as client:
            client.keepalive(interval=0.02, count=2)
            with pytest.raises(OperationFailedError, match="does not answer"):
                await client.call(Insula.EXEC_WAIT, 31)
        stuck.set()


async def test_pings_of_ours_are_answered_by_a_living_server(server: FakeServer, client: Client) -> None:
    client.keepalive(interval=0.05, count=100)
    await asyncio.sleep(0.3)
    assert await client.call(Remote.CONNECT_GET_HOSTNAME) == "host.example"
    server.sessions[0].do(lambda wire: wire.message(Keepalive.PONG))


async def test_a_lost_connection_ends_all_that_waits(tmp_path: Path) -> None:
    answers = {**ANSWERS, Insula.EXEC_WAIT: lambda *_: None}
    with FakeServer(tmp_path / "s", answers) as server:
        async with await connect(server.path) as client:
            tasks = [asyncio.create_task(client.call(Insula.EXEC_WAIT, 31)) for _ in range(3)]
            tasks.append(asyncio.create_task(client.next_message()))
            await asyncio.sleep(0)  # let them start
            await client.call(Remote.CONNECT_GET_HOSTNAME)
            server.sessions[0].hang_up()
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                assert isinstance(outcome, OperationFailedError)
            with pytest.raises(OperationFailedError):
                await client.call(Remote.CONNECT_GET_HOSTNAME)


async def test_closing_ends_all_that_waits_and_nothing_stays_open(server: FakeServer) -> None:
    before = open_count()
    client = await connect(server.path)
    waiting = asyncio.create_task(client.next_message())
    await asyncio.sleep(0)
    client.close()
    with pytest.raises(OperationFailedError, match="closed"):
        await waiting
    server.sessions[0].hang_up()
    until(lambda: open_count() == before, "both ends being closed")


async def test_a_large_call_goes_out_while_others_wait(client: Client) -> None:
    xml = "x" * 4_000_000
    plan, name = await asyncio.gather(client.call(Insula.PLAN_XML, xml, 0), client.call(Remote.CONNECT_GET_HOSTNAME))
    assert (plan, name) == ('{"steps": [1]}', "host.example")
