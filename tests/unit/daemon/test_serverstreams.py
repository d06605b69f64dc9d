"""A stream's server end, without a session and with one: consoles as clients have them."""

import asyncio
import os
import pty

import pytest

from insula.daemon.serverstreams import ServerStream, line_job
from insula.engine.console.console import ConsoleHub
from insula.engine.console.terminalwatch import TerminalWatch
from insula.errors import InsulaError, InternalError, OperationFailedError
from insula.kernel.fds import Fd
from insula.rpc.arrivals import Failure, Reply, Role, Stream, StreamAbort, StreamEof, StreamFinish
from insula.rpc.connection import Connection
from insula.rpc.procedures import Procedure, Remote
from tests.unit.daemon.clientend import DOM, Both, connected, until

pytestmark = pytest.mark.asyncio


class FakeCarrier:
    """A session that only counts."""

    closed = False

    def __init__(self) -> None:
        self.adjusted = 0
        self.flushes = 0

    def flush(self) -> None:
        self.flushes += 1

    async def flushed(self) -> None:
        self.flush()

    def adjust(self) -> None:
        self.adjusted += 1

    def told(self, error: BaseException, procedure: Procedure) -> InsulaError:
        return InternalError(str(error))


def make() -> tuple[ServerStream, FakeCarrier, Connection]:
    carrier, connection = FakeCarrier(), Connection(Role.SERVER)
    return ServerStream(Stream(Remote.DOMAIN_OPEN_CONSOLE, 1, sparse=False), connection, carrier), carrier, connection


async def test_input_is_received_in_order_and_counted_until_it_is() -> None:
    stream, carrier, _ = make()
    stream.feed(b"one")
    stream.feed(b"two!")
    assert stream.pending == 7
    assert [await stream.receive(), await stream.receive()] == [b"one", b"two!"]
    assert (stream.pending, carrier.adjusted) == (0, 2)


async def test_receiving_waits_for_what_comes() -> None:
    stream, _, _ = make()
    receiving = asyncio.create_task(stream.receive())
    await asyncio.sleep(0)
    assert not receiving.done()
    stream.feed(b"late")
    assert await receiving == b"late"


async def test_the_end_comes_after_the_last_bytes() -> None:
    stream, _, _ = make()
    stream.feed(b"last")
    stream.end_input(finished=False)
    assert [await stream.receive(), await stream.receive(), await stream.receive()] == [b"last", b"", b""]


async def test_the_end_of_input_is_not_yet_the_end_of_the_stream() -> None:
    stream, _, _ = make()
    finishing = asyncio.create_task(stream.finished())
    stream.end_input(finished=False)
    await asyncio.sleep(0)
    assert not finishing.done()
    stream.end_input(finished=True)
    await finishing


async def test_what_is_sent_goes_out_at_once() -> None:
    stream, carrier, connection = make()
    await stream.send(b"data")
    assert carrier.flushes == 1
    assert b"".join(data for data, _ in connection.data_to_send()).endswith(b"data")


async def test_a_stream_that_never_opens_lets_go_of_its_console() -> None:
    master, slave = pty.openpty()
    hub = ConsoleHub(Fd(master), watch=TerminalWatch())
    job = line_job(hub.attach())
    assert hub.interactive
    job.release()
    assert not hub.interactive
    await hub.finish()
    os.close(slave)


# Consoles, over a session


async def open_console(both: Both, flags: int = 0) -> Stream:
    serial = both.client.begin(Remote.DOMAIN_OPEN_CONSOLE, DOM, None, flags)
    event = await both.client.until(lambda each: isinstance(each, Reply | Failure) and each.serial == serial)
    if isinstance(event, Failure):
        raise event.error
    assert event.stream is not None
    return event.stream  # type: ignore[no-any-return]


async def test_a_console_carries_bytes_both_ways_until_the_client_finishes() -> None:
    async with connected() as both:
        both.domains.open_console()
        stream = await open_console(both)
        os.write(both.domains.guest, b"login: ")
        assert await both.client.stream_bytes(stream, 7) == b"login: "
        both.client.connection.send_data(stream, b"root\r")
        both.client.send()
        assert await asyncio.to_thread(os.read, both.domains.guest, 100) == b"root\r"
        both.client.connection.finish(stream)
        both.client.send()
        await both.client.until(lambda each: isinstance(each, StreamFinish))
        assert both.domains.hub is not None and not both.domains.hub.interactive


async def test_a_console_can_be_opened_again_after_an_abort() -> None:
    async with connected() as both:
        both.domains.open_console()
        stream = await open_console(both)
        both.client.connection.abort(stream)
        both.client.send()
        await both.client.until(lambda each: isinstance(each, StreamFinish))
        await open_console(both)


async def test_a_second_console_is_refused_unless_forced_and_then_the_first_is_told_why() -> None:
    async with connected() as both:
        both.domains.open_console()
        first = await open_console(both)
        with pytest.raises(OperationFailedError, match="active session"):
            await open_console(both)
        second = await open_console(both, flags=1)
        abort = await both.client.until(lambda each: isinstance(each, StreamAbort))
        assert abort.stream is first and "took it over" in str(abort.error)
        os.write(both.domains.guest, b"hello")
        assert await both.client.stream_bytes(second, 5) == b"hello"


async def test_everything_the_guest_wrote_arrives_before_the_end_of_its_console() -> None:
    async with connected() as both:
        both.domains.open_console()
        stream = await open_console(both)
        os.write(both.domains.guest, b"last words")
        assert both.domains.hub is not None
        await both.domains.hub.finish()
        assert await both.client.stream_bytes(stream, 10) == b"last words"
        await both.client.until(lambda each: isinstance(each, StreamEof))
        both.client.connection.finish(stream)
        both.client.send()
        await both.client.until(lambda each: isinstance(each, StreamFinish))


async def test_a_client_that_hangs_up_frees_the_console() -> None:
    async with connected() as both:
        both.domains.open_console()
        await open_console(both)
        both.client.socket.close()
        await until(lambda: both.ended)
        await both.session.ended_completely()
        assert both.domains.hub is not None and not both.domains.hub.interactive


async def test_typing_ahead_of_a_guest_that_does_not_read_stops_the_reading_of_the_socket() -> None:
    async with connected() as both:
        both.domains.open_console()
        stream = await open_console(both)
        sent = 0
        loop = asyncio.get_running_loop()
        both.client.connection.send_data(stream, bytes(8 * 1024 * 1024))
        data = b"".join(each for each, _ in both.client.connection.data_to_send())
        sending = asyncio.create_task(loop.sock_sendall(both.client.socket, data))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(sending), 0.3)
        while sent < 8 * 1024 * 1024:
            sent += len(await asyncio.to_thread(os.read, both.domains.guest, 65536))
        await sending
