"""Channels: a local one passes descriptors, an encrypted one does not, and says when it holds something back."""

import os
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.daemon.channel import Channel, LocalChannel, TcpChannel, TlsChannel, channel_of
from insula.errors import RpcError
from insula.rpc.frames import FDS_MAX
from insula.rpc.wrapping import WRAPPED_MAX
from tests.authority import Authority
from tests.waiting import patience, until


@pytest.fixture
def local() -> Iterator[tuple[Channel, socket.socket]]:
    ours, theirs = socket.socketpair()
    channel = channel_of(ours)
    with ours, theirs:
        yield channel, theirs


def test_a_local_channel_passes_descriptors_both_ways(local: tuple[Channel, socket.socket]) -> None:
    channel, theirs = local
    assert isinstance(channel, LocalChannel) and channel.passes_fds and not channel.buffered
    with pytest.raises(BlockingIOError):
        channel.receive(100)
    with open(os.devnull, "rb") as null:
        socket.send_fds(theirs, [b"x"], [null.fileno()])
        data, fds = channel.receive(100)
        assert data == b"x" and len(fds) == 1
        assert channel.send(memoryview(b"y"), fds[0]) == 1
    data, fds, _, _ = socket.recv_fds(theirs, 10, 1)
    assert data == b"y" and len(fds) == 1
    os.close(fds[0])
    theirs.close()
    assert channel.receive(100) == (b"", [])


def test_more_descriptors_than_a_packet_may_carry_are_refused(local: tuple[Channel, socket.socket]) -> None:
    channel, theirs = local
    with open(os.devnull, "rb") as null:
        socket.send_fds(theirs, [b"x"], [null.fileno()] * (FDS_MAX + 1))
        with pytest.raises(RpcError):
            channel.receive(100)


@pytest.mark.requires("openssl")
def test_an_encrypted_channel_says_what_it_holds_back(tmp_path: Path) -> None:
    server = Authority(tmp_path / "authority").issue("server", "/CN=server", tmp_path / "server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server / "servercert.pem", server / "serverkey.pem")
    trusting = ssl.create_default_context(cafile=server / "cacert.pem")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(patience(60))
        theirs.settimeout(patience(60))
        shaken: list[ssl.SSLSocket] = []
        client = threading.Thread(
            target=lambda: shaken.append(trusting.wrap_socket(theirs, server_hostname="localhost"))
        )
        client.start()
        channel = channel_of(context.wrap_socket(ours, server_side=True))
        client.join()
        (peer,) = shaken
        assert isinstance(channel, TlsChannel) and not channel.passes_fds
        with pytest.raises(BlockingIOError):
            channel.receive(100)
        peer.sendall(b"abcdef")
        assert until(lambda: _received(channel, 4), "what was sent", 30) == (b"abcd", []) and channel.buffered
        assert channel.receive(4) == (b"ef", []) and not channel.buffered
        assert channel.send(memoryview(b"answer"), None) == 6 and peer.recv(10) == b"answer"
        channel.hang_up()
        assert peer.recv(10) == b""
        peer.close()


def _received(channel: Channel, size: int) -> tuple[bytes, list[int]] | None:
    try:
        return channel.receive(size)
    except BlockingIOError:
        return None


class Mirror:
    """Wraps by turning each byte around, with a byte in front."""

    piece = 1000

    def wrap(self, data: bytes) -> bytes:
        return b"!" + bytes(255 - each for each in data)

    def unwrap(self, data: bytes) -> bytes:
        if data[:1] != b"!":
            raise OSError("not wrapped")
        return bytes(255 - each for each in data[1:])


def framed(data: bytes) -> bytes:
    wrapped = Mirror().wrap(data)
    return len(wrapped).to_bytes(4, "big") + wrapped


@pytest.fixture
def tcp() -> Iterator[tuple[TcpChannel, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        theirs = socket.create_connection(server.getsockname(), timeout=patience(30))
        ours, _ = server.accept()
    channel = channel_of(ours)
    assert isinstance(channel, TcpChannel) and not channel.passes_fds
    with ours, theirs:
        yield channel, theirs


def received(channel: Channel, size: int = 100) -> bytes:
    found: list[bytes] = []

    def one() -> bool:
        try:
            found.append(channel.receive(size)[0])
        except BlockingIOError:
            return False
        return True

    until(one, "bytes that have come", 20)
    return found[0]


def test_tcp_is_as_it_is_until_it_is_wrapped(tcp: tuple[TcpChannel, socket.socket]) -> None:
    channel, theirs = tcp
    theirs.sendall(b"plain")
    assert received(channel) == b"plain" and channel.send(memoryview(b"too"), None) == 3
    assert theirs.recv(10) == b"too"
    channel.protect(Mirror())
    theirs.sendall(framed(b"first") + framed(b"second")[:7])
    assert received(channel, 3) == b"fir" and channel.buffered
    assert received(channel) == b"st" and not channel.buffered
    with pytest.raises(BlockingIOError):
        channel.receive(100)
    theirs.sendall(framed(b"second")[7:] + framed(b"third") + framed(b""))
    assert received(channel) == b"second" and channel.buffered
    assert received(channel) == b"third"
    theirs.close()
    assert received(channel) == b""


def test_what_is_sent_goes_in_pieces_and_each_whole(tcp: tuple[TcpChannel, socket.socket]) -> None:
    channel, theirs = tcp
    channel.protect(Mirror())
    assert channel.send(memoryview(b"x" * 2500), None) == Mirror.piece
    assert theirs.recv(5000) == framed(b"x" * Mirror.piece)
    sent, data = 0, memoryview(b"y" * 900)
    while _goes(channel, data):
        sent += len(data)
    whole = framed(b"y" * 900)
    taken = b""
    while len(taken) < sent // 900 * len(whole):
        taken += theirs.recv(65536)
    until(lambda: _goes(channel, data), "room for the rest", 20)
    while len(taken) < (sent // 900 + 1) * len(whole):
        taken += theirs.recv(65536)
    assert taken == whole * (sent // 900 + 1), "a piece that waited is not wrapped twice"


def _goes(channel: Channel, data: memoryview) -> bool:
    try:
        return channel.send(data, None) == len(data)
    except BlockingIOError:
        return False


@pytest.mark.parametrize(
    "data",
    [(WRAPPED_MAX + 1).to_bytes(4, "big"), b"\xff" * 4, b"\0\0\0\5plain", b"\0\0\0\0", b"GET / HTTP/1.1\r\n\r\n"],
)
def test_what_is_not_wrapped_or_too_long_ends_the_connection(
    tcp: tuple[TcpChannel, socket.socket], data: bytes
) -> None:
    channel, theirs = tcp
    channel.protect(Mirror())
    theirs.sendall(data)
    with pytest.raises(OSError) as raised:  # noqa: PT011 - but no BlockingIOError
        received(channel)
    assert not isinstance(raised.value, BlockingIOError)


def test_a_piece_that_is_too_long_behind_a_good_one_is_told_by_who_receives(
    tcp: tuple[TcpChannel, socket.socket],
) -> None:
    channel, theirs = tcp
    channel.protect(Mirror())
    theirs.sendall(framed(b"good") + b"\xff" * 4)
    until(lambda: channel.socket.recv(100, socket.MSG_PEEK).endswith(b"\xff" * 4), "all of it", 20)
    assert channel.receive(100) == (b"good", [])
    assert channel.buffered
    with pytest.raises(OSError, match="a wrapped piece of"):
        channel.receive(100)


def test_pieces_with_nothing_in_them_keep_nobody_busy(tcp: tuple[TcpChannel, socket.socket]) -> None:
    channel, theirs = tcp
    channel.protect(Mirror())
    theirs.sendall(framed(b"") * 3 + framed(b"after"))
    until(lambda: channel.socket.recv(100, socket.MSG_PEEK).endswith(framed(b"after")), "all of it", 20)
    for _ in range(3):
        with pytest.raises(BlockingIOError):
            channel.receive(100)
        assert channel.buffered, "so that it is asked again"
    assert channel.receive(100) == (b"after", [])
