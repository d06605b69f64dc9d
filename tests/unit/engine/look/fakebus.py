"""A guest's bus, in a thread of the test's process, with answers by member; jeepney has its words."""

import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from jeepney import HeaderFields, MessageFlag, new_error, new_method_return
from jeepney.low_level import Message, Parser

from insula.engine.look.guestbus import SOCKET

Answer = tuple[str, Any] | Exception | Callable[[Message], bytes]
"""A body with its signature; a refusal; or whatever bytes are sent."""


class FakeBus:
    """asked: members, in their order, of properties their names. answers: by member or property; others are refused."""

    def __init__(self, root: Path, answers: Mapping[str, Answer], *, login: bytes = b"OK 1234\r\n") -> None:
        self.answers = {"Hello": ("s", (":1.7",)), **answers}
        self.asked: list[str] = []
        self.flags: set[int] = set()
        self._login = login
        path = root / SOCKET.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection, suppress(OSError):  # who asked has gone
                self._speak(connection)

    def _speak(self, connection: socket.socket) -> None:
        heard = b""
        for end, said in ((b"\r\n", self._login), (b"BEGIN\r\n", b"")):
            while not heard.endswith(end):
                if not (more := connection.recv(1)):
                    return
                heard += more
            connection.sendall(said)
        parser = Parser()
        while arrived := connection.recv(4096):
            parser.add_data(arrived)
            while (message := parser.get_next_message()) is not None:
                connection.sendall(self._answer(message))

    def _answer(self, call: Message) -> bytes:
        fields = call.header.fields
        member = str(fields[HeaderFields.member])
        name = str(call.body[1]) if member == "Get" else member
        self.asked.append(name)
        self.flags.add(int(call.header.flags & MessageFlag.no_auto_start))
        answer = self.answers.get(name, KeyError(name))
        if callable(answer):
            return answer(call)
        call.header.fields.setdefault(HeaderFields.sender, ":1.7")
        if isinstance(answer, Exception):
            return bytes(new_error(call, "org.example.No", "s", ("no",)).serialise(serial=9))
        signature, body = answer
        if member == "Get":
            signature, body = "v", ((signature, body),)
        return bytes(new_method_return(call, signature, body).serialise(serial=9))
