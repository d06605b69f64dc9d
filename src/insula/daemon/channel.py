"""The bytes of one connection, with descriptors beside them where it is local, encrypted where it comes from afar.

Never blocking: what cannot be done now raises BlockingIOError.
"""

import os
import socket
import ssl
import struct
from contextlib import suppress
from typing import Final, Protocol

from insula.daemon.authority.saslmechanism import SecurityLayer
from insula.daemon.partings import FD_SPACE, descriptors, hang_up, part_with
from insula.errors import RpcError
from insula.kernel.fds import close_all
from insula.rpc.frames import FDS_MAX

_CUT: Final = int(socket.MSG_CTRUNC)
"""As a number: operators of enums are Python's own functions, and this is asked at every read."""


WRAPPED_MAX: Final = 64 * 1024
"""Bytes that a client may wrap into one piece; it is told so before it does."""
_LENGTH: Final = struct.Struct(">I")


class Channel(Protocol):
    """One end of a connection."""

    @property
    def socket(self) -> socket.socket:
        """What to watch for what comes and what can go."""

    @property
    def passes_fds(self) -> bool:
        """Whether descriptors can go along."""

    @property
    def buffered(self) -> bool:
        """Whether there is more to receive although the socket may have nothing more."""

    def receive(self, size: int) -> tuple[bytes, list[int]]:
        """Return at most so many bytes, none at the end, and descriptors, which are the caller's.

        Raises: BlockingIOError, OSError; RpcError for more descriptors than a packet may carry.
        """

    def send(self, data: memoryview, fd: int | None) -> int:
        """Return how many bytes went; a descriptor that went along is closed. Raises: BlockingIOError, OSError."""

    def protect(self, layer: SecurityLayer) -> None:
        """Have all that goes and comes from now on wrapped."""

    def hang_up(self) -> None:
        """End the connection."""


class LocalChannel:
    """A UNIX stream socket.

    asyncio's own transports would read the byte that carries a descriptor and let the kernel drop the descriptor; so
    this reads with recvmsg(2). Each descriptor to send goes with a byte of its own.
    """

    passes_fds = True
    buffered = False

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection

    def receive(self, size: int) -> tuple[bytes, list[int]]:
        """See `Channel`."""
        data, ancillary, flags, _ = self.socket.recvmsg(size, FD_SPACE, socket.MSG_CMSG_CLOEXEC)
        fds = descriptors(ancillary)
        if flags & _CUT or len(fds) > FDS_MAX:
            part_with(fds)
            raise RpcError("more file descriptors at once than a packet may carry")
        if not data:
            part_with(fds)
            fds = []
        return data, fds

    def send(self, data: memoryview, fd: int | None) -> int:
        """See `Channel`."""
        if fd is None:
            return self.socket.send(data, socket.MSG_NOSIGNAL)
        count = socket.send_fds(self.socket, [data], [fd], socket.MSG_NOSIGNAL)
        os.close(fd)
        return count

    def protect(self, layer: SecurityLayer) -> None:
        """See `Channel`. Nothing of this leaves the host."""

    def hang_up(self) -> None:
        """See `Channel`."""
        hang_up(self.socket)


class TlsChannel:
    """A TCP connection on which hands have been shaken."""

    passes_fds = False

    def __init__(self, connection: ssl.SSLSocket) -> None:
        self.socket: ssl.SSLSocket = connection

    @property
    def buffered(self) -> bool:
        """Whether a record has been decrypted that was not taken whole: the kernel has nothing of it any more."""
        return self.socket.pending() > 0

    def receive(self, size: int) -> tuple[bytes, list[int]]:
        """See `Channel`."""
        try:
            return self.socket.recv(size), []
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            raise BlockingIOError from error

    def send(self, data: memoryview, fd: int | None) -> int:
        """See `Channel`. A descriptor is never let come as far as here."""
        close_all([] if fd is None else [fd])
        try:
            return self.socket.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            raise BlockingIOError from error

    def protect(self, layer: SecurityLayer) -> None:
        """See `Channel`. All of this is encrypted already."""

    def hang_up(self) -> None:
        """Say good-bye by TLS, if that can be said at once, and close."""
        with suppress(OSError, ValueError):
            self.socket.unwrap()
        self.socket.close()


class TcpChannel:
    """A TCP connection without TLS, as it is until it is protected.

    Wrapped, each piece is four bytes of length and what the layer makes of it. Source: RFC 4422, section 3.7.
    """

    passes_fds = False

    def __init__(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = connection
        self._layer: SecurityLayer | None = None
        self._wrapped = bytearray()
        self._plain = b""
        self._outgoing = b""
        self._covered = 0
        """Bytes that wait in their wrapping, of those that send() was last given."""

    @property
    def buffered(self) -> bool:
        """Whether bytes were unwrapped and not taken, or can be; or what came is wrong, which receive tells."""
        try:
            return bool(self._plain) or self._whole() is not None
        except OSError:
            return True

    def receive(self, size: int) -> tuple[bytes, list[int]]:
        """See `Channel`."""
        if self._layer is None:
            return self.socket.recv(size), []
        if not self._plain and self._whole() is None:
            if not (data := self.socket.recv(size)):
                return b"", []
            self._wrapped += data
        if not self._plain and (end := self._whole()) is not None:
            self._plain = self._layer.unwrap(bytes(self._wrapped[_LENGTH.size : end]))
            del self._wrapped[:end]
        if not self._plain:  # which a piece may be, too: the next one has to wait for its turn
            raise BlockingIOError
        data, self._plain = self._plain[:size], self._plain[size:]
        return data, []

    def send(self, data: memoryview, fd: int | None) -> int:
        """See `Channel`. What is wrapped goes whole, or the same bytes are to be given again."""
        close_all([] if fd is None else [fd])
        if self._layer is None:
            return self.socket.send(data, socket.MSG_NOSIGNAL)
        if not self._outgoing:
            piece = bytes(data[: self._layer.piece])
            wrapped = self._layer.wrap(piece)
            self._outgoing, self._covered = _LENGTH.pack(len(wrapped)) + wrapped, len(piece)
        while self._outgoing:
            self._outgoing = self._outgoing[self.socket.send(self._outgoing, socket.MSG_NOSIGNAL) :]
        return self._covered

    def protect(self, layer: SecurityLayer) -> None:
        """See `Channel`."""
        self._layer = layer

    def hang_up(self) -> None:
        """See `Channel`."""
        self.socket.close()

    def _whole(self) -> int | None:
        """Return where the first wrapped piece ends that is all there. Raises: OSError for one that is too long."""
        if self._layer is None or len(self._wrapped) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._wrapped)
        if length > WRAPPED_MAX:
            raise OSError(f"a wrapped piece of {length} bytes: at most {WRAPPED_MAX} were agreed on")
        end = _LENGTH.size + int(length)
        return end if len(self._wrapped) >= end else None


def channel_of(connection: socket.socket) -> Channel:
    """Return the channel over a connected socket, which never blocks from now on."""
    connection.setblocking(False)
    if isinstance(connection, ssl.SSLSocket):
        return TlsChannel(connection)
    return LocalChannel(connection) if connection.family == socket.AF_UNIX else TcpChannel(connection)
