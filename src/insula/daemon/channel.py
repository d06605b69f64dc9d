"""The bytes of one connection, with descriptors beside them where it is local, encrypted where it comes from afar.

Never blocking: what cannot be done now raises BlockingIOError.
"""

import os
import socket
import ssl
from contextlib import suppress
from typing import Final, Protocol

from insula.daemon.partings import FD_SPACE, descriptors, hang_up, part_with
from insula.errors import RpcError
from insula.kernel.fds import close_all
from insula.rpc.frames import FDS_MAX
from insula.rpc.wrapping import SecurityLayer, WrappedPieces

_CUT: Final = int(socket.MSG_CTRUNC)
"""As a number: operators of enums are Python's own functions, and this is asked at every read."""


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
    """A TCP connection without TLS, as it is until it is protected."""

    passes_fds = False

    def __init__(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = connection
        self._pieces: WrappedPieces | None = None
        self._plain = b""

    @property
    def buffered(self) -> bool:
        """Whether bytes were unwrapped and not taken, or can be; or what came is wrong, which receive tells."""
        try:
            return bool(self._plain) or (self._pieces is not None and self._pieces.is_whole())
        except OSError:
            return True

    def receive(self, size: int) -> tuple[bytes, list[int]]:
        """See `Channel`."""
        if self._pieces is None:
            return self.socket.recv(size), []
        if not self._plain:
            if not self._pieces.is_whole():
                if not (data := self.socket.recv(size)):
                    return b"", []
                self._pieces.feed(data)
            self._plain = self._pieces.take() or b""
        if not self._plain:  # which a piece may be, too: the next one has to wait for its turn
            raise BlockingIOError
        data, self._plain = self._plain[:size], self._plain[size:]
        return data, []

    def send(self, data: memoryview, fd: int | None) -> int:
        """See `Channel`. What is wrapped goes whole, or the same bytes are to be given again."""
        close_all([] if fd is None else [fd])
        if self._pieces is None:
            return self._send(data)
        return self._pieces.write(data, self._send)

    def protect(self, layer: SecurityLayer) -> None:
        """See `Channel`."""
        self._pieces = WrappedPieces(layer)

    def hang_up(self) -> None:
        """See `Channel`."""
        self.socket.close()

    def _send(self, data: bytes | memoryview) -> int:
        return self.socket.send(data, socket.MSG_NOSIGNAL)


def channel_of(connection: socket.socket) -> Channel:
    """Return the channel over a connected socket, which never blocks from now on."""
    connection.setblocking(False)
    if isinstance(connection, ssl.SSLSocket):
        return TlsChannel(connection)
    return LocalChannel(connection) if connection.family == socket.AF_UNIX else TcpChannel(connection)
