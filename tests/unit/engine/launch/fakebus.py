"""A system bus on a socket pair, with whatever services a test puts behind it."""

import contextlib
import socket
import threading
from collections.abc import Callable

from jeepney import HeaderFields, Message, MessageType, new_error, new_method_return
from jeepney.low_level import Parser

from tests.waiting import patience

Answer = Callable[[Message], Message | None]
"""What a service does: an answer, or None for none."""


def member(message: Message) -> str:
    return str(message.header.fields[HeaderFields.member])


def returned(message: Message, signature: str = "", *body: object) -> Message:
    return new_method_return(message, signature or None, body)


def refused(message: Message, name: str, text: str = "no") -> Message:
    return new_error(message, name, "s", (text,))


class FakeBus:
    """Lets everybody in. calls: what has arrived, `Hello` left out; silent: nothing is answered."""

    def __init__(self, answer: Answer = returned) -> None:
        self.answer = answer
        self.calls: list[Message] = []
        self.connections = 0
        self.silent = False
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def opened(self) -> socket.socket:
        """Return a new connection's other end."""
        ours, theirs = socket.socketpair()
        self.connections += 1
        self._ends.append(ours)
        thread = threading.Thread(target=self._serve, args=(ours,), daemon=True)
        self._threads.append(thread)
        thread.start()
        return theirs

    def members(self) -> list[str]:
        return [member(each) for each in self.calls]

    def restart(self) -> None:
        """End all connections; new ones are let in."""
        ends, self._ends = self._ends, []
        for each in ends:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def close(self) -> None:
        self.restart()
        for thread in self._threads:
            thread.join(patience(10))

    def say(self, raw: bytes) -> None:
        """Send bytes that nobody has asked for."""
        self._ends[-1].sendall(raw)

    def _serve(self, end: socket.socket) -> None:
        with contextlib.suppress(OSError):
            heard = b""
            while not heard.endswith(b"\r\n"):
                heard += _heard(end, 4096)
            end.sendall(b"OK 0123456789abcdef0123456789abcdef\r\n")
            begun = b""
            while len(begun) < len(b"BEGIN\r\n"):
                begun += _heard(end, len(b"BEGIN\r\n") - len(begun))
            self._answer_calls(end)

    def _answer_calls(self, end: socket.socket) -> None:
        parser = Parser()
        while arrived := end.recv(65536):
            parser.add_data(arrived)
            while (message := parser.get_next_message()) is not None:
                if member(message) == "Hello":
                    answer: Message | None = returned(message, "s", ":1.1")
                else:
                    self.calls.append(message)
                    answer = None if self.silent else self.answer(message)
                if answer is not None:
                    assert answer.header.message_type in (MessageType.method_return, MessageType.error)
                    end.sendall(answer.serialise(serial=len(self.calls) + 1))


def _heard(end: socket.socket, most: int) -> bytes:
    """Return what the other end says. Raises: ConnectionResetError if it has gone."""
    if not (heard := end.recv(most)):
        raise ConnectionResetError("the other end has gone")
    return heard
