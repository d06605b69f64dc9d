"""The server's loop with a daemon that a test plays, and connections of sockets in place of /dev/fuse."""

import os
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from insula.kernel.fds import Fd
from insula.view import viewserver
from insula.view.answershare import AnswerShare
from insula.view.requestnotes import make_memory
from insula.view.viewprotocol import VERSION, receive_words, send_words
from insula.view.viewserver import ViewServer
from tests.viewtrees import SmallContent, viewed_guest
from tests.waiting import patience, until


class Running:
    """A server in a thread, a client of it, and one connection's ends."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "view.sock"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(os.fspath(self.path))
        listener.listen()
        self.content = SmallContent()
        self.server = ViewServer(self.content, listener)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        self.client = self.connect()
        self.kernel, self.device = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.device.setblocking(False)
        self.memory: Fd = make_memory()

    def connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        client.settimeout(patience(20))
        client.connect(os.fspath(self.path))
        return client

    def ask(self, verb: str, fds: tuple[int, ...] = (), **fields: object) -> Mapping[str, Any]:
        send_words(self.client, {"request": 1, "verb": verb, **fields}, fds)
        answer = receive_words(self.client)
        assert answer is not None
        assert answer.body.pop("answer") == 1
        return answer.body

    def show(self, launch: str = "one", pid: int = 1) -> Mapping[str, Any]:
        guest = viewed_guest(launch, pid).encode()
        return self.ask("show", (self.device.fileno(), self.memory), guest=guest)

    def close(self) -> None:
        self.client.close()
        self.server.leave_when_over()
        self.kernel.close()  # which ends the connection
        self.thread.join(patience(20))
        assert not self.thread.is_alive()
        self.device.close()
        os.close(self.memory)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    made = Running(tmp_path)
    yield made
    made.close()


def test_a_daemon_learns_version_process_and_launches(running: Running) -> None:
    assert running.show() == {}
    assert running.ask("hello") == {"version": VERSION, "pid": os.getpid(), "launches": ["one"]}


def test_a_guest_is_shown_once_and_described_anew_after_that(running: Running) -> None:
    running.show()
    running.show()
    assert len(running.content.trees) == 1
    running.show(pid=2)
    assert [each.guest.pid for each in running.content.trees] == [1, 2]
    assert running.ask("hello")["launches"] == ["one"]


def test_a_file_is_read_for_the_daemon(running: Running) -> None:
    running.show()
    assert running.ask("read", launch="one", path="proc/uptime") == {"content": "1.00 2.00\n"}
    assert len(running.ask("read", launch="one", path="proc/long")["content"]) > 10_000
    assert running.ask("read", launch="one", path="absent")["errno"] == 2
    assert "no such guest" in running.ask("read", launch="two", path="proc/uptime")["error"]


def test_a_line_is_told_to_a_guests_log(running: Running) -> None:
    running.show()
    assert running.ask("tell", launch="one", text="hello") == {}
    assert running.content.trees[0].line_stream.lines[-1] == b"hello\n"


def test_a_hidden_guest_is_served_no_more(running: Running) -> None:
    running.show()
    assert running.ask("hide", launch="one") == {}
    assert running.ask("hide", launch="one") == {}
    assert running.ask("hello")["launches"] == []
    assert running.content.trees[0].closed


@pytest.mark.parametrize(
    "asked",
    [
        {"verb": "sing"},
        {"verb": "show"},
        {"verb": "show", "guest": {}},
        {"verb": "show", "guest": viewed_guest().encode()},
        {"verb": "hide"},
        {"verb": "read", "launch": 1},
    ],
)
def test_nonsense_is_answered_with_an_error(running: Running, asked: dict[str, Any]) -> None:
    assert "error" in running.ask(**asked)
    assert running.ask("ping") == {}


def test_a_client_that_sends_no_messages_is_parted_with_alone(running: Running) -> None:
    with running.connect() as stranger:
        stranger.send(b"nonsense")
        assert stranger.recv(100) == b""
    assert running.ask("ping") == {}


def test_no_more_clients_are_kept_than_a_few(running: Running) -> None:
    others = [running.connect() for _ in range(40)]
    for each in others:
        each.setblocking(False)
    assert running.ask("ping") == {}
    until(lambda: _ended(others) >= 24, "those too many being turned away")
    for each in others:
        each.close()


def _ended(clients: list[socket.socket]) -> int:
    ended = 0
    for each in clients:
        try:
            ended += each.recv(1) == b""
        except BlockingIOError:
            continue
    return ended


def test_a_connection_that_ends_is_forgotten(running: Running) -> None:
    running.show()
    os.close(os.dup(running.device.fileno()))
    running.kernel.shutdown(socket.SHUT_RDWR)
    running.kernel.close()
    until(lambda: running.ask("hello")["launches"] == [], "the guest being forgotten")


def test_it_ends_when_told_whatever_it_serves(tmp_path: Path) -> None:
    running = Running(tmp_path)
    running.show()
    assert running.ask("quit") == {}
    running.thread.join(patience(20))
    running.close()


def test_it_ends_by_itself_when_nothing_is_served_and_nobody_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewserver, "LINGERING", 0.0)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(os.fspath(tmp_path / "view.sock"))
    listener.listen()
    ViewServer(SmallContent(), listener).run()
    assert listener.fileno() == -1


def test_who_asks_too_much_rests_and_is_answered_later(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    spent: list[float] = []

    def spend(_: object, seconds: float, now: float) -> float:
        spent.append(seconds)
        return 0.05

    monkeypatch.setattr(AnswerShare, "spend", spend)
    running.show()
    for unique in (2, 4, 6):
        body = b"proc\0"
        running.kernel.send(
            (40 + len(body)).to_bytes(4, "little")
            + b"\1\0\0\0"
            + unique.to_bytes(8, "little")
            + b"\1"
            + bytes(23)
            + body
        )
    running.kernel.settimeout(patience(20))
    answers = [running.kernel.recv(1000)[8:16] for _ in range(3)]
    assert [int.from_bytes(each, "little") for each in answers] == [2, 4, 6]
    until(lambda: len(spent) == 3, "each being charged")
