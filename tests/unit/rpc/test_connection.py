"""Two ends in memory: calls, answers, streams, messages, descriptors, and what happens when one of them misbehaves."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.errorcodes import ErrorCode, ErrorDomain
from insula.errors import (
    DomainNotFoundError,
    InternalError,
    NoSupportError,
    OperationFailedError,
    RpcError,
)
from insula.rpc.connection import (
    Call,
    Connection,
    Failure,
    Notification,
    Reply,
    Role,
)
from insula.rpc.error_record import unpack_error
from insula.rpc.frames import Frame, PacketType, Status, pack_frame
from insula.rpc.procedures import Insula, Keepalive, Lxc, Remote
from tests.unit.rpc.goldenframes import recorded
from tests.unit.rpc.play import WEB, Play, packet, sent


@pytest.fixture
def play() -> Play:
    return Play()


# Calls


def test_a_call_arrives_with_its_row_and_arguments_and_its_reply_with_values(play: Play) -> None:
    serial = play.client.call(Remote.DOMAIN_GET_STATE, dom=WEB, flags=0)
    (call,) = play.to_server()
    assert isinstance(call, Call)
    assert (call.procedure, call.serial, call.arguments) == (Remote.DOMAIN_GET_STATE, serial, (WEB, 0))
    assert call.arguments.dom.name == "web"
    assert play.server.reply(call, 1, 2) is None
    assert play.to_client() == [Reply(Remote.DOMAIN_GET_STATE, serial, (1, 2), (), None)]


def test_the_first_call_has_the_serial_zero_and_each_the_next(play: Play) -> None:
    assert [play.client.call(Remote.AUTH_LIST) for _ in range(3)] == [0, 1, 2]


def test_replies_in_any_order_find_their_calls(play: Play) -> None:
    serials = [play.client.call(Remote.DOMAIN_LOOKUP_BY_ID, number) for number in range(5)]
    calls = play.to_server()
    assert play.server.outstanding == 5
    for call in reversed(calls):
        assert isinstance(call, Call)
        play.server.reply(call, ("web", bytes(16), call.arguments.id))
    replies = play.to_client()
    assert [reply.serial for reply in replies if isinstance(reply, Reply)] == serials[::-1]
    assert [reply.values.dom.id for reply in replies if isinstance(reply, Reply)] == [4, 3, 2, 1, 0]
    assert (play.client.outstanding, play.server.outstanding) == (0, 0)


def test_an_error_arrives_as_the_same_exception(play: Play) -> None:
    call = play.called(Remote.DOMAIN_LOOKUP_BY_NAME, "nosuch")
    play.server.error(call, DomainNotFoundError("no domain 'nosuch'"))
    (failure,) = play.to_client()
    assert isinstance(failure, Failure)
    assert (failure.procedure, failure.serial) == (call.procedure, call.serial)
    assert isinstance(failure.error, DomainNotFoundError)
    assert failure.error.message == "Domain not found: no domain 'nosuch'"


def test_a_reply_that_does_not_fit_leaves_the_call_to_be_answered(play: Play) -> None:
    call = play.called(Remote.DOMAIN_GET_STATE, WEB, 0)
    with pytest.raises(RpcError):
        play.server.reply(call, "running", 1)
    with pytest.raises(RpcError):
        play.server.reply(call, 1)
    play.server.error(call, OperationFailedError("cannot tell"))
    (failure,) = play.to_client()
    assert isinstance(failure, Failure)


def test_a_call_is_answered_once(play: Play) -> None:
    call = play.called(Remote.AUTH_LIST)
    play.server.reply(call, [0])
    with pytest.raises(InternalError):
        play.server.reply(call, [0])
    with pytest.raises(InternalError):
        play.server.error(call, OperationFailedError("no"))


def test_arguments_that_do_not_fit_are_refused_before_anything_is_sent(play: Play) -> None:
    with pytest.raises(RpcError):
        play.client.call(Remote.DOMAIN_GET_STATE, WEB)
    with pytest.raises(RpcError):
        play.client.call(Remote.DOMAIN_GET_STATE, "web", 0)
    assert play.client.data_to_send() == []
    assert play.client.outstanding == 0


@given(cuts=st.lists(st.integers(1, 40), min_size=1))
def test_any_chunking_of_what_real_clients_send_gives_the_same_calls(cuts: list[int]) -> None:
    packets = [each for each in recorded() if each.sender == "client" and each.frame.type == PacketType.CALL][:20]
    stream = b"".join(packet(procedure=p.frame.procedure, serial=n, body=p.frame.body) for n, p in enumerate(packets))
    server, events = Connection(Role.SERVER), []
    while stream:
        cut = cuts[len(stream) % len(cuts)]
        events += server.receive_data(stream[:cut])
        stream = stream[cut:]
    assert [(e.procedure.number, e.procedure.arguments.pack(e.arguments)) for e in events if isinstance(e, Call)] == [
        (p.frame.procedure, p.frame.body) for p in packets
    ]


# What a server answers by itself


def answer_to(data: bytes) -> Failure:
    """What a server says to a packet, read by a client that had called with serial 0."""
    server, client = Connection(Role.SERVER), Connection(Role.CLIENT)
    assert server.receive_data(data) == []
    reply = sent(server)
    number = struct.unpack(">I", reply[12:16])[0]
    client.call(Remote.DOMAIN_GET_INFO, WEB)
    if number != 16:  # the client did not call that: let the reply look as if it had
        reply = reply[:4] + pack_frame(Frame(0x20008086, 1, 16, 1, 0, 1, b""))[4:28] + reply[28:]
    (failure,) = client.receive_data(reply)
    assert isinstance(failure, Failure)
    return failure


def test_an_unknown_procedure_is_refused_in_the_words_that_clients_look_for() -> None:
    error = answer_to(packet(procedure=9999)).error
    assert isinstance(error, NoSupportError)
    assert error.message == "unknown procedure: 9999"


def test_a_procedure_we_do_not_have_is_refused_by_its_public_name() -> None:
    error = answer_to(packet(procedure=211)).error
    assert isinstance(error, NoSupportError)
    assert error.message.startswith("this function is not supported by the connection driver: virDomainScreenshot: ")


def test_a_call_of_an_event_is_an_unknown_procedure() -> None:
    assert answer_to(packet(procedure=318)).error.message == "unknown procedure: 318"


def test_an_unknown_program_is_refused_under_its_own_number() -> None:
    server = Connection(Role.SERVER)
    assert server.receive_data(packet(program=0x06900690, procedure=1, serial=3)) == []
    reply = sent(server)
    assert struct.unpack(">IIIIII", reply[4:28]) == (0x06900690, 1, 1, PacketType.REPLY, 3, Status.ERROR)
    assert b"Cannot find program 110102160 version 1" in reply


def test_a_procedure_of_a_program_for_another_driver_is_refused_by_its_public_name() -> None:
    server = Connection(Role.SERVER)
    assert server.receive_data(packet(program=0x20008087, procedure=1, serial=3)) == []
    reply = sent(server)
    assert struct.unpack(">IIIIII", reply[4:28]) == (0x20008087, 1, 1, PacketType.REPLY, 3, Status.ERROR)
    error = unpack_error(reply[28:])
    assert (error.code, error.domain) == (ErrorCode.NO_SUPPORT, ErrorDomain.NONE)
    said = "this function is not supported by the connection driver: virDomainQemuMonitorCommand: "
    assert (error.message or "").startswith(said)


@pytest.mark.parametrize(
    "broken",
    [packet(version=2), packet(status=Status.ERROR), packet(body=b"\0\0\0\1"), packet(body=b"")],
    ids=["version", "status", "short", "empty"],
)
def test_a_call_that_makes_no_sense_is_refused_and_the_connection_goes_on(broken: bytes) -> None:
    assert answer_to(broken).error.code is ErrorCode.RPC


def test_after_a_refused_call_the_next_one_is_served(play: Play) -> None:
    play.server.receive_data(packet(procedure=9999, serial=77))
    sent(play.server)
    assert play.called(Remote.AUTH_LIST).procedure is Remote.AUTH_LIST


# What breaks a connection


@pytest.mark.parametrize("kind", [PacketType.REPLY, PacketType.REPLY_WITH_FDS, PacketType.MESSAGE, 99])
def test_a_server_takes_no_packets_of_a_servers_kind(kind: int) -> None:
    with pytest.raises(RpcError):
        Connection(Role.SERVER).receive_data(packet(type=kind))


@pytest.mark.parametrize("kind", [PacketType.CALL, PacketType.CALL_WITH_FDS, 99])
def test_a_client_takes_no_calls(kind: int) -> None:
    with pytest.raises(RpcError):
        Connection(Role.CLIENT).receive_data(packet(type=kind))


def test_a_serial_may_not_be_used_twice_at_the_same_time(play: Play) -> None:
    play.called(Remote.AUTH_LIST)
    with pytest.raises(RpcError, match="serial 0"):
        play.server.receive_data(packet(procedure=66, serial=0))


def test_a_serial_of_an_open_stream_may_not_be_used_again(play: Play) -> None:
    stream, _ = play.opened(Remote.DOMAIN_OPEN_CONSOLE, WEB, None, 0)
    with pytest.raises(RpcError):
        play.server.receive_data(packet(procedure=66, serial=stream.serial))


def test_a_reply_nobody_asked_for_breaks_the_connection(play: Play) -> None:
    with pytest.raises(RpcError):
        play.client.receive_data(packet(type=PacketType.REPLY, serial=5))


def test_a_reply_to_another_procedure_breaks_the_connection(play: Play) -> None:
    play.client.call(Remote.AUTH_LIST)
    with pytest.raises(RpcError):
        play.client.receive_data(packet(type=PacketType.REPLY, procedure=1))


def test_a_reply_that_makes_no_sense_breaks_the_connection(play: Play) -> None:
    play.client.call(Remote.AUTH_LIST)
    with pytest.raises(RpcError):
        play.client.receive_data(packet(type=PacketType.REPLY, procedure=66, body=b"\0\0\0\1"))


@given(junk=st.binary(max_size=300), role=st.sampled_from(Role))
def test_junk_breaks_a_connection_with_nothing_but_an_rpc_error(junk: bytes, role: Role) -> None:
    connection = Connection(role)
    try:
        connection.receive_data(junk)
    except RpcError:
        connection.unclaimed_fds()


@given(
    frames=st.lists(
        st.builds(
            Frame,
            program=st.sampled_from([0x20008086, 0x68000, 0x6B656570, 0x494E5355, 1]),
            version=st.sampled_from([1, 1, 1, 2]),
            procedure=st.sampled_from([1, 2, 10, 66, 201, 208, 212, 318]),
            type=st.sampled_from([0, 1, 2, 3, 6]),
            serial=st.integers(0, 3),
            status=st.sampled_from([0, 0, 1, 2]),
            body=st.binary(max_size=40),
            fds=st.just(()),
        ),
        max_size=8,
    ),
    role=st.sampled_from(Role),
)
def test_well_formed_nonsense_raises_nothing_but_an_rpc_error(frames: list[Frame], role: Role) -> None:
    connection = Connection(role)
    if role is Role.CLIENT:
        connection.call(Remote.AUTH_LIST)
        connection.call(Remote.DOMAIN_OPEN_CONSOLE, WEB, None, 0)
    for frame in frames:
        try:
            events = connection.receive_data(pack_frame(frame))
        except RpcError:
            break
        for event in events:
            if isinstance(event, Call) and len(event.procedure.results.names) == 0:
                connection.reply(event)


# Descriptors


def test_descriptors_travel_with_a_call_and_with_its_reply(play: Play) -> None:
    call = play.called(Insula.DOMAIN_EXEC, WEB, "{}", 0, fds=(10, 11, 12))
    assert call.fds == (10, 11, 12)
    play.server.reply(call, 1, 2, fds=[20])
    (reply,) = play.to_client()
    assert isinstance(reply, Reply)
    assert reply.fds == (20,)
    assert play.server.unclaimed_fds() == play.client.unclaimed_fds() == []


def test_each_descriptor_goes_with_a_byte_of_its_own_behind_its_packet(play: Play) -> None:
    play.client.call(Remote.AUTH_LIST)
    play.client.call(Insula.DOMAIN_EXEC, WEB, "{}", 0, fds=(10, 11))
    play.client.call(Remote.AUTH_LIST)
    outgoing = play.client.data_to_send()
    assert [fd for _, fd in outgoing] == [None, 10, 11, None]
    assert [len(data) for data, fd in outgoing if fd is not None] == [1, 1]


def test_descriptors_for_a_procedure_that_takes_none_are_refused_and_left_to_be_closed(play: Play) -> None:
    play.client.call(Remote.DOMAIN_DESTROY, WEB, fds=(10, 11))
    assert play.to_server() == []
    assert play.server.unclaimed_fds() == [10, 11]
    assert play.server.unclaimed_fds() == []
    (failure,) = play.to_client()
    assert isinstance(failure, Failure)


def test_descriptors_of_an_undecodable_call_are_left_to_be_closed() -> None:
    server = Connection(Role.SERVER)
    frame = Frame(0x494E5355, 1, 1, PacketType.CALL_WITH_FDS, 0, 0, b"junk", (10,))
    assert server.receive_data(pack_frame(frame) + b"\0", [10]) == []
    assert server.unclaimed_fds() == [10]


def test_descriptors_of_calls_that_nobody_gets_to_see_are_left_to_be_closed() -> None:
    sender, server = Connection(Role.CLIENT), Connection(Role.SERVER)
    sender.call(Insula.DOMAIN_EXEC, WEB, "{}", 0, fds=(10,))
    data = sent(sender)
    with pytest.raises(RpcError):
        server.receive_data(data + packet(type=99), [10])
    assert server.unclaimed_fds() == [10]


def test_a_reply_with_descriptors_nobody_expects_breaks_the_connection(play: Play) -> None:
    play.client.call(Remote.AUTH_LIST)
    frame = Frame(0x20008086, 1, 66, PacketType.REPLY_WITH_FDS, 0, 0, bytes(4), (10,))
    with pytest.raises(RpcError):
        play.client.receive_data(pack_frame(frame) + b"\0", [10])
    assert play.client.unclaimed_fds() == [10]


def test_namespaces_are_given_with_the_reply(play: Play) -> None:
    call = play.called(Lxc.DOMAIN_OPEN_NAMESPACE, WEB, 0)
    play.server.reply(call, fds=[5, 6, 7])
    (reply,) = play.to_client()
    assert isinstance(reply, Reply)
    assert reply.fds == (5, 6, 7)


# Messages and keepalive


def test_a_message_arrives_with_its_row_and_values(play: Play) -> None:
    play.server.message(Remote.DOMAIN_EVENT_CALLBACK_LIFECYCLE, 3, (WEB, 2, 0))
    (message,) = play.to_client()
    assert isinstance(message, Notification)
    assert message.procedure is Remote.DOMAIN_EVENT_CALLBACK_LIFECYCLE
    assert (message.values.callbackID, message.values.msg.dom, message.values.msg.event) == (3, WEB, 2)


def test_a_message_of_a_newer_server_is_passed_over(play: Play) -> None:
    assert play.client.receive_data(packet(type=PacketType.MESSAGE, procedure=999, body=b"news")) == []


@pytest.mark.parametrize("role", Role)
def test_a_ping_is_answered_at_once_by_either_end(role: Role) -> None:
    connection, other = Connection(role), Connection(Role.CLIENT)
    other.message(Keepalive.PING)
    assert connection.receive_data(sent(other)) == []
    assert sent(connection) == bytes.fromhex("0000001c 6b656570 00000001 00000002 00000002 00000000 00000000")


def test_a_pong_is_not_answered(play: Play) -> None:
    play.server.message(Keepalive.PONG)
    assert play.to_client() == []
    assert play.client.data_to_send() == []


def test_without_keepalive_time_may_pass(play: Play) -> None:
    assert play.server.deadline is None
    assert play.server.tick(1e9)
    assert play.server.data_to_send() == []


def test_a_silent_client_is_pinged_and_then_counts_as_dead(play: Play) -> None:
    play.server.start_keepalive(100.0, interval=5, count=2)
    assert play.server.deadline == 105.0
    assert play.server.tick(104.0)
    assert play.server.data_to_send() == []
    assert play.server.tick(105.0)
    assert len(sent(play.server)) == 28
    assert play.server.tick(110.0)
    assert not play.server.tick(115.0)


def test_a_client_that_answers_pings_lives_on(play: Play) -> None:
    play.server.start_keepalive(0.0, interval=5, count=1)
    for now in range(5, 100, 5):
        assert play.server.tick(float(now))
        play.to_client()
        play.to_server(now=float(now))


def test_keepalive_of_interval_zero_is_none(play: Play) -> None:
    play.server.start_keepalive(0.0, interval=0, count=5)
    assert play.server.deadline is None
