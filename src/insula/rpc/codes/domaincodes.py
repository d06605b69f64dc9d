"""What the way to a domain is busy with. Source: libvirt's public headers."""

from enum import IntEnum, IntFlag


class ControlState(IntEnum):
    """What the way to a domain is busy with."""

    OK = 0
    JOB = 1
    OCCUPIED = 2
    ERROR = 3


class DumpFlags(IntFlag):
    """How a guest is dumped, and what becomes of it then."""

    CRASH = 1 << 0
    LIVE = 1 << 1
    BYPASS_CACHE = 1 << 2
    RESET = 1 << 3
    MEMORY_ONLY = 1 << 4


class JobStatsFlags(IntFlag):
    """Of which job the statistics are: the one that ended last, and whether that may be asked for again."""

    COMPLETED = 1 << 0
    KEEP_COMPLETED = 1 << 1
