"""What a guest's init says of its state through its socket: read a little at a time, from it alone. Hostile.

Source: sd_notify(3).
"""

import os
import socket
import struct
from collections.abc import Iterator, Mapping

from insula.kernel.fds import Fd

SIZE_MAX = 4096
"""Bytes of a message that are read; what is beyond is lost."""
AT_A_TIME = 16
"""Messages that are read before others have their turn."""
_CREDENTIALS = struct.Struct("3i")
"""pid, uid, gid. Source: unix(7)."""
_ROOM = socket.CMSG_SPACE(_CREDENTIALS.size)
"""For who has sent it alone: the kernel closes descriptors that come along and have no room."""


def read_notices(listening: Fd, init: int) -> Iterator[Mapping[str, str]]:
    """Yield the assignments of each message of init's that is there, of AT_A_TIME at most; others' are dropped.

    init: its pid on the host. Raises: OSError.
    """
    with socket.socket(fileno=os.dup(listening)) as opened:
        for _ in range(AT_A_TIME):
            try:
                text, ancillary, _flags, _address = opened.recvmsg(SIZE_MAX, _ROOM)
            except BlockingIOError:
                return
            if init in _senders(ancillary):
                lines = (line.partition("=") for line in text.decode(errors="replace").splitlines())
                yield {name: value for name, separator, value in lines if separator}


def refuse_more(listening: Fd) -> None:
    """Let whoever sends more be told at once that nobody listens, instead of waiting for room. Drops what is there."""
    with socket.socket(fileno=os.dup(listening)) as opened:
        opened.shutdown(socket.SHUT_RD)
        for _ in range(AT_A_TIME * AT_A_TIME):
            try:
                if not opened.recvmsg(1)[0]:
                    return
            except OSError:
                return


def _senders(ancillary: list[tuple[int, int, bytes]]) -> Iterator[int]:
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS and len(data) >= _CREDENTIALS.size:
            yield _CREDENTIALS.unpack_from(data)[0]
