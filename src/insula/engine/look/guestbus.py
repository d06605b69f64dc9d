"""A guest's own system bus, asked from outside, as the guest's root, by a look that may be killed.

It is asked at the socket that the guest's init itself listens at, as systemd does for the bus; one that anybody else
listens at, a bus of the host's that is shown inside too, is no such bus. No service is started for a question, and
whatever is answered has bounds: in time, in bytes, and by the types that it is to have (`busmessages`).
"""

import errno
import os
import socket
import stat
import struct
import time
from typing import Any

from insula.engine.look.busmessages import HEAD, BusFormatError, BusMessage, call, parse, whole_length
from insula.kernel.beneath import CONTAINED, open_beneath
from insula.kernel.fds import Fd

SOCKET = "/run/dbus/system_bus_socket"
BYTES_MAX = 1 << 20
"""What a bus may say in all, unasked messages included."""
_LINE_MAX = 512
_CREDENTIALS = struct.Struct("=iII")
_BUS = ("org.freedesktop.DBus", "/org/freedesktop/DBus")
_PROPERTIES = "org.freedesktop.DBus.Properties"


class BusRefusalError(Exception):
    """Who was asked says no, or is not there."""


class GuestBus:
    """A connection, until it is closed."""

    def __init__(self, root: Fd, *, init: int, seconds: float) -> None:
        """init: its pid; seconds: for all that is asked. Raises: OSError, BusFormatError, BusRefusalError."""
        self._end = time.monotonic() + seconds
        self._left = BYTES_MAX
        self._serial = 0
        self._arrived = b""
        self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._connect(root, init)
            self._log_in()
            self.ask(*_BUS, ("org.freedesktop.DBus", "Hello"), "s")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._connection.close()

    def ask(
        self,
        destination: str,
        path: str,
        method: tuple[str, str],
        signature: str,
        *arguments: str | tuple[str, ...],
    ) -> list[Any]:
        """Make a call of method, an interface and its member; return what is answered, of that signature.

        Raises: OSError, BusFormatError: nothing more is to be asked; BusRefusalError.
        """
        self._serial += 1
        self._wait_no_longer()
        self._connection.sendall(call(self._serial, destination, path, method, *arguments))
        while (answer := self._message()).answers != self._serial:
            pass
        if answer.refused:
            raise BusRefusalError(method[1])
        return answer.values(signature)

    def text(self, destination: str, path: str, interface: str, name: str) -> str:
        """Return a property that is a text. Raises: as ask."""
        value = self._property(destination, path, interface, name)
        if not isinstance(value, str):
            raise BusFormatError(f"{name} is no text")
        return value

    def number(self, destination: str, path: str, interface: str, name: str) -> int:
        """Return a property that is a number, not below 0. Raises: as ask."""
        value = self._property(destination, path, interface, name)
        if not isinstance(value, int) or value < 0:
            raise BusFormatError(f"{name} is no number")
        return value

    def _property(self, destination: str, path: str, interface: str, name: str) -> Any:
        return self.ask(destination, path, (_PROPERTIES, "Get"), "v", interface, name)[0]

    def _connect(self, root: Fd, init: int) -> None:
        found = open_beneath(root, SOCKET, os.O_PATH, resolve=CONTAINED)
        try:
            if not stat.S_ISSOCK(os.fstat(found).st_mode):
                raise OSError(errno.ENOTSOCK, "this is no socket", SOCKET)
            self._wait_no_longer()
            self._connection.connect(f"/proc/self/fd/{found}")
        finally:
            os.close(found)
        raw = self._connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        if _CREDENTIALS.unpack(raw)[0] != init:
            raise OSError(errno.EPERM, "the guest's init does not listen there", SOCKET)

    def _log_in(self) -> None:
        """Say who we are, which the kernel tells the bus. Source: D-Bus specification, "Authentication Protocol"."""
        self._connection.sendall(b"\0AUTH EXTERNAL %s\r\n" % str(os.geteuid()).encode().hex().encode())
        while b"\r\n" not in self._arrived:
            if len(self._arrived) > _LINE_MAX:
                raise BusFormatError("an answer to the login does not end")
            self._receive(_LINE_MAX)
        line, _, self._arrived = self._arrived.partition(b"\r\n")
        if not line.startswith(b"OK "):
            raise BusRefusalError("login")
        self._connection.sendall(b"BEGIN\r\n")

    def _message(self) -> BusMessage:
        while len(self._arrived) < HEAD:
            self._receive(HEAD)
        length = whole_length(self._arrived[:HEAD])
        while len(self._arrived) < length:
            self._receive(length - len(self._arrived))
        raw, self._arrived = self._arrived[:length], self._arrived[length:]
        return parse(raw)

    def _receive(self, most: int) -> None:
        self._wait_no_longer()
        arrived = self._connection.recv(min(most, self._left))
        if not arrived:
            raise OSError(errno.ECONNRESET, "the bus ended the connection or said too much", SOCKET)
        self._left -= len(arrived)
        self._arrived += arrived

    def _wait_no_longer(self) -> None:
        """Let the next call wait no longer than there is time. Raises: TimeoutError if there is none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError(errno.ETIMEDOUT, "the guest's bus does not answer", SOCKET)
        self._connection.settimeout(left)
