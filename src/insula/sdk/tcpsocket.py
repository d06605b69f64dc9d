"""A TCP connection to a daemon without TLS: in the clear until a ticket of Kerberos wraps it.

Wrapped, each piece is four bytes of length and what the layer makes of it. Source: RFC 4422, section 3.7.
"""

import errno
import ipaddress
import socket
import struct
from collections.abc import Iterator
from typing import Final

from insula.sdk import unix
from insula.sdk.tickets import WRAPPED_MAX, WrappingLayer

_LENGTH: Final = struct.Struct(">I")


class TcpSocket(unix.UnixSocket):
    """One end of it."""

    passes_fds = False

    def __init__(self, connected: socket.socket) -> None:
        super().__init__(connected)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._layer: WrappingLayer | None = None
        self._wrapped = bytearray()
        self._outgoing = b""
        self._covered = 0
        """Bytes that wait in their wrapping, of those that were last to be written."""

    @property
    def is_private(self) -> bool:
        """Whether nobody else reads along: it is wrapped, or stays on this host."""
        return self._layer is not None or ipaddress.ip_address(self.socket.getpeername()[0]).is_loopback

    def protect(self, layer: WrappingLayer) -> None:
        """Have all that goes and comes from now on wrapped."""
        self._layer = layer

    def receive(self) -> tuple[bytes, list[int]] | None:
        """See `UnixSocket`: all that can be unwrapped. Raises: OSError, also for what is not wrapped as agreed on."""
        try:
            data = self.socket.recv(unix.READ_SIZE)
        except BlockingIOError:
            return None
        if self._layer is None or not data:
            return data, []
        self._wrapped += data
        plain = b"".join(self._unwrapped(self._layer))
        return (plain, []) if plain else None

    def _unwrapped(self, layer: WrappingLayer) -> Iterator[bytes]:
        while len(self._wrapped) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._wrapped)
            if length > WRAPPED_MAX:
                raise OSError(errno.EPROTO, f"a wrapped piece of {length} bytes: at most {WRAPPED_MAX} were agreed on")
            end = _LENGTH.size + length
            if len(self._wrapped) < end:
                return
            yield layer.unwrap(bytes(self._wrapped[_LENGTH.size : end]))
            del self._wrapped[:end]

    def _write_one(self, data: memoryview, fd: int | None) -> int:
        """See `UnixSocket`. What is wrapped goes whole, or the same bytes are to be given again."""
        if self._layer is None:
            return self.socket.send(data, socket.MSG_NOSIGNAL)
        if not self._outgoing:
            piece = bytes(data[: self._layer.piece])
            wrapped = self._layer.wrap(piece)
            self._outgoing, self._covered = _LENGTH.pack(len(wrapped)) + wrapped, len(piece)
        while self._outgoing:
            self._outgoing = self._outgoing[self.socket.send(self._outgoing, socket.MSG_NOSIGNAL) :]
        return self._covered
