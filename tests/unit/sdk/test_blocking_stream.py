"""Streams of the blocking client: read, typed into, finished, aborted, broken off."""

import os
from collections.abc import Iterator

import pytest

from insula.errors import NoSupportError, OperationFailedError, RpcError
from insula.rpc.connection import StreamAbort, StreamData, StreamEof, StreamFinish, StreamHole
from insula.rpc.procedures import Insula, Remote
from insula.sdk.blocking import Blocking, connect
from tests.fakeserver import FakeServer
from tests.unit.sdk.answers import WEB
from tests.waiting import patience

VOLUME = ("pool", "name", "key")


@pytest.fixture
def client(server: FakeServer) -> Iterator[Blocking]:
    with connect(server.path) as connected:
        yield connected


def kinds(server: FakeServer) -> list[type]:
    return [type(event) for event in server.sessions[0].stream_events]


def test_a_log_is_read_to_its_end_and_finished(server: FakeServer, client: Blocking) -> None:
    with client.open_stream(Insula.DOMAIN_LOG, WEB, "console", 0, -1, 0) as stream:
        assert b"".join(piece for piece in stream if isinstance(piece, bytes)) == b"one\ntwo\n"
        assert stream.ended
    assert kinds(server) == [StreamFinish]


def test_what_is_typed_comes_back(client: Blocking) -> None:
    with client.open_stream(Remote.DOMAIN_OPEN_CONSOLE, WEB, None, 0) as stream:
        assert stream.read() == b"login: "
        assert stream.take() is None
        stream.send(b"root\n")
        assert stream.read() == b"root\n"
        stream.send(b"\x04")
        assert list(stream) == [b"\x04"]


def test_a_call_that_fails_opens_no_stream(client: Blocking) -> None:
    with pytest.raises(NoSupportError):
        client.open_stream(Remote.DOMAIN_OPEN_CHANNEL, WEB, None, 0)


def test_a_call_without_a_stream_is_told_apart(client: Blocking) -> None:
    with pytest.raises(OperationFailedError):
        client.open_stream(Remote.DOMAIN_SUSPEND, WEB)


def test_leaving_by_an_exception_aborts(server: FakeServer, client: Blocking) -> None:
    with pytest.raises(ZeroDivisionError), client.open_stream(Remote.DOMAIN_OPEN_CONSOLE, WEB, None, 0):
        raise ZeroDivisionError
    assert kinds(server) == [StreamAbort]
    assert client.call(Remote.CONNECT_GET_HOSTNAME) == "host.example"


def test_a_stream_that_the_server_breaks_off_raises_its_error_behind_its_data(client: Blocking) -> None:
    stream = client.open_stream(Remote.DOMAIN_OPEN_CONSOLE, WEB, None, 0)
    stream.send(b"crash")
    assert [stream.read(), stream.read()] == [b"login: ", b"crash"]
    with pytest.raises(OperationFailedError, match="the guest is gone"):
        stream.read()


def test_sending_on_a_broken_stream_raises_the_servers_error(client: Blocking) -> None:
    stream = client.open_stream(Remote.DOMAIN_OPEN_CONSOLE, WEB, None, 0)
    stream.send(b"crash")
    client.wait_for(lambda: stream.ended, patience(5))
    with pytest.raises(OperationFailedError, match="the guest is gone"):
        stream.send(b"x")
    with pytest.raises(OperationFailedError, match="the guest is gone"):
        stream.finish()


def test_much_data_goes_up_while_nothing_is_lost(server: FakeServer, client: Blocking) -> None:
    data = os.urandom(5_000_000)
    with client.open_stream(Remote.STORAGE_VOL_UPLOAD, VOLUME, 0, 0, 0) as stream:
        for at in range(0, len(data), 1_000_000):
            stream.send(data[at : at + 1_000_000])
        stream.send_eof()
    events = server.sessions[0].stream_events
    assert b"".join(event.data for event in events if isinstance(event, StreamData)) == data
    assert kinds(server)[-2:] == [StreamEof, StreamFinish]


def test_holes_go_up_where_the_call_allowed_them(server: FakeServer, client: Blocking) -> None:
    with client.open_stream(Remote.STORAGE_VOL_UPLOAD, VOLUME, 0, 0, 1) as stream:
        stream.send_hole(1 << 33)
    assert kinds(server) == [StreamHole, StreamFinish]
    with client.open_stream(Remote.STORAGE_VOL_UPLOAD, VOLUME, 0, 0, 0) as stream, pytest.raises(RpcError):
        stream.send_hole(1)


def test_two_streams_and_calls_share_the_connection(client: Blocking) -> None:
    with (
        client.open_stream(Remote.DOMAIN_OPEN_CONSOLE, WEB, None, 0) as one,
        client.open_stream(Remote.DOMAIN_OPEN_CONSOLE, WEB, None, 0) as other,
    ):
        one.send(b"to one")
        other.send(b"to other")
        assert client.call(Remote.CONNECT_GET_HOSTNAME) == "host.example"
        assert [other.read(), other.read()] == [b"login: ", b"to other"]
        assert [one.read(), one.read()] == [b"login: ", b"to one"]


def test_a_lost_connection_breaks_the_stream(server: FakeServer, client: Blocking) -> None:
    stream = client.open_stream(Remote.DOMAIN_OPEN_CONSOLE, WEB, None, 0)
    server.sessions[0].hang_up()
    with pytest.raises(OperationFailedError, match=r"ended the connection|broke"):
        list(stream)
