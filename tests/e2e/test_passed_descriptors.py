"""Descriptors that clients pass with what they have no place in: closing them takes nobody's time but the client's."""

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from insula.rpc.frames import FDS_MAX, PacketType
from insula.rpc.procedures import Remote
from tests.insulad import Insulad
from tests.rawclient import RawClient, packet_head, raw_client
from tests.waiting import patience, scaled, until

NOBODY = 65534


@contextmanager
def slow_to_close() -> Iterator[socket.socket]:
    """A TCP socket whose last close waits for minutes, for its peer takes nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as sending:
        taking, _ = server.accept()
        sending.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                sending.send(bytes(65536))
        _linger(sending, int(scaled(120)))
        try:
            yield sending
        finally:
            taking.close()


def _linger(of: socket.socket, seconds: int) -> None:
    of.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", seconds > 0, seconds))


def _with_a_call(client: RawClient, fd: int, announced: int = 1) -> None:
    row = Remote.CONNECT_GET_LIB_VERSION
    head = struct.pack(">IIIiIIi", 32, Remote.program, 1, row.number, PacketType.CALL_WITH_FDS, 77, 0)
    client.send(head + struct.pack(">I", announced))
    socket.send_fds(client.socket, [b"\0"], [fd])


def _with_half_a_packet(client: RawClient, fd: int) -> None:
    _with_a_call(client, fd, announced=2)
    client.close()


def _unannounced(client: RawClient, fd: int) -> None:
    socket.send_fds(client.socket, [b"\0\0\0\0"], [fd])


def _too_many(client: RawClient, fd: int) -> None:
    socket.send_fds(client.socket, [b"\0"], [client.socket.fileno()] * FDS_MAX + [fd] * 2)


def _behind_what_ends_the_connection(client: RawClient, fd: int) -> None:
    client.send(packet_head(1 << 30))
    socket.send_fds(client.socket, [b"\0"], [fd])


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize(
    "passing", [_with_a_call, _with_half_a_packet, _unannounced, _too_many, _behind_what_ends_the_connection]
)
def test_a_descriptor_that_takes_long_to_close_holds_nobody_up(
    insulad: Insulad, passing: Callable[[RawClient, int], None], read_only: bool
) -> None:
    path = insulad.layout.socket_read_only if read_only else insulad.socket
    with ExitStack() as stack:
        other = stack.enter_context(raw_client(insulad.socket))
        other.socket.settimeout(patience(10))
        client = stack.enter_context(raw_client(path, uid=NOBODY if read_only else 0))
        slow = stack.enter_context(slow_to_close())
        try:
            passing(client, slow.fileno())
        except (PermissionError, BrokenPipeError):  # the kernel refuses it, or the daemon has hung up already
            _linger(slow, 0)
        slow.close()
        for _ in range(20):
            other.call(Remote.CONNECT_GET_LIB_VERSION)
    until(lambda: _passed_sockets(insulad) == 0, "what was passed being closed")


def _passed_sockets(insulad: Insulad) -> int:
    """How many TCP sockets the daemon has."""
    inodes = {line.split()[9] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]}
    count = 0
    for each in Path(f"/proc/{insulad.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed while we look
            count += str(each.readlink()).removeprefix("socket:[").removesuffix("]") in inodes
    return count
