"""Tests of insula.kernel.sharedsockets, with a socket that another process is sending by."""

import ctypes
import fcntl
import mmap
import os
import select
import signal
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from insula.kernel.sharedsockets import family_of, forget_linger
from tests.waiting import scaled

_USERFAULTFD = {"x86_64": 323, "aarch64": 282}[os.uname().machine]
_API, _REGISTER = 0xC018AA3F, 0xC020AA00
_libc = ctypes.CDLL(None, use_errno=True)


def _send_forever(sender: int, told: socket.socket) -> None:
    """Send from memory for which somebody is asked who never answers: userfaultfd(2). told: is given who is asked."""
    asked = _libc.syscall(_USERFAULTFD, os.O_CLOEXEC | os.O_NONBLOCK)
    memory = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    fcntl.ioctl(asked, _API, struct.pack("QQQ", 0xAA, 0, 0))
    fcntl.ioctl(asked, _REGISTER, struct.pack("QQQQ", address, mmap.PAGESIZE, 1, 0))
    socket.send_fds(told, [b"x"], [asked])
    _libc.send(sender, ctypes.c_void_p(address), 100, 0)


@pytest.fixture
def busy() -> Iterator[int]:
    """A TCP socket of which another process has the lock."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as sender:
        ours, theirs = socket.socketpair()
        process = os.fork()
        if process == 0:
            try:
                _send_forever(sender.fileno(), theirs)
            finally:
                os._exit(1)
        theirs.close()
        try:
            with ours:
                _, (asked,), _, _ = socket.recv_fds(ours, 1, 1)
            poll = select.poll()
            poll.register(asked, select.POLLIN)
            assert poll.poll(scaled(10) * 1000)
            os.close(asked)
            yield sender.fileno()
        finally:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)


@pytest.mark.requires("root")
def test_the_family_of_a_socket_that_is_in_use_is_known_at_once(busy: int) -> None:
    assert family_of(busy) == socket.AF_INET


@pytest.mark.requires("root")
def test_while_one_thread_waits_for_whoever_uses_a_socket_others_run(busy: int) -> None:
    waiting = threading.Thread(target=forget_linger, args=(busy,), daemon=True)
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
