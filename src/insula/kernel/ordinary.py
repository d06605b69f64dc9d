"""What a process inherits of how it is scheduled, put back to what the first process of a host has.

Whoever starts a service may do so by `nice`, `ionice`, `chrt`, `taskset`, `numactl` or `setarch`, or by a unit's
settings; all of that passes on to children for ever. Sources: setpriority(2), ioprio_set(2), sched(7),
sched_setaffinity(2), set_mempolicy(2), personality(2), PR_SET_TIMERSLACK and PR_SET_THP_DISABLE in prctl(2).
"""

import ctypes
import os
from collections.abc import Callable
from contextlib import suppress

_PROCESSORS = range(8192)
"""As many as Linux can be built for; those that are not there do not count."""
_TIMER_SLACK = 50_000
"""Nanoseconds: of init, which nobody gave another."""
_PR_SET_TIMERSLACK, _PR_SET_THP_DISABLE = 29, 41
_IO_SET = {"x86_64": 251, "aarch64": 30, "riscv64": 30}
_MEMORY_SET = {"x86_64": 238, "aarch64": 237, "riscv64": 237}
"""Numbers of the calls that the C library has no name for."""
_PERSONALITY_LINUX = 0

_library = ctypes.CDLL(None, use_errno=True)


def become_ordinary() -> None:
    """Have this process, and what it starts from now on, be scheduled as any; what is refused stays as it is."""
    for reset in _RESETS:
        with suppress(OSError):
            reset()


def _call(numbers: dict[str, int], *arguments: int) -> None:
    number = numbers.get(os.uname().machine)
    if number is not None:
        _library.syscall(ctypes.c_long(number), *(ctypes.c_long(each) for each in arguments))


def _control(option: int, value: int) -> None:
    _library.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0))


_RESETS: tuple[Callable[[], object], ...] = (
    lambda: os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0)),
    lambda: os.setpriority(os.PRIO_PROCESS, 0, 0),
    lambda: _call(_IO_SET, 1, 0, 0),
    lambda: os.sched_setaffinity(0, _PROCESSORS),
    lambda: _call(_MEMORY_SET, 0, 0, 0),
    lambda: _control(_PR_SET_TIMERSLACK, _TIMER_SLACK),
    lambda: _control(_PR_SET_THP_DISABLE, 0),
    lambda: _library.personality(ctypes.c_ulong(_PERSONALITY_LINUX)),
)
