"""A TCP connection to a daemon without TLS: in the clear until a ticket of Kerberos wraps it."""

import ipaddress
import socket

from insula.rpc.wrapping import SecurityLayer, WrappedPieces
from insula.sdk import unix


class TcpSocket(unix.UnixSocket):
    """One end of it."""

    passes_fds = False

    def __init__(self, connected: socket.socket) -> None:
        super().__init__(connected)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._pieces: WrappedPieces | None = None

    @property
    def is_private(self) -> bool:
        """Whether nobody else reads along: it is wrapped, or stays on this host."""
        return self._pieces is not None or ipaddress.ip_address(self.socket.getpeername()[0]).is_loopback

    def protect(self, layer: SecurityLayer) -> None:
        """Have all that goes and comes from now on wrapped."""
        self._pieces = WrappedPieces(layer)

    def receive(self) -> tuple[bytes, list[int]] | None:
        """See `UnixSocket`: all that can be unwrapped. Raises: OSError, also for what is not wrapped as agreed on."""
        try:
            data = self.socket.recv(unix.READ_SIZE)
        except BlockingIOError:
            return None
        if self._pieces is None or not data:
            return data, []
        self._pieces.feed(data)
        plain = b"".join(iter(self._pieces.take, None))
        return (plain, []) if plain else None

    def _write_one(self, data: memoryview, fd: int | None) -> int:
        """See `UnixSocket`. What is wrapped goes whole, or the same bytes are to be given again."""
        if self._pieces is None:
            return self._send(data)
        return self._pieces.write(data, self._send)

    def _send(self, data: bytes | memoryview) -> int:
        return self.socket.send(data, socket.MSG_NOSIGNAL)
