"""Pipes: of our own for a program in a guest, what lies in one, and looking into one without taking anything out.

Without ctypes, but for the looking: a command begins with this.
"""

import array
import fcntl
import os
import select
import termios
from collections.abc import Iterable

ATOMIC = 4096
"""Bytes that a pipe which is ready takes at once: PIPE_BUF in pipe(7)."""


def private_pipe() -> tuple[int, int]:
    """Return the ends of a new pipe, to read from and to write to, that whoever is given one can open anew.

    It is ours: else a guest's program could not open its /dev/stdout.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    os.fchmod(reader, 0o666)
    return reader, writer


def waiting(fd: int) -> int:
    """Return how many bytes lie in a pipe, by either end: FIONREAD, ioctl_tty(2)."""
    number = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, number)
    return number[0]


def resize(fd: int, size: int) -> None:
    """Let a pipe hold so many bytes, in whole pages: F_SETPIPE_SZ, fcntl(2)."""
    fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, size)


def is_abandoned(writer: int) -> bool:
    """Tell whether nobody can read any more what is written: POLLERR in poll(2)."""
    poll = select.poll()
    poll.register(writer, 0)
    return bool(poll.poll(0))


def copy_ahead(source: int, target: int, size: int) -> int | None:
    """Copy at most size bytes from a pipe into another, and leave them where they are; never wait.

    Return how many, 0 at the end of the source, None if there is nothing now. Source: tee(2).
    """
    from insula.kernel.tee import NONBLOCK, tee  # a program that does without does not load ctypes

    try:
        return tee(source, target, size, NONBLOCK)
    except BlockingIOError:
        return None


def discard(source: int, size: int, null: int) -> None:
    """Take size bytes out of a pipe, as far as they are there. null: a descriptor of /dev/null."""
    while size > 0:
        try:
            taken = os.splice(source, null, size, flags=os.SPLICE_F_NONBLOCK)
        except BlockingIOError:
            return
        if not taken:
            return
        size -= taken


def close_all(fds: Iterable[int]) -> None:
    """Close each."""
    for fd in fds:
        os.close(fd)
