"""A connected UNIX stream socket that never blocks: bytes and descriptors, both ways.

Plain recv(2) would let the kernel drop the descriptors, so reading is recvmsg(2); each descriptor to send goes with a
byte of its own.
"""

import array
import os
import socket
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from insula.errors import AccessDeniedError, NobodyListensError, OperationFailedError, RpcError
from insula.kernel.standardstreams import socket_above_standard
from insula.rpc.frames import FDS_MAX

READ_SIZE: Final = 256 * 1024
"""Bytes asked for at once, after a read that was full."""
USUAL_READ_SIZE: Final = 16 * 1024
"""Bytes asked for at once otherwise: to make room for more takes longer than to read a usual answer."""
_FD_SPACE: Final = socket.CMSG_SPACE(FDS_MAX * array.array("i").itemsize)


class UnixSocket:
    """One end of a connection. passes_fds: whether descriptors can go along."""

    passes_fds = True

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        self.socket = connected
        self._unsent: deque[tuple[memoryview, int | None]] = deque()
        self._read_size = USUAL_READ_SIZE

    @property
    def has_unsent(self) -> bool:
        """Whether something waits until the socket is writable again."""
        return bool(self._unsent)

    @property
    def unsent_bytes(self) -> int:
        """Bytes that wait until the socket is writable again."""
        return sum(len(data) for data, _ in self._unsent)

    def fileno(self) -> int:
        return self.socket.fileno()

    def receive(self) -> tuple[bytes, list[int]] | None:
        """Return bytes and descriptors that have come, (b"", []) at the end, None if there is nothing now.

        Raises: OSError if the connection broke; RpcError if descriptors were lost.
        """
        try:
            data, ancillary, flags, _ = self.socket.recvmsg(self._read_size, _FD_SPACE, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return None
        self._read_size = USUAL_READ_SIZE if len(data) < self._read_size else READ_SIZE
        fds = _descriptors(ancillary)
        if flags & socket.MSG_CTRUNC:
            close_fds(fds)
            raise RpcError("file descriptors were lost on the way; are too many open?")
        return data, fds

    def send(self, outgoing: Iterable[tuple[bytes, int | None]]) -> None:
        """Write as much as the socket takes, and keep the rest for `flush`.

        outgoing: bytes, or the carrier byte of a descriptor. A descriptor that cannot go now is duplicated, so that its
        giver may close it. Raises: OSError if the connection broke.
        """
        fresh = [(memoryview(data), fd) for data, fd in outgoing]
        if not self._unsent:
            fresh = fresh[self._write(fresh) :]
        for data, fd in fresh:
            self._unsent.append((data, os.dup(fd) if fd is not None else None))

    def flush(self) -> None:
        """Write more of what waits. Raises: OSError if the connection broke."""
        waiting = list(self._unsent)
        written = self._write(waiting)
        for _, fd in waiting[:written]:
            if fd is not None:
                os.close(fd)
        self._unsent = deque(waiting[written:])

    def close(self) -> None:
        """End the connection; what waits is dropped."""
        self.socket.close()
        close_fds(fd for _, fd in self._unsent if fd is not None)
        self._unsent.clear()

    def _write(self, pieces: list[tuple[memoryview, int | None]]) -> int:
        """Write pieces from the start; return how many went whole, and shorten the one that did not."""
        for index, (data, fd) in enumerate(pieces):
            rest = data
            try:
                while rest:
                    rest = rest[self._write_one(rest, fd) :]
            except BlockingIOError:
                pieces[index] = rest, fd
                return index
        return len(pieces)

    def _write_one(self, data: memoryview, fd: int | None) -> int:
        if fd is None:
            return self.socket.send(data, socket.MSG_NOSIGNAL)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
        return self.socket.sendmsg([data], rights, socket.MSG_NOSIGNAL)


def connect(path: str | os.PathLike[str]) -> UnixSocket:
    """Return a connection to the socket at path.

    Raises: NobodyListensError; AccessDeniedError if we may not connect.
    """
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connected.connect(os.fspath(path))
    except PermissionError as error:
        connected.close()
        raise AccessDeniedError(
            f"no connection to '{os.fspath(path)}': {error.strerror}; root may, and members of the socket's group"
        ) from error
    except OSError as error:
        connected.close()
        text = f"no connection to '{os.fspath(path)}': {error.strerror or error}; is insulad running?"
        nobody = isinstance(error, FileNotFoundError | ConnectionRefusedError)
        raise (NobodyListensError if nobody else OperationFailedError)(text) from error
    return UnixSocket(socket_above_standard(connected))


def close_fds(fds: Iterable[int]) -> None:
    """Close descriptors, whatever they are by now."""
    for fd in fds:
        with suppress(OSError):
            os.close(fd)


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    fds = array.array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return list(fds)
