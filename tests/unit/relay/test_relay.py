"""Tests of insula.relay.relay; its two directions: test_relayinput.py, test_relayoutput.py."""

import os
import select
import socket
from pathlib import Path

import pytest

from insula.errors import InvalidArgumentError
from insula.kernel.filekinds import FileKind, access_mode, kind_of
from insula.relay.relay import Relay, relayed
from tests.descriptors import open_fds
from tests.unit.relay.relaying import NULL, attend, program


def test_no_stream_no_relay() -> None:
    with relayed() as relay:
        assert relay.passed == () and not relay.readable() and relay.patience is None and not relay.busy


def test_whatever_the_caller_has_the_program_gets_pipes_of_ours(
    tmp_path: Path, user: tuple[int, int], pipe: tuple[int, int]
) -> None:
    file = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    named = os.open(fifo, os.O_RDWR)
    one, other = socket.socketpair()
    zero = os.open("/dev/zero", os.O_RDWR)
    reader, writer = pipe
    for given in (user[1], file, named, one.fileno(), zero):
        with relayed(given, given, writer) as relay:
            assert [kind_of(each) for each in relay.passed] == [FileKind.PIPE] * 3
            assert [access_mode(each) for each in relay.passed] == [os.O_RDONLY, os.O_WRONLY, os.O_WRONLY]
            inodes = {os.fstat(each).st_ino for each in relay.passed}
            assert not inodes & {os.fstat(each).st_ino for each in (given, reader)}
    for each in (file, named, zero):
        os.close(each)
    one.close()
    other.close()


def test_the_null_device_and_what_is_not_open_are_the_null_device() -> None:
    with relayed(NULL, 1000, NULL) as relay:
        assert [kind_of(each) for each in relay.passed] == [FileKind.NULL] * 3
        assert not relay.readable() and not relay.busy


def test_what_is_no_programs_stream_is_refused_by_its_name(tmp_path: Path, pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    directory = os.open(tmp_path, os.O_RDONLY)
    path = os.open("/etc/passwd", os.O_PATH)
    loop = select.epoll()
    before = open_fds()
    for streams, complaint in (
        ((directory, NULL, NULL), "standard input is a directory"),
        ((NULL, path, NULL), "standard output is a path that is not open"),
        ((NULL, NULL, loop.fileno()), "standard error is of a kind of its own"),
        ((writer, NULL, NULL), "standard input is not open for reading"),
        ((reader, writer, reader), "standard error is not open for writing"),
    ):
        with pytest.raises(InvalidArgumentError, match=complaint):
            Relay(streams)
    assert open_fds() == before
    loop.close()
    os.close(directory)
    os.close(path)


def test_output_and_errors_for_one_place_keep_their_order(tmp_path: Path) -> None:
    with open(tmp_path / "file", "wb") as file, relayed(NULL, file.fileno(), file.fileno()) as relay:
        for number in range(6):
            os.write(relay.passed[1 + number % 2], b"%d" % number)
        attend(relay)
    assert (tmp_path / "file").read_bytes() == b"012345"


def test_errors_go_their_own_way(user: tuple[int, int], pipe: tuple[int, int]) -> None:
    with relayed(NULL, pipe[1], user[1]) as relay:
        os.write(relay.passed[1], b"good")
        os.write(relay.passed[2], b"bad")
        attend(relay)
    assert os.read(pipe[0], 100) == b"good" and os.read(user[0], 100) == b"bad"


def test_what_was_said_before_the_end_is_shown_though_others_keep_the_pipe(user: tuple[int, int]) -> None:
    master, slave = user
    with relayed(slave, slave, slave) as relay, program(relay) as inside:
        os.write(inside.streams[1], b"last words")
        relay.ended()
        os.write(inside.streams[1], b", and more")
        attend(relay)
        relay.ended()
        assert not relay.busy
        assert os.read(master, 100) == b"last words"


@pytest.mark.parametrize("whose", ["passed", "not passed"])
def test_nothing_stays_open(user: tuple[int, int], pipe: tuple[int, int], whose: str) -> None:
    before = open_fds()
    os.write(pipe[1], b"x")
    with relayed(pipe[0], pipe[1], user[1]) as relay:
        if whose == "passed":
            relay.passed_on()
            attend(relay)
    assert open_fds() == before
