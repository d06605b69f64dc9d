"""What init says through its socket: read from it alone, a little at a time."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.engine.notices import AT_A_TIME, SIZE_MAX, read_notices, refuse_more
from insula.kernel.fds import Fd
from tests.descriptors import open_fds


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        made.bind(os.fspath(tmp_path / "notify"))
        yield made


def say(listening: socket.socket, text: bytes, fds: list[int] | None = None) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.connect(listening.getsockname())
        if fds:
            socket.send_fds(sender, [text], fds)
        else:
            sender.send(text)


def heard(listening: socket.socket, init: int) -> list[dict[str, str]]:
    return [dict(each) for each in read_notices(Fd(listening.fileno()), init)]


def test_what_init_says_is_read_line_by_line(listening: socket.socket) -> None:
    say(listening, b"READY=1\nSTATUS=up = well\nnonsense\n")
    say(listening, b"\xff\n=\n")
    assert heard(listening, os.getpid()) == [{"READY": "1", "STATUS": "up = well"}, {"": ""}]
    assert heard(listening, os.getpid()) == []


def test_what_others_say_is_dropped(listening: socket.socket) -> None:
    say(listening, b"READY=1")
    assert heard(listening, os.getpid() + 1) == []
    assert heard(listening, os.getpid()) == []


def test_a_long_message_is_cut_and_descriptors_are_not_taken(listening: socket.socket) -> None:
    before = open_fds()
    say(listening, b"STATUS=" + b"x" * (2 * SIZE_MAX), [0, 1, 2])
    (said,) = heard(listening, os.getpid())
    assert len(said["STATUS"]) == SIZE_MAX - len("STATUS=")
    assert open_fds() == before


def test_no_more_is_read_at_a_time_than_others_can_wait_for(listening: socket.socket) -> None:
    sent = 0
    try:
        while sent < 2 * AT_A_TIME:
            say(listening, b"A=1")
            sent += 1
    except BlockingIOError:  # net.unix.max_dgram_qlen
        pass
    assert len(heard(listening, os.getpid())) == min(sent, AT_A_TIME)


def test_who_sends_more_is_told_at_once_that_nobody_listens(listening: socket.socket) -> None:
    say(listening, b"A=1")
    refuse_more(Fd(listening.fileno()))
    with pytest.raises(BrokenPipeError):
        say(listening, b"B=1")
    assert heard(listening, os.getpid()) == []
