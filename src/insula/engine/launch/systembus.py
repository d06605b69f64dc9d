"""One connection to the system bus, kept between calls, and made anew when the bus has gone and come back.

Any thread may call. A thread of the connection's own reads what arrives, so that a call may also be sent and not be
waited for. Nothing waits without an end: a bus or a service that is stopped holds up nobody beyond his patience.
Sources: the D-Bus specification (authentication, message format); jeepney has its words.
"""

import contextlib
import itertools
import os
import socket
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jeepney import Message

_PATIENCE = 30.0
"""Seconds a call may take."""
_SHORT_PATIENCE = 5.0
"""Seconds that the bus itself may take for a login, or to take a message off us."""
_CHUNK = 65536

Opened = Callable[[], socket.socket]
Heard = Callable[["Message | None"], None]
"""Takes what nobody was called for, such as signals, on the reading thread; None: the connection has ended."""


_NOT_THERE = frozenset(
    {
        "",
        "org.freedesktop.DBus.Error.Disconnected",
        "org.freedesktop.DBus.Error.NameHasNoOwner",
        "org.freedesktop.DBus.Error.NoReply",
        "org.freedesktop.DBus.Error.ServiceUnknown",
    }
)
"""What is said of a bus or a service that restarts; empty: the connection was lost."""


class BusError(Exception):
    """The bus is away, or who was called says no, in his own words. name: the error's, empty if the bus is away."""

    def __init__(self, text: str, name: str = "") -> None:
        super().__init__(text)
        self.name = name

    @property
    def lost(self) -> bool:
        """Whether the bus, or who was called, was not there: as it restarts, so that a later call may be answered."""
        return self.name in _NOT_THERE


class BusCall:
    """A call that is under way. body: of its answer."""

    def __init__(self, answer: "Future[tuple[Any, ...]]", sent: float) -> None:
        self._answer = answer
        self.sent = sent

    def answered(self, seconds: float) -> bool:
        """Wait so long at most; return whether there is an answer now, be it a refusal."""
        with contextlib.suppress(TimeoutError, BusError):
            self._answer.result(seconds)
        return self._answer.done()

    def body(self, seconds: float = _PATIENCE) -> tuple[Any, ...]:
        """Return the answer. Raises: BusError; if there is none in so many seconds, too."""
        try:
            return self._answer.result(seconds)
        except TimeoutError:
            raise BusError(f"the system bus has not answered for {seconds:g} s") from None


class SystemBus:
    """The kept connection. opened: makes a connected socket; the system bus's by default; heard: takes signals."""

    def __init__(self, opened: Opened | None = None, heard: Heard | None = None) -> None:
        self._opened = opened or _opened
        self._heard = heard
        self._lock = threading.Lock()
        self._connection: _BusConnection | None = None

    def call(self, message: "Message", seconds: float = _PATIENCE) -> tuple[Any, ...]:
        """Make a call and return the body of its answer. Raises: BusError."""
        return self.send(message, seconds).body(seconds)

    def send(self, message: "Message", seconds: float = _PATIENCE) -> BusCall:
        """Make a call that nobody need wait for; an answer is known of for twice the seconds it may take, at least.

        Raises: BusError if it cannot even be sent.
        """
        for again in (True, False):
            connection = self._connected()
            try:
                return connection.send(message, seconds)
            except OSError as error:
                # What was not sent whole has not been heard: the bus was restarted since the last call.
                connection.close(error)
                if not again:
                    raise BusError(f"the system bus cannot be reached: {error}") from error
        raise AssertionError

    def close(self) -> None:
        """End the connection and what is under way on it; the next call makes another."""
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close(OSError("it was closed"))
            connection.join()

    def _connected(self) -> "_BusConnection":
        with self._lock:
            if self._connection is None or not self._connection.usable:
                self._connection = _BusConnection(self._opened, self._heard)
            return self._connection


class _BusConnection:
    """One connection, from its login to its end."""

    def __init__(self, opened: Opened, heard: Heard | None = None) -> None:
        """Raises: BusError if there is no bus, or one that does not let us in."""
        from jeepney import DBus
        from jeepney.auth import AuthenticationError

        self._heard = heard
        self._lock = threading.Lock()
        self._serials = itertools.count(1)
        self._calls: dict[int, tuple[float, Future[tuple[Any, ...]]]] = {}
        self._process = os.getpid()
        self._closed = False
        try:
            self._socket = opened()
        except OSError as error:
            raise BusError(f"there is no system bus: {error}") from error
        try:
            _log_in(self._socket)
            self._reader = threading.Thread(target=self._read, name="system bus", daemon=True)
            self._reader.start()
            self.send(DBus().Hello()).body(_SHORT_PATIENCE)
        except (OSError, AuthenticationError, BusError) as error:
            self.close(error)
            raise BusError(f"the system bus does not let us in: {error}") from error

    @property
    def usable(self) -> bool:
        """Whether it is there, and ours: a forked process has neither its thread nor a right to its answers."""
        return not self._closed and self._process == os.getpid()

    def send(self, message: "Message", seconds: float = _PATIENCE) -> BusCall:
        """Raises: OSError: the connection is of no use then."""
        answer: Future[tuple[Any, ...]] = Future()
        now = time.monotonic()
        serial = next(self._serials)
        raw = message.serialise(serial=serial)
        with self._lock:
            if self._closed:
                raise ConnectionResetError("the connection has ended")
            self._forget_overdue(now)
            self._calls[serial] = now + 2 * seconds, answer
            self._socket.sendall(raw)
        return BusCall(answer, now)

    def close(self, why: Exception) -> None:
        """End it; calls that are under way fail."""
        with self._lock:
            calls, self._calls = self._calls, {}
            first, self._closed = not self._closed, True
        if first:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
        for _, answer in calls.values():
            answer.set_exception(BusError(f"the system bus has gone: {why}"))
        if first and self._heard is not None:
            self._heard(None)

    def join(self) -> None:
        """Wait until its thread has ended."""
        if self._reader is not threading.current_thread():
            self._reader.join(_SHORT_PATIENCE)

    def _forget_overdue(self, now: float) -> None:
        """Fail calls that nobody waits for any more, and that were never answered."""
        for serial in [serial for serial, (end, _) in self._calls.items() if end < now]:
            self._calls.pop(serial)[1].set_exception(BusError("there was no answer"))

    def _read(self) -> None:
        from jeepney.low_level import Parser

        parser = Parser()
        why: Exception = ConnectionResetError("it ended the connection")
        try:
            while arrived := self._socket.recv(_CHUNK):
                parser.add_data(arrived)
                while (message := parser.get_next_message()) is not None:
                    self._take(message)
        except Exception as error:  # whatever it is: nobody else will ever read
            why = error
        self.close(why)

    def _take(self, message: "Message") -> None:
        """Give an answer to whoever has called; the rest is for whoever hears signals."""
        from jeepney import HeaderFields, MessageType

        fields = message.header.fields
        with self._lock:
            _, answer = self._calls.pop(fields.get(HeaderFields.reply_serial, 0), (0.0, None))
        if answer is None:
            if self._heard is not None and message.header.message_type is MessageType.signal:
                self._heard(message)
        elif message.header.message_type is MessageType.error:
            name = str(fields.get(HeaderFields.error_name, ""))
            answer.set_exception(BusError(str(message.body[0]) if message.body else name, name))
        else:
            answer.set_result(message.body)


def _opened() -> socket.socket:
    """Return a socket that is connected to the system bus, wherever the environment says that it is."""
    from jeepney.bus import get_bus

    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(_SHORT_PATIENCE)
        connection.connect(get_bus("SYSTEM"))
    except BaseException:
        connection.close()
        raise
    return connection


def _log_in(connection: socket.socket) -> None:
    """Say who we are. Raises: OSError, jeepney's AuthenticationError."""
    from jeepney.auth import BEGIN, Authenticator

    connection.settimeout(_SHORT_PATIENCE)
    login = Authenticator()
    for line in login:
        connection.sendall(line)
        heard = connection.recv(1024)
        if not heard:
            raise ConnectionResetError("it ended the connection")
        login.feed(heard)
    connection.sendall(BEGIN)
    # From here on a thread waits for what arrives, as long as it takes; what is sent still has an end.
    connection.settimeout(None)
    seconds = struct.pack("@ll", int(_SHORT_PATIENCE), 0)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, seconds)
