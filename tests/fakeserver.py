"""A libvirt server made of nothing but `rpc.Connection` and a table of answers, on a thread of its own.

For tests of the wire and of the clients: what virsh shows must come from these answers alone.
"""

import select
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from insula.errors import InsulaError
from insula.rpc.connection import (
    Arrival,
    Call,
    Connection,
    Role,
    Stream,
    StreamAbort,
    StreamData,
    StreamEof,
    StreamFinish,
    StreamHole,
)
from insula.rpc.procedures import Procedure, Remote
from insula.rpc.refusals import forbidden_read_only, not_supported
from insula.sdk import unix
from tests.waiting import patience

StreamEvent = StreamData | StreamHole | StreamEof | StreamFinish | StreamAbort
Answer = Callable[["FakeSession", Call], None]
StreamAnswer = Callable[["FakeSession", StreamEvent], None]

FEATURES = (8, 9, 10, 14, 15, 16)


class FakeSession:
    """One client of the server. streams: who takes the events of an open stream; keepalive: seconds between pings."""

    def __init__(self, connected: socket.socket, answers: Mapping[Procedure, Answer], keepalive: float) -> None:
        self.connection = Connection(Role.SERVER)
        self.streams: dict[Stream, StreamAnswer] = {}
        self.calls: list[Procedure] = []
        self.stream_events: list[StreamEvent] = []
        self.read_only = False
        self.dead = False
        self.failure: Exception | None = None
        self._keepalive = keepalive
        self._answers = {**PLUMBING, **answers}
        self._unix = unix.UnixSocket(connected)
        self._lock = threading.RLock()
        self._thread = threading.Thread(target=self._serve, daemon=True, name="fake session")

    def start(self) -> None:
        self._thread.start()

    def do(self, action: Callable[[Connection], Any]) -> Any:
        """Let the connection do something, and send what comes of it; from any thread."""
        with self._lock:
            outcome = action(self.connection)
            self._push()
            return outcome

    def hang_up(self) -> None:
        with suppress(OSError):
            self._unix.socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(patience(10))

    def open_stream(self, call: Call, answer: StreamAnswer) -> Stream:
        """Answer a call that opens a stream."""
        stream = self.connection.reply(call)
        assert stream is not None
        self.streams[stream] = answer
        return stream

    def start_keepalive(self) -> None:
        self.connection.start_keepalive(time.monotonic(), interval=self._keepalive, count=2)

    def _serve(self) -> None:
        try:
            while self._turn():
                pass
        except OSError:
            pass
        except Exception as error:  # kept for the test, which runs on another thread
            self.failure = error
        finally:
            with self._lock:
                self._unix.close()

    def _turn(self) -> bool:
        """Wait for the client or the clock, and serve it; return whether the connection goes on."""
        deadline = self.connection.deadline
        wait = 10.0 if deadline is None else max(0.0, deadline - time.monotonic())
        readable, _, _ = select.select([self._unix], [], [], wait)
        with self._lock:
            if not self.connection.tick(time.monotonic()):
                self.dead = True
                return False
            if readable and not self._take_in():
                return False
            self._push()
        return True

    def _take_in(self) -> bool:
        received = self._unix.receive()
        if received is None:
            return True
        data, fds = received
        try:
            events = self.connection.receive_data(data, fds, now=time.monotonic())
        finally:
            unix.close_fds(self.connection.unclaimed_fds())
        for event in events:
            self._answer(event)
        return bool(data)

    def _answer(self, event: Arrival) -> None:
        if isinstance(event, Call):
            self.calls.append(event.procedure)
            try:
                self._answer_call(event)
            except InsulaError as error:
                self.connection.error(event, error)
        elif isinstance(event, StreamEvent):
            self.stream_events.append(event)
            self.streams[event.stream](self, event)

    def _answer_call(self, call: Call) -> None:
        row = call.procedure
        if self.read_only and not row.only_looks(call.arguments):
            raise forbidden_read_only(row.api)
        if row not in self._answers:
            raise not_supported(row.api)
        self._answers[row](self, call)

    def _push(self) -> None:
        with suppress(OSError):
            self._unix.send(self.connection.data_to_send())
            while self._unix.has_unsent:
                select.select([], [self._unix], [], patience(10))
                self._unix.flush()


class FakeServer:
    """Listens at path until its `with` block ends. sessions: one a client, oldest first."""

    def __init__(self, path: Path, answers: Mapping[Procedure, Answer], *, keepalive: float = 5.0) -> None:
        self.path = path
        self.sessions: list[FakeSession] = []
        self._answers = answers
        self._keepalive = keepalive
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._accept, daemon=True, name="fake server")
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(patience(10))
        self._listener.close()
        for session in self.sessions:
            session.hang_up()
        failures = [session.failure for session in self.sessions if session.failure is not None]
        if failures and kind is None:
            raise failures[0]

    @property
    def calls(self) -> list[str]:
        """The names of all procedures that were called, in order."""
        return [row.name for session in self.sessions for row in session.calls]

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connected, _ = self._listener.accept()
                self.sessions.append(FakeSession(connected, self._answers, self._keepalive))
                self.sessions[-1].start()


def replying(*values: Any) -> Answer:
    """Answer with the same values always."""
    return lambda session, call: _reply(session, call, values)


def _reply(session: FakeSession, call: Call, values: tuple[Any, ...]) -> None:
    session.connection.reply(call, *values)


def _open(session: FakeSession, call: Call) -> None:
    session.read_only = bool(call.arguments.flags & 1)
    session.connection.reply(call)


def _supports(session: FakeSession, call: Call) -> None:
    session.connection.reply(call, int(call.arguments.feature in FEATURES))
    if call.arguments.feature == 10:
        session.start_keepalive()


PLUMBING: Mapping[Procedure, Answer] = {
    Remote.AUTH_LIST: replying([0]),
    Remote.CONNECT_OPEN: _open,
    Remote.CONNECT_CLOSE: replying(),
    Remote.CONNECT_SUPPORTS_FEATURE: _supports,
    Remote.CONNECT_REGISTER_CLOSE_CALLBACK: replying(),
    Remote.CONNECT_UNREGISTER_CLOSE_CALLBACK: replying(),
    Remote.CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY: replying(),
}
"""What every client calls."""
