"""The three standard descriptors of a program of ours, which must never be anything else of it."""

import fcntl
import os
import sys


def occupy_standard_streams() -> None:
    """Open /dev/null on every one of 0, 1 and 2 that is not open.

    Else the next descriptor would take its number, a connection perhaps, and be read, written and passed on as a
    stream. To be called before anything is opened that stays open. It imports nothing: a command begins with it.
    """
    for number in range(3):
        try:
            fcntl.fcntl(number, fcntl.F_GETFD)
        except OSError:
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
