"""Tests of insula.engine.keeper.closing: who has something closed does not wait for it."""

import os
import select
import signal
import socket
import struct
from pathlib import Path

from insula.engine.keeper.closing import close_aside
from insula.kernel.process import ends_within
from tests.descriptors import open_fds, open_names
from tests.waiting import patience, until


def children() -> set[int]:
    return set(map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()))


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


def test_what_lingers_is_gone_for_who_asked_while_another_waits_and_the_rest_is_closed_too(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    before = open_fds()
    peer, fd = lingering()
    socket_name = os.readlink(f"/proc/self/fd/{fd}")  # the number is free for anything else as soon as it is closed
    file = os.open(tmp_path / "file", os.O_RDONLY)
    others = children()
    close_aside([fd, file])
    (child,) = children() - others
    pidfd = os.pidfd_open(child)
    try:
        until(lambda: socket_name not in open_names(), "the lingering socket being gone")
        assert ends_within(pidfd, patience(30)), "a close that waits is interrupted"
        assert os.waitpid(child, 0) == (child, 0)
    finally:
        os.close(pidfd)
        peer.close()
    assert open_fds() == before


def test_who_closes_is_not_ended_by_what_ends_a_scope_nor_takes_it_for_its_keepers(tmp_path: Path) -> None:
    """A child has the keeper's handler for SIGTERM: it would go by that, or end and leave the rest open."""
    (tmp_path / "file").touch()
    told, former = tmp_path / "told", signal.getsignal(signal.SIGTERM)
    before, others = open_fds(), children()
    peer, fd = lingering()
    file = os.open(tmp_path / "file", os.O_RDONLY)
    signal.signal(signal.SIGTERM, lambda *_: told.touch())
    try:
        close_aside([fd, file])
        (child,) = children() - others
        until(lambda: Path(f"/proc/{child}/comm").read_text() == "insula-closing\n", "the child at its work")
        os.kill(child, signal.SIGTERM)
        assert os.waitpid(child, 0) == (child, 0)
    finally:
        signal.signal(signal.SIGTERM, former)
        peer.close()
    assert open_fds() == before and not told.exists()


def test_nothing_to_close_makes_no_process() -> None:
    others = children()
    close_aside([])
    assert children() <= others
