"""A client that says what no client of libvirt's would: blocking, a socket and the protocol's own client role."""

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from insula.rpc.arrivals import Arrival, Failure, Reply, Role
from insula.rpc.connection import Connection
from insula.rpc.procedures import Procedure, Remote
from tests.waiting import patience


class RawClient:
    """One connection; `opened` by CONNECT_OPEN or not."""

    def __init__(self, path: Path, *, opened: bool = True, uid: int = 0) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(patience(30))
        with _as_user(uid):
            self.socket.connect(str(path))
        self._connection = Connection(Role.CLIENT)
        self._events: list[Arrival] = []
        if opened:
            self.call(Remote.CONNECT_OPEN, "lxc:///system", 0)

    def begin(self, procedure: Procedure, *arguments: Any) -> int:
        """Send a call without waiting for its answer; return its serial."""
        serial = self._connection.call(procedure, *arguments)
        self.send(b"".join(data for data, _ in self._connection.data_to_send()))
        return serial

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def call(self, procedure: Procedure, *arguments: Any) -> Any:
        """Return the values of the answer. Raises: InsulaError that the daemon answered; ConnectionError."""
        return self.answer(self.begin(procedure, *arguments))

    def answer(self, serial: int) -> Any:
        while True:
            for event in self._events:
                if isinstance(event, Reply | Failure) and event.serial == serial:
                    self._events.clear()
                    if isinstance(event, Failure):
                        raise event.error
                    return event.values
            self._receive()

    def has_answer(self, serial: int) -> bool:
        """Whether the answer has come."""
        self.socket.setblocking(False)
        with suppress(BlockingIOError):
            self._receive()
        self.socket.settimeout(patience(30))
        return any(isinstance(each, Reply | Failure) and each.serial == serial for each in self._events)

    def skip_answer(self) -> int:
        """Read away one packet, and return its serial."""
        length, *_, serial, _ = struct.unpack(">IIIiIIi", self._exactly(28))
        self._exactly(length - 28)
        return int(serial)

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise ConnectionError("the daemon hung up")
            data += more
        return bytes(data)

    def drain(self) -> None:
        """Read away what has come."""
        self.socket.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                self._receive()
        self.socket.settimeout(patience(30))
        self._events.clear()

    def is_hung_up(self) -> bool:
        """Whether the daemon has closed the connection."""
        self.socket.setblocking(False)
        try:
            while self.socket.recv(1 << 20):
                pass
        except BlockingIOError:
            return False
        except ConnectionError:
            return True
        finally:
            self.socket.settimeout(patience(30))
        return True

    def close(self) -> None:
        self.socket.close()

    def _receive(self) -> None:
        data, fds, _, _ = socket.recv_fds(self.socket, 1 << 20, 32)
        for fd in fds:
            os.close(fd)
        if not data:
            raise ConnectionError("the daemon hung up")
        self._events += self._connection.receive_data(data)


@contextmanager
def _as_user(uid: int) -> Iterator[None]:
    """Be another user for a moment: the kernel notes who connects."""
    before = os.geteuid()
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(before)


@contextmanager
def raw_client(path: Path, *, opened: bool = True, uid: int = 0) -> Iterator[RawClient]:
    """uid: who connects; somebody else than root for what root is not held to."""
    client = RawClient(path, opened=opened, uid=uid)
    try:
        yield client
    finally:
        client.close()


def packet_head(
    length: int, procedure: int = Remote.CONNECT_OPEN.number, serial: int = 1, program: int = Remote.program
) -> bytes:
    """The header of a call's packet that says it has length bytes."""
    return struct.pack(">IIIiIIi", length, program, 1, procedure, 0, serial, 0)
