"""What processes on their way send: descriptors that nobody can be kept waiting by, and no others."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.engine.keeper.protocol import send
from insula.engine.keeper.sayings import receive_saying
from insula.kernel.pty import open_multiplexer
from tests.descriptors import open_fds


@pytest.fixture
def channel() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def _sent(channel: tuple[socket.socket, socket.socket], fd: int) -> bool:
    """Whether the descriptor arrives; if not, a child is about to close it."""
    ours, theirs = channel
    send(theirs, {"cloned": True}, {"pidfd": fd})
    try:
        message = receive_saying(ours)
    except ValueError:
        return False
    assert message is not None
    message.close()
    return True


def test_what_processes_send_on_their_way_arrives(channel: tuple[socket.socket, socket.socket]) -> None:
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)
    fds = (os.pidfd_open(os.getpid()), open_multiplexer(), netlink.detach(), os.open("/dev/null", os.O_RDWR))
    before = open_fds()
    assert [_sent(channel, fd) for fd in fds] == [True] * len(fds)
    assert open_fds() == before
    for fd in fds:
        os.close(fd)


def _reaped() -> None:
    """Reap the child that closes."""
    pid, status = os.wait()
    assert pid > 0 and status == 0


def test_what_could_keep_who_closes_it_is_closed_by_another(
    channel: tuple[socket.socket, socket.socket], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    paths = ((tmp_path / "file", os.O_RDONLY), ("/dev/zero", os.O_RDONLY), ("/", os.O_PATH), ("/", os.O_RDONLY))
    tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    fds = (tcp.detach(), *(os.open(path, flags) for path, flags in paths))
    before = set(open_fds())
    for fd in fds:
        assert not _sent(channel, fd)
        _reaped()
    assert set(open_fds()) == before
    for fd in fds:
        os.close(fd)


def test_a_cut_message_keeps_nothing_open(channel: tuple[socket.socket, socket.socket], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    fd, before = os.open(tmp_path / "file", os.O_RDONLY), set(open_fds())
    channel[1].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    socket.send_fds(channel[1], [bytes(100_000)], [fd])
    with pytest.raises(ValueError, match="cut on its way"):
        receive_saying(channel[0])
    _reaped()
    assert set(open_fds()) == before
    os.close(fd)
