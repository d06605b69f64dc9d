"""Which descriptors a guest may be given: whatever a client sends over the wire meets this."""

import os
import select
import socket
from pathlib import Path

import pytest

from insula.engine.enter.admittedstreams import admitted, check_inherited
from insula.errors import InvalidArgumentError
from insula.kernel.fds import memory_file
from tests.descriptors import open_fds

NULL = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)


def test_pipes_are_passed_as_they_are_and_every_null_device_is_one_of_ours() -> None:
    reader, writer = os.pipe()
    before = open_fds()
    with admitted((reader, writer, NULL), privileged=False) as fds:
        assert list(fds) == ["stdin", "stdout", "stderr"]
        assert (fds["stdin"], fds["stdout"]) == (reader, writer)
        assert fds["stderr"] != NULL and os.fstat(fds["stderr"]).st_rdev == os.makedev(1, 3)
    assert open_fds() == before
    os.close(reader)
    os.close(writer)


def test_what_a_guest_could_do_more_with_than_read_or_write_is_refused(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    both = os.open(f"/proc/self/fd/{reader}", os.O_RDWR)
    master, slave = os.openpty()
    one, other = socket.socketpair()
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    poll = select.epoll()
    opened = {
        os.open(tmp_path, os.O_RDONLY): "is a directory",
        os.open(tmp_path, os.O_PATH): "is a path that is not open",
        os.open("/dev/null", os.O_PATH): "is a path that is not open",
        os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT): "is a file",
        memory_file("any", b"text"): "is a file",
        os.open(fifo, os.O_RDWR): "is a named pipe",
        os.open("/dev/zero", os.O_RDONLY): "is a device node",
        os.open("/proc/self/ns/net", os.O_RDONLY): "is a file",
        os.pidfd_open(os.getpid()): "is ",
        master: "is a device node",
        slave: "is a device node",
        one.fileno(): "is a socket",
        poll.fileno(): "is of a kind of its own",
        both: "is the wrong end of a pipe",
    }
    before = open_fds()
    for fd, complaint in opened.items():
        for number, name in enumerate(("input", "output", "error")):
            streams = [NULL, NULL, NULL]
            streams[number] = fd
            refused = pytest.raises(InvalidArgumentError, match=f"^standard {name} {complaint}")
            with refused, admitted(streams, privileged=False):
                pass
    for streams in ([writer, NULL, NULL], [NULL, reader, NULL], [NULL, NULL, reader]):
        with pytest.raises(InvalidArgumentError, match="wrong end of a pipe"), admitted(streams, privileged=False):
            pass
    with (
        pytest.raises(InvalidArgumentError, match="standard error is not open"),
        admitted((NULL, NULL, 1000), privileged=False),
    ):
        pass
    assert open_fds() == before
    for fd in (*opened.keys() - {one.fileno(), poll.fileno()}, reader, writer):
        os.close(fd)
    one.close()
    other.close()
    poll.close()


def test_an_init_is_given_files_and_sockets_but_no_way_out_and_no_connection_to_us(tmp_path: Path) -> None:
    file = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    ways_out = [os.open(tmp_path, os.O_RDONLY), os.open("/etc/passwd", os.O_PATH)]
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client, socket.socket() as other:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        one, another = socket.socketpair()
        with one, another:
            check_inherited([file, NULL, other.fileno(), listener.fileno(), one.fileno()])
        client.connect(str(tmp_path / "socket"))
        with pytest.raises(InvalidArgumentError, match="file descriptor 1 is a connection to this daemon"):
            check_inherited([file, client.fileno()])
    for each in ways_out:
        with pytest.raises(InvalidArgumentError, match=r"file descriptor 0 is .* leads out of the guest's root"):
            check_inherited([each])
    for each in (file, *ways_out):
        os.close(each)
