"""Channels: a local one passes descriptors, an encrypted one does not, and says when it holds something back."""

import os
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.daemon.channel import Channel, LocalChannel, TlsChannel, channel_of
from insula.errors import RpcError
from insula.rpc.frames import FDS_MAX
from tests.authority import Authority
from tests.waiting import scaled, until


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
        ours.settimeout(scaled(60))
        theirs.settimeout(scaled(60))
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
