"""Tests of insula.engine.keeper.closing: who has something closed does not wait for it."""

import os
import select
import socket
import struct
from contextlib import suppress
from pathlib import Path

from insula.engine.keeper.closing import close_aside
from insula.kernel.process import ends_within
from tests.descriptors import open_fds
from tests.waiting import scaled, until


def children() -> list[int]:
    return list(map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()))


def lingering() -> tuple[socket.socket, int]:
    """Return a connected peer that reads nothing, and a socket whose close would wait a day for it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        sending = socket.create_connection(server.getsockname())
        peer, _ = server.accept()
    sending.setblocking(False)
    sending.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 86400))
    while select.select([], [sending], [], 0.1)[1]:
        sending.send(bytes(1 << 20))
    sending.setblocking(True)
    return peer, sending.detach()


def what_is_open() -> set[str]:
    found = set()
    for each in open_fds():
        with suppress(FileNotFoundError):  # closed meanwhile
            found.add(os.readlink(f"/proc/self/fd/{each}"))
    return found


def test_what_lingers_is_gone_for_who_asked_while_another_waits_and_the_rest_is_closed_too(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    before = set(open_fds())
    peer, fd = lingering()
    socket_name = os.readlink(f"/proc/self/fd/{fd}")  # the number is free for anything else as soon as it is closed
    file = os.open(tmp_path / "file", os.O_RDONLY)
    close_aside([fd, file])
    (child,) = children()
    pidfd = os.pidfd_open(child)
    try:
        until(lambda: socket_name not in what_is_open(), "the lingering socket being gone")
        assert ends_within(pidfd, scaled(30)), "a close that waits is interrupted"
        assert os.waitpid(child, 0) == (child, 0)
    finally:
        os.close(pidfd)
        peer.close()
    assert set(open_fds()) == before


def test_nothing_to_close_makes_no_process() -> None:
    close_aside([])
    assert children() == []
