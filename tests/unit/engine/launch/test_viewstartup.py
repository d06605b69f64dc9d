"""Tests of insula.engine.launch.viewstartup without privilege; tests/e2e/test_machine_view.py has the rest."""

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from insula.engine.launch import viewstartup
from insula.engine.launch.viewstartup import obtain_view
from insula.errors import KeeperError, OperationFailedError
from insula.view.viewprotocol import VERSION, receive_words, send_words


def answering(path: Path, answers: Callable[[str], dict[str, object]]) -> threading.Thread:
    """Play a view that listens at path, for one client."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(os.fspath(path))
    listener.listen()

    def serve() -> None:
        with listener, listener.accept()[0] as client:
            while (message := receive_words(client)) is not None:
                send_words(client, {"answer": 0, **answers(message.body["verb"])})

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


def test_a_view_of_our_version_is_found_again_and_put_where_it_is_to_be(tmp_path: Path) -> None:
    path = tmp_path / "view.sock"
    thread = answering(path, lambda verb: {"version": VERSION})
    placed: list[int] = []
    obtain_view(path, placed=placed.append).close()
    thread.join()
    assert placed == [os.getpid()]


def test_a_view_of_another_version_is_told_to_end_before_one_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "view.sock"
    verbs: list[str] = []

    def answer(verb: str) -> dict[str, object]:
        verbs.append(verb)
        return {"version": VERSION + 1}

    thread = answering(path, answer)
    monkeypatch.setattr(viewstartup, "_ENDING", 0.2)
    killed: list[int] = []
    monkeypatch.setattr("signal.pidfd_send_signal", lambda pidfd, number: killed.append(number))
    started: list[list[str]] = []
    monkeypatch.setattr(viewstartup, "start_program", lambda words, *_, **__: started.append(words))
    monkeypatch.setattr(viewstartup, "_connected", _first_then_pair(viewstartup._connected))
    obtain_view(path).close()
    thread.join()
    assert verbs == ["hello", "quit"]
    assert killed, "it had not ended, being this process"
    assert "insula.view.main" in started[0][-1]


def _first_then_pair(real: Callable[[Path], socket.socket]) -> Callable[[Path], socket.socket]:
    asked: list[Path] = []

    def connected(path: Path) -> socket.socket:
        asked.append(path)
        if len(asked) == 1:
            return real(path)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        theirs.close()
        return ours

    return connected


def test_a_view_that_does_not_start_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeeperError("no")

    monkeypatch.setattr(viewstartup, "start_program", fail)
    with pytest.raises(OperationFailedError, match=r"view\.log"):
        obtain_view(tmp_path / "view.sock")
    (tmp_path / "file").touch()
    with pytest.raises(OperationFailedError, match="cannot be started"):
        obtain_view(tmp_path / "file/view.sock")
