"""systemd's sockets and its ear: passed descriptors and notifications, with a child in systemd's place."""

import fcntl
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from insula.daemon.activation import notify, passed_sockets

CHILD = """
import os, sys
os.environ["LISTEN_PID"] = str(os.getpid() + int(sys.argv[1]))
from insula.daemon.activation import passed_sockets
passed = passed_sockets()
print([(each.name, each.socket.getsockname(), each.socket.get_inheritable()) for each in passed])
print([name for name in os.environ if name.startswith("LISTEN")])
"""


def _child(listeners: list[socket.socket], *, pid_offset: int = 0, names: str) -> list[str]:
    """Run the child with the listeners at 3 and up; return its lines."""
    shuffle = "".join(f" {3 + index}<&{each.fileno()}" for index, each in enumerate(listeners))
    return subprocess.run(
        ["/bin/bash", "-c", f'exec "$0" -c "$1" {pid_offset}{shuffle}', sys.executable, CHILD],
        env={**os.environ, "LISTEN_FDS": str(len(listeners)), "LISTEN_FDNAMES": names},
        pass_fds=[each.fileno() for each in listeners],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()


def _listener(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    with listener:
        return socket.socket(fileno=fcntl.fcntl(listener, fcntl.F_DUPFD_CLOEXEC, 40))  # out of the way of 3 and 4


def test_passed_sockets_are_taken_with_their_names_and_are_not_inherited(tmp_path: Path) -> None:
    with _listener(tmp_path / "a") as first, _listener(tmp_path / "b") as second:
        lines = _child([first, second], names="virtlxcd.socket:virtlxcd-ro.socket")
    assert lines == [
        str([("virtlxcd.socket", f"{tmp_path}/a", False), ("virtlxcd-ro.socket", f"{tmp_path}/b", False)]),
        "[]",
    ]


def test_sockets_meant_for_another_process_are_left_alone(tmp_path: Path) -> None:
    with _listener(tmp_path / "a") as first:
        assert _child([first], pid_offset=1, names="x") == ["[]", "[]"]


def test_without_activation_there_is_nothing() -> None:
    assert passed_sockets({}) == []


@pytest.mark.parametrize("abstract", [False, True])
def test_a_notification_reaches_the_service_manager(tmp_path: Path, abstract: bool) -> None:
    address = f"@insula-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address.replace("@", "\0"))
        assert notify("READY=1", "STATUS=well", environment={"NOTIFY_SOCKET": address})
        assert manager.recv(100) == b"READY=1\nSTATUS=well"


def test_nobody_to_notify_is_fine(tmp_path: Path) -> None:
    assert not notify("READY=1", environment={})
    assert not notify("READY=1", environment={"NOTIFY_SOCKET": str(tmp_path / "none")})
