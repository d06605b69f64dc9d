"""A guest's file as an object, with a child that the test plays; guests are in tests/system."""

import io
import os
import socket
from typing import Any, cast

import pytest

from insula.engine.keeper.protocol import Message
from insula.engine.look.guestfile import GuestFile, Opening
from insula.engine.look.looking import Child, Sight
from insula.errors import OperationTimeoutError

SIGHT = Sight(whose="1", name="'web'")


class _Player:
    """Stands for the child of a look: it says what it is told to say, once something has been written to its socket."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.body = body
        self.answers, self._theirs = socket.socketpair()
        self._theirs.send(b".")
        self.killed = self.closed = False

    def heard(self) -> Message | None:
        return Message(body=self.body, fds={})

    def kill(self) -> None:
        self.killed = True

    def close(self) -> None:
        self.closed = True
        self.answers.close()
        self._theirs.close()


def made(how: str, stream: int, body: dict[str, Any], patience: float = 60.0) -> tuple[GuestFile, _Player]:
    player = _Player(body)
    opening = Opening("/srv/file", how, patience=patience)
    return GuestFile(cast("Child", player), stream, SIGHT, opening, {"mode": 0o640, "size": 3}), player


def test_what_comes_through_the_pipe_is_read_to_its_end() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"abc")
    os.close(writer)
    file, player = made("r", reader, {"result": {"size": 3}})
    with file:
        assert (file.name, file.permissions, file.size, file.readable(), file.writable()) == (
            "/srv/file",
            0o640,
            3,
            True,
            False,
        )
        assert (file.read(), file.read()) == (b"abc", b"")
        with pytest.raises(io.UnsupportedOperation):
            file.write(b"")
    assert player.closed


def test_a_reading_that_broke_off_is_no_end() -> None:
    reader, writer = os.pipe()
    os.close(writer)
    file, _ = made("r", reader, {"error": {"text": "Input/output error", "errno": 5}})
    with file, pytest.raises(OSError, match="Input/output error"):
        file.read()


def test_what_was_written_is_judged_when_it_is_closed() -> None:
    reader, writer = os.pipe()
    file, player = made("w", writer, {"error": {"text": "No space left on device", "errno": 28}})
    assert file.write(b"abc") == 3
    assert os.read(reader, 10) == b"abc"
    with pytest.raises(io.UnsupportedOperation):
        file.read(1)
    with pytest.raises(OSError, match="No space left"):
        file.close()
    assert file.closed
    assert player.closed
    os.close(reader)


def test_a_writing_that_nobody_takes_tells_why() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    file, _ = made("w", writer, {"error": {"text": "No space left on device", "errno": 28}})
    with file, pytest.raises(OSError, match="No space left"):
        file.write(b"abc")


def test_what_does_not_move_is_given_up() -> None:
    reader, writer = os.pipe()
    file, player = made("r", reader, {}, patience=0.01)
    with pytest.raises(OperationTimeoutError, match="'web' does not answer"):
        file.read(1)
    file.give_up()
    assert player.killed
    os.close(writer)
