"""What is being done to domains and their parts: jobs, and the way to them. Source: libvirt's public headers."""

from enum import IntEnum


class ControlState(IntEnum):
    """What the way to a domain is busy with."""

    OK = 0
    JOB = 1
    OCCUPIED = 2
    ERROR = 3


class VcpuState(IntEnum):
    """What a virtual CPU is doing."""

    OFFLINE = 0
    RUNNING = 1
    BLOCKED = 2


class JobType(IntEnum):
    """How a domain's job goes."""

    NONE = 0
    BOUNDED = 1
    UNBOUNDED = 2
    COMPLETED = 3
    FAILED = 4
    CANCELLED = 5


class JobOperation(IntEnum):
    """What a domain's job does."""

    UNKNOWN = 0
    START = 1
    SAVE = 2
    RESTORE = 3
    MIGRATION_IN = 4
    MIGRATION_OUT = 5
    SNAPSHOT = 6
    SNAPSHOT_REVERT = 7
    DUMP = 8
    BACKUP = 9
    SNAPSHOT_DELETE = 10
