"""What a killed process left is removed, and nothing else."""

import os
import signal
import socket
from pathlib import Path

import pytest

from insula.kernel.leftsockets import bind_for_owner, file_at, remove_left_socket, remove_own


def test_a_socket_that_nobody_listens_at_is_removed(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(tmp_path / "s"))
    assert not remove_left_socket(tmp_path / "s") and not (tmp_path / "s").exists()
    assert not remove_left_socket(tmp_path / "s"), "nothing is there"


@pytest.mark.parametrize("waiting", [0, 1])
def test_one_that_somebody_listens_at_stays(tmp_path: Path, waiting: int) -> None:
    with socket.socket(socket.AF_UNIX) as other, socket.socket(socket.AF_UNIX) as client:
        other.bind(str(tmp_path / "s"))
        other.listen(0)
        if waiting:
            client.connect(str(tmp_path / "s"))  # which leaves no room for a second one
        assert remove_left_socket(tmp_path / "s") and (tmp_path / "s").is_socket()


def test_a_file_that_is_no_socket_stays(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("precious")
    assert not remove_left_socket(tmp_path / "s") and (tmp_path / "s").read_text() == "precious"


def test_one_whose_listener_was_killed_is_removed_although_a_child_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "s"
    reading, writing = os.pipe()
    killed = os.fork()
    if not killed:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()
        if child := os.fork():
            os.write(writing, str(child).encode())
            os._exit(0)
        signal.pause()
    os.waitpid(killed, 0)
    child = int(os.read(reading, 20))
    try:
        assert not remove_left_socket(path) and not path.exists()
    finally:
        os.kill(child, signal.SIGKILL)
        os.close(reading)
        os.close(writing)


def test_a_socket_is_its_owners_alone_and_removed_unless_it_is_anothers_by_now(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as bound:
        bind_for_owner(bound, path)
        assert path.stat().st_mode & 0o777 == 0o600
        made = file_at(path)
        path.rename(tmp_path / "moved")
        path.write_text("another's")
        remove_own(path, made)
        assert path.read_text() == "another's"
        remove_own(tmp_path / "moved", made)
        assert not (tmp_path / "moved").exists() and file_at(tmp_path / "moved") is None


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_SEQPACKET])
def test_one_of_another_kind_stays_as_long_as_it_is_somebodys(tmp_path: Path, kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_UNIX, kind) as other:
        other.bind(str(tmp_path / "s"))
        if kind is socket.SOCK_SEQPACKET:
            other.listen()
        assert remove_left_socket(tmp_path / "s") and (tmp_path / "s").is_socket()
    assert not remove_left_socket(tmp_path / "s") and not (tmp_path / "s").exists()
