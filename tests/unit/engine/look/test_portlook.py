"""Whether a port takes connections, tried from where this process is; guests are visited in tests/e2e."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from insula.engine.look import portlook
from insula.engine.look.portlook import connect_port


@pytest.fixture(autouse=True)
def no_guest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Stay where we are."""
    monkeypatch.setattr(portlook, "visit", lambda arguments, fds: os.open(tmp_path, os.O_PATH | os.O_DIRECTORY))


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def asked(port: int, *addresses: str) -> dict[str, Any]:
    return {"port": port, "addresses": addresses, "seconds": 10.0}


def test_a_port_that_takes_connections_at_one_of_its_addresses_is_one(port: int) -> None:
    assert connect_port(asked(port, "127.0.0.1"), {}) is None
    assert connect_port(asked(port, "127.0.0.9", "127.0.0.1"), {}) is None


def test_why_the_last_address_does_not_is_told(port: int) -> None:
    assert connect_port(asked(port, "127.0.0.9"), {}) == "Connection refused"
    assert connect_port(asked(port, "127.0.0.9", "255.255.255.255"), {}) not in (None, "Connection refused")


def test_an_address_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    def never(self: socket.socket, address: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(socket.socket, "connect", never)
    assert connect_port(asked(port, "127.0.0.1"), {}) == "no answer"
