"""The numbers at which guests get passed fds, kept free of the keeper's own (PassDescriptors)."""

import fcntl
import os

FIRST_PASSED_FD = 3
"""Where passed fds begin. Source: sd_listen_fds(3)."""
PASSED_FDS_MAX = 64
LAST_PASSED_FD = FIRST_PASSED_FD + PASSED_FDS_MAX - 1
CHANNEL_FD = LAST_PASSED_FD + 1
"""Where a process has its channel at last, when it has nothing else of ours."""

NEEDED_NUMBERS = 1024
"""How many numbers a process on its way must be able to use: one message alone may bring 253 fds, behind all these."""


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
