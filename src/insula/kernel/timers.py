"""Timers as descriptors: timerfd_create(2)."""

import contextlib
import ctypes
import os

from insula.kernel.fds import Fd
from insula.kernel.syscall import libc

_CLOCK_BOOTTIME = 7
_SECOND = 1_000_000_000


class _Times(ctypes.Structure):
    """struct itimerspec."""

    _fields_ = (
        ("every_seconds", ctypes.c_long),
        ("every_nanoseconds", ctypes.c_long),
        ("first_seconds", ctypes.c_long),
        ("first_nanoseconds", ctypes.c_long),
    )


@libc("timerfd_create")
def _timerfd_create(clock: int, flags: int) -> int:
    raise NotImplementedError


@libc("timerfd_settime")
def _timerfd_settime(fd: int, flags: int, wanted: _Times, former: _Times | None) -> int:
    raise NotImplementedError


class TimerDescriptor:
    """A descriptor that is readable once some moment has come. Moments are nanoseconds since the host's boot."""

    def __init__(self) -> None:
        """Raises: OSError."""
        self.fd = Fd(_timerfd_create(_CLOCK_BOOTTIME, os.O_CLOEXEC | os.O_NONBLOCK))

    def set(self, moment: int) -> None:
        """Be readable from this moment on, at once if it has passed; 0 or less: never. Raises: OSError."""
        moment = max(moment, 0)
        _timerfd_settime(self.fd, _ABSOLUTE, _Times(0, 0, moment // _SECOND, moment % _SECOND), None)

    def take(self) -> None:
        """Be unreadable until the next moment that is set."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.fd, 8)

    def close(self) -> None:
        os.close(self.fd)


_ABSOLUTE = 1
