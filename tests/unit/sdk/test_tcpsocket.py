"""TCP to a daemon: in the clear, then in wrapped pieces, whole or in parts."""

import socket
import struct
from collections.abc import Iterator

import pytest

from insula.rpc.wrapping import WRAPPED_MAX
from insula.sdk.tcpsocket import TcpSocket
from tests.waiting import patience


class Layer:
    """Wraps by a letter in front."""

    piece = 4

    def wrap(self, data: bytes) -> bytes:
        return b"e" + data

    def unwrap(self, data: bytes) -> bytes:
        if data[:1] != b"e":
            raise OSError("it was not encrypted")
        return data[1:]


@pytest.fixture
def ends() -> Iterator[tuple[TcpSocket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = TcpSocket(socket.create_connection(listener.getsockname()))
        theirs, _ = listener.accept()
    with theirs:
        theirs.settimeout(patience(30))
        yield ours, theirs
        ours.close()


def wrapped(*pieces: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(each) + 1) + b"e" + each for each in pieces)


def received(ours: TcpSocket) -> bytes:
    while (found := ours.receive()) is None:
        pass
    return found[0]


def test_before_a_ticket_wraps_it_bytes_go_as_they_are(ends: tuple[TcpSocket, socket.socket]) -> None:
    ours, theirs = ends
    ours.send([(b"hello", None)])
    assert theirs.recv(100) == b"hello"
    theirs.sendall(b"there")
    assert received(ours) == b"there"
    assert ours.is_private, "it stays on this host"
    assert not ours.passes_fds


def test_then_they_go_in_pieces_and_come_together_again(ends: tuple[TcpSocket, socket.socket]) -> None:
    ours, theirs = ends
    ours.protect(Layer())
    ours.send([(b"hello", None), (b"you", None)])
    expected = wrapped(b"hell", b"o", b"you")
    assert theirs.recv(len(expected), socket.MSG_WAITALL) == expected
    theirs.sendall(wrapped(b"there", b"we")[:-1])
    assert received(ours) == b"there"
    theirs.sendall(b"e")
    assert received(ours) == b"we"
    theirs.close()
    assert received(ours) == b""


def test_what_does_not_go_at_once_goes_later_and_once(ends: tuple[TcpSocket, socket.socket]) -> None:
    ours, theirs = ends
    layer = Layer()
    layer.piece = 60_000
    ours.protect(layer)
    ours.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    data = bytes(range(256)) * 40_000
    ours.send([(data, None)])
    assert ours.has_unsent
    came = b""
    while True:
        ours.flush()
        if not ours.has_unsent:
            break
        came += theirs.recv(1 << 20)
    ours.socket.shutdown(socket.SHUT_WR)
    while more := theirs.recv(1 << 20):
        came += more
    plain = b""
    while came:
        (length,) = struct.unpack_from(">I", came)
        plain += came[5 : 4 + length]
        came = came[4 + length :]
    assert plain == data


@pytest.mark.parametrize("said", [struct.pack(">I", WRAPPED_MAX + 1), struct.pack(">I", 2) + b"px"])
def test_what_was_not_agreed_on_ends_it(ends: tuple[TcpSocket, socket.socket], said: bytes) -> None:
    ours, theirs = ends
    ours.protect(Layer())
    theirs.sendall(said)
    with pytest.raises(OSError, match=r"agreed on|not encrypted"):
        received(ours)


def test_without_a_layer_a_connection_to_elsewhere_is_not_private(
    ends: tuple[TcpSocket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, _ = ends

    class Afar:
        def getpeername(self) -> tuple[str, int]:
            return ("192.0.2.1", 16509)

    monkeypatch.setattr(ours, "socket", Afar())
    assert not ours.is_private
    ours.protect(Layer())
    assert ours.is_private
    monkeypatch.undo()
