"""What the way to a domain is busy with. Source: libvirt's public headers."""

from enum import IntEnum


class ControlState(IntEnum):
    """What the way to a domain is busy with."""

    OK = 0
    JOB = 1
    OCCUPIED = 2
    ERROR = 3
