"""Parting from what strangers passed us: close(2) may take as long as they like.

The last close of a TCP socket with SO_LINGER waits until its peer has taken everything, that of a file on FUSE or a
network file system until its server answers; and the kernel does the same for descriptors that nobody received, when
it throws away the queue they are in. So all of that happens beside the loop, and sockets that need none take none.
"""

import array
import errno
import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from threading import Thread

from insula.kernel.fds import close_all
from insula.kernel.filekinds import FileKind
from insula.kernel.sharedsockets import forget_linger
from insula.kernel.statx import cached_kind_of

SO_PASSRIGHTS = 83
"""Whether descriptors may be sent to a UNIX socket; accepted ones have it from the listening one. Since Linux 6.16."""
SCM_MAX_FD = 253
"""The most descriptors in one message: unix(7)."""
FD_SPACE = socket.CMSG_SPACE(SCM_MAX_FD * array.array("i").itemsize)
"""Room for all of them: the kernel would close what does not fit, in our thread."""
_AT_ONCE = 64 * 1024


def refuse_descriptors(listener: socket.socket) -> bool:
    """Have the kernel refuse descriptors that are sent to a socket (EPERM); return whether it can."""
    try:
        listener.setsockopt(socket.SOL_SOCKET, SO_PASSRIGHTS, 0)
    except OSError as error:
        if error.errno not in (errno.ENOPROTOOPT, errno.EOPNOTSUPP):
            raise
        return False
    return True


def part_with(fds: Iterable[int]) -> None:
    """Close descriptors that somebody passed: pipes and null devices now, all others in a thread nobody waits for."""
    others = []
    for fd in fds:
        if _closes_at_once(fd):
            os.close(fd)
        else:
            others.append(fd)
    if others:
        Thread(target=_close, args=(tuple(others),), name="parting", daemon=True).start()


def _closes_at_once(fd: int) -> bool:
    """Whether nothing but memory is behind it. Whoever is asked for that need not answer: what is cached is seen."""
    try:
        return cached_kind_of(fd) in (FileKind.PIPE, FileKind.NULL)
    except OSError:
        return False


def hang_up(connection: socket.socket) -> None:
    """Close a connection; descriptors that it still holds for us are received first, since nobody may add any more."""
    with suppress(OSError):  # nobody is there any more
        connection.shutdown(socket.SHUT_RDWR)
    left: list[int] = []
    connection.setblocking(False)
    with suppress(OSError):
        while True:
            data, ancillary, *_ = connection.recvmsg(_AT_ONCE, FD_SPACE, socket.MSG_CMSG_CLOEXEC)
            left += descriptors(ancillary)
            if not data:
                break
    connection.close()
    part_with(left)


def descriptors(ancillary: Iterable[tuple[int, int, bytes]]) -> list[int]:
    """Return the descriptors in what recvmsg(2) gave beside the data."""
    fds = array.array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return list(fds)


def _close(fds: tuple[int, ...]) -> None:
    for fd in fds:
        with suppress(OSError):
            forget_linger(fd)
    close_all(fds)
