"""Pieces of a wrapped connection, by a layer that only marks what it wraps."""

import errno
import struct

import pytest

from insula.rpc.wrapping import WRAPPED_MAX, KerberosLayer, WrappedPieces


class Marking:
    piece = 4

    def wrap(self, data: bytes) -> bytes:
        return b"w" + data

    def unwrap(self, data: bytes) -> bytes:
        if data[:1] != b"w":
            raise OSError(errno.EPROTO, "not wrapped")
        return data[1:]


def test_what_is_written_in_pieces_is_taken_whatever_the_parts_it_arrives_in() -> None:
    there, here, sent = WrappedPieces(Marking()), WrappedPieces(Marking()), bytearray()

    def send(data: bytes) -> int:
        sent.extend(data[:3])
        return len(data[:3])

    said = memoryview(b"all is said")
    while said:
        said = said[there.write(said, send) :]
    got = b""
    for each in sent:
        assert not here.is_whole()
        here.feed(bytes((each,)))
        got += here.take() or b""
    assert got == b"all is said"


def test_a_piece_goes_on_where_it_stopped() -> None:
    there, here, sent, room = WrappedPieces(Marking()), WrappedPieces(Marking()), bytearray(), [6]

    def send(data: bytes) -> int:
        if not room:
            raise BlockingIOError
        count = room.pop()
        sent.extend(data[:count])
        return count

    with pytest.raises(BlockingIOError):
        there.write(memoryview(b"word"), send)
    room.append(100)
    assert there.write(memoryview(b"word"), send) == 4
    here.feed(bytes(sent[:9]))
    assert here.take() == b"word"


def test_nothing_may_be_wrapped() -> None:
    pieces = WrappedPieces(Marking())
    pieces.feed(struct.pack(">I", 1) + b"w")
    assert pieces.take() == b""
    assert pieces.take() is None


def test_a_piece_that_is_too_long_is_an_error_before_it_has_arrived() -> None:
    pieces = WrappedPieces(Marking())
    pieces.feed(struct.pack(">I", WRAPPED_MAX + 1))
    for asked in (pieces.is_whole, pieces.take):
        with pytest.raises(OSError, match="at most 65536"):
            asked()


class RefusalError(Exception):
    pass


class Context:
    """GSSAPI's, whose words here are the message and whether it is encrypted."""

    def __init__(self, *, encrypts: bool = True, refuses: bool = False) -> None:
        self.message, self._encrypts, self._refuses = b"", encrypts, refuses

    def wrap(self, data: bytes, _: bool) -> "Context":
        if self._refuses:
            raise RefusalError("expired")
        self.message = data[::-1]
        return self

    def unwrap(self, data: bytes) -> tuple[bytes, bool, int]:
        if self._refuses:
            raise RefusalError("replayed")
        return data[::-1], self._encrypts, 0


def test_a_ticket_wraps_and_unwraps() -> None:
    layer = KerberosLayer(Context(), 10, RefusalError)
    assert layer.unwrap(layer.wrap(b"said")) == b"said"


@pytest.mark.parametrize(
    ("context", "why"),
    [(Context(refuses=True), "by this ticket, or came twice: replayed"), (Context(encrypts=False), "not encrypted")],
)
def test_what_a_ticket_did_not_encrypt_is_an_error(context: Context, why: str) -> None:
    with pytest.raises(OSError, match=why):
        KerberosLayer(context, 10, RefusalError).unwrap(b"said")


def test_a_ticket_that_encrypts_no_more_is_an_error() -> None:
    with pytest.raises(OSError, match="does not encrypt: expired"):
        KerberosLayer(Context(refuses=True), 10, RefusalError).wrap(b"said")
