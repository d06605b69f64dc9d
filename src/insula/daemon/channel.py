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

    def hang_up(self) -> None:
        """Say good-bye by TLS, if that can be said at once, and close."""
        with suppress(OSError, ValueError):
            self.socket.unwrap()
        self.socket.close()


def channel_of(connection: socket.socket) -> Channel:
    """Return the channel over a connected socket, which never blocks from now on."""
    connection.setblocking(False)
    return TlsChannel(connection) if isinstance(connection, ssl.SSLSocket) else LocalChannel(connection)
