"""The numbers at which guests get passed fds, kept free of the keeper's own (PassDescriptors)."""

import fcntl
import os

from insula.engine.steps.guest.execution import FIRST_PASSED_FD, LAST_PASSED_FD


def move_up(fd: int) -> int:
    """Move an fd out of that range, and return where it is."""
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, LAST_PASSED_FD + 1)
    os.close(fd)
    return moved


def reserve_numbers() -> None:
    """Occupy the range, so that nothing of ours is ever there."""
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    for number in range(FIRST_PASSED_FD, LAST_PASSED_FD + 1):
        if number != null:
            os.dup2(null, number, inheritable=False)
