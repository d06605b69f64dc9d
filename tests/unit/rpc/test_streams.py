"""Streams between two ends in memory: data, holes, the handshake at the end, and both ends closing at once."""

import struct

import pytest

from insula.errors import InternalError, OperationFailedError, RpcError
from insula.rpc.connection import (
    Reply,
    Stream,
    StreamAbort,
    StreamData,
    StreamEof,
    StreamFinish,
    StreamHole,
    StreamState,
)
from insula.rpc.frames import STREAM_DATA_MAX, PacketType, Status
from insula.rpc.procedures import Remote
from tests.unit.rpc.play import VOLUME, WEB, Play, packet, sent


@pytest.fixture
def play() -> Play:
    return Play()


@pytest.fixture
def console(play: Play) -> tuple[Stream, Stream]:
    return play.opened(Remote.DOMAIN_OPEN_CONSOLE, WEB, None, 0)


def test_data_goes_both_ways_on_an_open_stream(play: Play, console: tuple[Stream, Stream]) -> None:
    here, there = console
    play.server.send_data(here, b"login: ")
    assert play.to_client() == [StreamData(there, b"login: ")]
    play.client.send_data(there, b"root\n")
    assert play.to_server() == [StreamData(here, b"root\n")]


def test_long_data_goes_in_packets_of_the_size_that_libvirt_sends(play: Play, console: tuple[Stream, Stream]) -> None:
    data = bytes(range(256)) * 2048
    play.server.send_data(console[0], data)
    pieces = [event.data for event in play.to_client() if isinstance(event, StreamData)]
    assert [len(piece) for piece in pieces] == [STREAM_DATA_MAX, STREAM_DATA_MAX, len(data) - 2 * STREAM_DATA_MAX]
    assert b"".join(pieces) == data


def test_a_server_ends_a_stream_by_eof_and_the_client_finishes_it(play: Play, console: tuple[Stream, Stream]) -> None:
    here, there = console
    play.server.send_eof(here)
    assert play.to_client() == [StreamEof(there)]
    play.client.finish(there)
    assert play.to_server() == [StreamFinish(here)]
    play.server.finish(here)
    assert play.to_client() == [StreamFinish(there)]
    assert here.state is there.state is StreamState.CLOSED


def test_the_packets_of_a_finished_stream_are_28_bytes_each(play: Play, console: tuple[Stream, Stream]) -> None:
    play.client.finish(console[1])
    assert sent(play.client)[16:28] == struct.pack(">III", PacketType.STREAM, console[1].serial, Status.OK)


def test_a_server_may_refuse_a_finish(play: Play) -> None:
    here, there = play.opened(Remote.STORAGE_VOL_UPLOAD, VOLUME, 0, 0, 0)
    play.client.send_data(there, b"data")
    play.client.finish(there)
    assert play.to_server() == [StreamData(here, b"data"), StreamFinish(here)]
    play.server.abort(here, OperationFailedError("the disk is full"))
    (abort,) = play.to_client()
    assert isinstance(abort, StreamAbort)
    assert abort.error is not None
    assert abort.error.message == "operation failed: the disk is full"
    assert here.state is there.state is StreamState.CLOSED


def test_a_server_does_not_finish_before_the_client(play: Play, console: tuple[Stream, Stream]) -> None:
    with pytest.raises(InternalError):
        play.server.finish(console[0])


def test_a_client_gives_up_and_is_confirmed_at_once(play: Play, console: tuple[Stream, Stream]) -> None:
    here, there = console
    play.client.abort(there)
    play.server.send_data(here, b"still under way")
    assert play.to_server() == [StreamAbort(here, None)]
    assert play.to_client() == [StreamFinish(there)]
    assert here.state is there.state is StreamState.CLOSED


def test_a_server_breaks_a_stream_off_and_swallows_what_still_comes(play: Play, console: tuple[Stream, Stream]) -> None:
    here, there = console
    play.client.send_data(there, b"typed")
    play.client.finish(there)
    play.server.abort(here, OperationFailedError("the guest is gone"))
    assert play.to_server() == []
    (abort,) = play.to_client()
    assert isinstance(abort, StreamAbort)
    assert play.to_server() == []


def test_a_server_that_aborts_says_why(play: Play, console: tuple[Stream, Stream]) -> None:
    with pytest.raises(InternalError):
        play.server.abort(console[0])


def test_nothing_is_sent_on_a_closed_stream(play: Play, console: tuple[Stream, Stream]) -> None:
    here, there = console
    play.server.abort(here, OperationFailedError("over"))
    play.to_client()
    for connection, stream in ((play.server, here), (play.client, there)):
        connection.send_data(stream, b"late")
        connection.send_eof(stream)
        connection.finish(stream)
        connection.abort(stream)
        assert connection.data_to_send() == []


def test_several_streams_live_side_by_side(play: Play) -> None:
    pairs = [play.opened(Remote.DOMAIN_OPEN_CONSOLE, WEB, None, 0) for _ in range(3)]
    for number, (here, _) in enumerate(pairs):
        play.server.send_data(here, bytes([number + 65]))
    assert play.to_client() == [
        StreamData(pairs[0][1], b"A"),
        StreamData(pairs[1][1], b"B"),
        StreamData(pairs[2][1], b"C"),
    ]


def test_a_failed_call_opens_no_stream(play: Play) -> None:
    call = play.called(Remote.DOMAIN_OPEN_CONSOLE, WEB, None, 0)
    play.server.error(call, OperationFailedError("it is off"))
    play.to_client()
    late = packet(type=PacketType.STREAM, procedure=201, serial=call.serial, status=Status.CONTINUE, body=b"x")
    assert play.client.receive_data(late) == []
    assert play.server.receive_data(late) == []


def test_data_may_overtake_the_reply_that_opens_its_stream(play: Play) -> None:
    serial = play.client.call(Remote.DOMAIN_OPEN_CONSOLE, WEB, None, 0)
    early = packet(type=PacketType.STREAM, procedure=201, serial=serial, status=Status.CONTINUE, body=b"x")
    (data,) = play.client.receive_data(early)
    (reply,) = play.client.receive_data(packet(type=PacketType.REPLY, procedure=201, serial=serial))
    assert isinstance(data, StreamData)
    assert isinstance(reply, Reply)
    assert data.stream is reply.stream


def test_holes_travel_both_ways_on_a_sparse_stream(play: Play) -> None:
    here, there = play.opened(Remote.STORAGE_VOL_UPLOAD, VOLUME, 0, 0, 1)
    play.client.send_hole(there, 1 << 40)
    assert play.to_server() == [StreamHole(here, 1 << 40)]
    play.server.send_hole(here, 5)
    assert play.to_client() == [StreamHole(there, 5)]


def test_a_hole_where_none_is_allowed_is_neither_sent_nor_taken(play: Play) -> None:
    here, there = play.opened(Remote.STORAGE_VOL_UPLOAD, VOLUME, 0, 0, 0)
    with pytest.raises(RpcError):
        play.client.send_hole(there, 5)
    hole = packet(type=PacketType.STREAM_HOLE, procedure=208, serial=here.serial, status=2, body=bytes(12))
    with pytest.raises(RpcError):
        play.server.receive_data(hole)


def test_a_hole_of_negative_length_breaks_the_connection(play: Play) -> None:
    here, _ = play.opened(Remote.STORAGE_VOL_UPLOAD, VOLUME, 0, 0, 1)
    body = struct.pack(">qI", -1, 0)
    with pytest.raises(RpcError):
        play.server.receive_data(packet(type=6, procedure=208, serial=here.serial, status=2, body=body))


def test_a_second_finish_breaks_the_connection(play: Play, console: tuple[Stream, Stream]) -> None:
    finish = packet(type=PacketType.STREAM, procedure=201, serial=console[0].serial)
    play.server.receive_data(finish)
    with pytest.raises(RpcError):
        play.server.receive_data(finish)
