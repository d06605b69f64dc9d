"""Resource limits by their names, and how high a limit must be for the steps on the way to a guest's program.

Source: getrlimit(2).
"""

from insula.engine.spec import ResourceLimit

_MEMORY = 64 << 20
"""Bytes: many times what a process on its way has mapped."""

ENOUGH = {
    "AS": _MEMORY,
    "CORE": 0,
    "CPU": 60,
    "DATA": _MEMORY,
    "FSIZE": 1 << 20,
    "MEMLOCK": 0,
    "MSGQUEUE": 0,
    "NICE": 0,
    "NOFILE": 1024,
    "NPROC": 1024,
    "RSS": 0,
    "RTPRIO": 0,
    "RTTIME": 1_000_000,
    "SIGPENDING": 0,
    "STACK": 8 << 20,
}
"""Every limit there is but LOCKS, which means nothing since Linux 2.4, with the lowest that keeps nobody of ours."""


def is_raised(limit: ResourceLimit) -> bool:
    """Whether a limit may be above that of the process which makes a guest's, and hinders nobody while it is set."""
    return limit.hard is None or limit.hard >= ENOUGH[limit.name]
