"""Partings: what strangers passed is closed beside us, also what nobody received; some sockets take nothing at all."""

import os
import socket
import struct
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from insula.daemon import partings
from insula.daemon.partings import hang_up, part_with, refuse_descriptors
from tests.waiting import until


def test_what_is_passed_is_closed() -> None:
    reader, writer = os.pipe()
    part_with((writer,))
    assert os.read(reader, 1) == b"", "the other end hears of it"
    os.close(reader)


def test_pipes_and_null_devices_take_no_thread_and_what_may_wait_does(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[int, ...]] = []
    monkeypatch.setattr(partings, "Thread", lambda *, args, **_: SimpleNamespace(start=lambda: given.extend(args)))
    reader, writer = os.pipe()
    null, zero = os.open("/dev/null", os.O_RDWR), os.open("/dev/zero", os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as other:
        part_with(())
        part_with((reader, writer, null))
        assert given == []
        part_with((zero, other.fileno()))
        assert given == [(zero, other.fileno())]
    os.close(zero)
    for fd in (reader, writer, null):
        assert not Path(f"/proc/self/fd/{fd}").exists()


def test_a_socket_that_lingers_is_closed_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        sending = socket.create_connection(server.getsockname())
        taking, _ = server.accept()
        sending.setblocking(False)
        try:
            while True:
                sending.send(bytes(65536))
        except BlockingIOError:
            pass
        sending.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
        fd = sending.detach()
        began = time.monotonic()
        part_with((fd,))
        assert time.monotonic() - began < 60
        until(lambda: not Path(f"/proc/self/fd/{fd}").exists(), "its end")
        taking.close()


def test_what_nobody_received_is_closed_too_and_the_peer_hears_the_end() -> None:
    ours, theirs = socket.socketpair()
    reader, writer = os.pipe()
    theirs.send(bytes(1000))
    socket.send_fds(theirs, [b"x"], [writer])
    os.close(writer)
    ours.send(b"last words")
    hang_up(ours)
    assert os.read(reader, 1) == b""
    assert theirs.recv(100) == b"last words" and theirs.recv(100) == b""
    with pytest.raises(BrokenPipeError):
        socket.send_fds(theirs, [b"x"], [reader])
    os.close(reader)
    theirs.close()


def test_a_peer_that_is_gone_is_no_error() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    hang_up(ours)
    assert ours.fileno() == -1


def test_a_listener_refuses_descriptors_where_the_kernel_can() -> None:
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind("")
        refused = refuse_descriptors(listener)
        listener.listen()
        client.connect(listener.getsockname())
        with pytest.raises(PermissionError) if refused else nullcontext():
            socket.send_fds(client, [b"x"], [client.fileno()])
