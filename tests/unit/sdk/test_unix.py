"""The non-blocking socket: bytes and descriptors arrive whole, in order, however little fits at a time."""

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.errors import AccessDeniedError, OperationFailedError
from insula.sdk.unix import UnixSocket, close_fds, connect
from tests.descriptors import open_fds


@pytest.fixture
def pair() -> Iterator[tuple[UnixSocket, UnixSocket]]:
    ends = tuple(UnixSocket(end) for end in socket.socketpair())
    yield ends[0], ends[1]
    for end in ends:
        end.close()


def pipe_with(content: bytes) -> int:
    reader, writer = os.pipe()
    os.write(writer, content)
    os.close(writer)
    return reader


def drained(reader: UnixSocket, writer: UnixSocket) -> tuple[bytes, list[int]]:
    """Read until the writer has nothing left and nothing is under way."""
    data = b""
    fds: list[int] = []
    while True:
        received = reader.receive()
        if received is None:
            if not writer.has_unsent:
                return data, fds
            writer.flush()
        else:
            data += received[0]
            fds += received[1]


def test_what_is_sent_arrives(pair: tuple[UnixSocket, UnixSocket]) -> None:
    one, other = pair
    one.send([(b"hello", None)])
    assert other.receive() == (b"hello", [])
    assert other.receive() is None


def test_the_end_is_empty_bytes(pair: tuple[UnixSocket, UnixSocket]) -> None:
    pair[0].close()
    assert pair[1].receive() == (b"", [])


def test_more_than_the_socket_takes_is_kept_and_goes_later(pair: tuple[UnixSocket, UnixSocket]) -> None:
    one, other = pair
    data = os.urandom(3_000_000)
    one.send([(data, None)])
    assert one.has_unsent
    assert 0 < one.unsent_bytes < len(data)
    assert drained(other, one) == (data, [])
    assert one.unsent_bytes == 0


def test_each_descriptor_arrives_open_for_the_same_file(pair: tuple[UnixSocket, UnixSocket]) -> None:
    one, other = pair
    given = [pipe_with(b"first"), pipe_with(b"second")]
    one.send([(b"packet", None), (b"\0", given[0]), (b"\0", given[1])])
    close_fds(given)
    data, fds = drained(other, one)
    assert data == b"packet\0\0"
    assert [os.read(fd, 100) for fd in fds] == [b"first", b"second"]
    assert not any(os.get_inheritable(fd) for fd in fds)
    close_fds(fds)


def test_a_descriptor_that_has_to_wait_survives_its_givers_close(pair: tuple[UnixSocket, UnixSocket]) -> None:
    one, other = pair
    given = pipe_with(b"content")
    one.send([(bytes(2_000_000), None), (b"\0", given)])
    os.close(given)
    data, fds = drained(other, one)
    assert len(data) == 2_000_001
    assert os.read(fds[0], 100) == b"content"
    close_fds(fds)


def test_descriptors_that_never_went_are_closed_with_the_socket(pair: tuple[UnixSocket, UnixSocket]) -> None:
    one, _ = pair
    given = pipe_with(b"")
    before = open_fds()
    one.send([(bytes(2_000_000), None), (b"\0", given)])
    assert len(open_fds()) == len(before) + 1
    one.close()
    assert len(open_fds()) == len(before) - 1
    os.close(given)


def test_sending_to_someone_who_left_is_an_os_error(pair: tuple[UnixSocket, UnixSocket]) -> None:
    pair[1].close()
    with pytest.raises(BrokenPipeError):
        pair[0].send([(b"hello", None)])


@pytest.mark.parametrize("name", ["nobody", "x" * 200])
def test_a_socket_nobody_listens_on_is_named_with_advice(tmp_path: Path, name: str) -> None:
    with pytest.raises(OperationFailedError, match=f"{name}.*is insulad running"):
        connect(tmp_path / name)


def test_a_socket_we_may_not_connect_to_is_no_question_of_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_self: socket.socket, _path: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", refused)
    with pytest.raises(AccessDeniedError, match="sock': Permission denied; root may") as told:
        connect(tmp_path / "sock")
    assert told.value.exit_status == 5 and "running" not in str(told.value)


def test_a_connection_is_never_a_standard_stream_of_a_program_that_has_closed_its_own(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        child = os.fork()
        if child == 0:
            for number in range(3):
                os.close(number)
            connected = connect(tmp_path / "socket")
            low = [number for number in range(3) if os.path.exists(f"/proc/self/fd/{number}")]
            os._exit(0 if connected.fileno() > 2 and not low else 1)
        assert os.waitpid(child, 0)[1] == 0
