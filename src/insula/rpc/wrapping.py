"""What a connection without TLS is wrapped in once both ends know each other by SASL, whichever end this is.

Then it is pieces: four bytes of length, and what a layer makes of some bytes. Source: RFC 4422, section 3.7.
"""

import errno
import struct
from collections.abc import Callable
from typing import Any, Final, Protocol

WRAPPED_MAX: Final = 64 * 1024
"""Bytes of a wrapped piece that we take."""
_LENGTH: Final = struct.Struct(">I")


class SecurityLayer(Protocol):
    """What wraps every byte once both know each other, where nothing else encrypts the connection."""

    @property
    def piece(self) -> int:
        """Bytes that may be wrapped at once."""

    def wrap(self, data: bytes) -> bytes:
        """Return encrypted bytes. Raises: OSError."""

    def unwrap(self, data: bytes) -> bytes:
        """Return what was wrapped. Raises: OSError for what the other side has not wrapped, or not now."""


class KerberosLayer:
    """Encrypts by the key of a ticket."""

    def __init__(self, context: Any, piece: int, refusal: type[Exception]) -> None:
        """context: of GSSAPI, established; refusal: what its library raises."""
        self.piece = piece
        self._context = context
        self._refusal = refusal

    def wrap(self, data: bytes) -> bytes:
        """See `SecurityLayer`."""
        try:
            return bytes(self._context.wrap(data, True).message)
        except self._refusal as error:
            raise OSError(errno.EPROTO, f"Kerberos does not encrypt: {error}") from error

    def unwrap(self, data: bytes) -> bytes:
        """See `SecurityLayer`."""
        try:
            message, encrypted, _ = self._context.unwrap(data)
        except self._refusal as error:
            raise OSError(errno.EPROTO, f"it was not encrypted by this ticket, or came twice: {error}") from error
        if not encrypted:
            raise OSError(errno.EPROTO, "it was not encrypted")
        return bytes(message)


class WrappedPieces:
    """The pieces of one connection, both ways."""

    def __init__(self, layer: SecurityLayer) -> None:
        self._layer = layer
        self._arrived = bytearray()
        self._outgoing = b""
        self._covered = 0
        """Bytes that wait in their wrapping, of those that write() was last given."""

    def feed(self, data: bytes) -> None:
        """Take what has arrived."""
        self._arrived += data

    def is_whole(self) -> bool:
        """Whether a piece is all there. Raises: OSError for one that is too long."""
        return self._end() is not None

    def take(self) -> bytes | None:
        """Return what was in the next piece, which may be nothing; None if it is not all there. Raises: OSError."""
        end = self._end()
        if end is None:
            return None
        plain = self._layer.unwrap(bytes(self._arrived[_LENGTH.size : end]))
        del self._arrived[:end]
        return plain

    def write(self, data: memoryview, send: Callable[[bytes], int]) -> int:
        """Send the beginning of data by `send`, which says how much went; return how many bytes of data that were.

        A piece goes whole: if `send` raises BlockingIOError, the same bytes are to be given again.
        """
        if not self._outgoing:
            piece = bytes(data[: self._layer.piece])
            wrapped = self._layer.wrap(piece)
            self._outgoing, self._covered = _LENGTH.pack(len(wrapped)) + wrapped, len(piece)
        while self._outgoing:
            self._outgoing = self._outgoing[send(self._outgoing) :]
        return self._covered

    def _end(self) -> int | None:
        if len(self._arrived) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._arrived)
        if length > WRAPPED_MAX:
            raise OSError(errno.EPROTO, f"a wrapped piece of {length} bytes: at most {WRAPPED_MAX} were agreed on")
        end = _LENGTH.size + int(length)
        return end if len(self._arrived) >= end else None
