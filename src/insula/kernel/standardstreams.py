"""The three standard descriptors of a program of ours, which must never be anything else of it."""

import errno
import fcntl
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

NAMES = ("standard input", "standard output", "standard error")


def is_open(number: int) -> bool:
    """Tell whether there is a descriptor of that number."""
    if number < 0:
        return False
    try:
        fcntl.fcntl(number, fcntl.F_GETFD)
    except OSError as error:
        if error.errno != errno.EBADF:
            raise
        return False
    return True


def above_standard(fd: int) -> int:
    """Return a duplicate of fd that is none of the three, close-on-exec."""
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)


def socket_above_standard(connected: "socket.socket") -> "socket.socket":
    """Return a socket as it is, or in its place one that is none of the three.

    For programs that are not ours: they may have closed some of them, and mean them all the same.
    """
    if connected.fileno() > 2:
        return connected
    import socket

    with connected:
        return socket.socket(fileno=above_standard(connected.fileno()))


def occupy_standard_streams() -> None:
    """Open /dev/null on every one of 0, 1 and 2 that is not open.

    Else the next descriptor would take its number, a connection perhaps, and be read, written and passed on as a
    stream. To be called before anything is opened that stays open. It imports nothing: a command begins with it.
    """
    for number in range(3):
        if not is_open(number):
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            os.set_inheritable(number, True)
    # The interpreter has no file for a descriptor that was closed when it began.
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, closefd=False)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)
