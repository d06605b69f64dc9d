"""Storage pools, volumes and node devices. Source: libvirt's public headers."""

from enum import IntEnum, IntFlag


class ListPools(IntFlag):
    """Filters; bits of one pair are alternatives, and so are all types."""

    INACTIVE = 1 << 0
    ACTIVE = 1 << 1
    PERSISTENT = 1 << 2
    TRANSIENT = 1 << 3
    AUTOSTART = 1 << 4
    NO_AUTOSTART = 1 << 5
    DIR = 1 << 6
    FS = 1 << 7
    NETFS = 1 << 8
    LOGICAL = 1 << 9
    DISK = 1 << 10
    ISCSI = 1 << 11
    SCSI = 1 << 12
    MPATH = 1 << 13
    RBD = 1 << 14
    SHEEPDOG = 1 << 15
    GLUSTER = 1 << 16
    ZFS = 1 << 17
    VSTORAGE = 1 << 18
    ISCSI_DIRECT = 1 << 19


class PoolState(IntEnum):
    """What a pool is doing."""

    INACTIVE = 0
    BUILDING = 1
    RUNNING = 2
    DEGRADED = 3
    INACCESSIBLE = 4


class PoolEventId(IntEnum):
    """Which events a client registers for."""

    LIFECYCLE = 0
    REFRESH = 1


class PoolEvent(IntEnum):
    """What happened to a pool."""

    DEFINED = 0
    UNDEFINED = 1
    STARTED = 2
    STOPPED = 3
    CREATED = 4
    DELETED = 5


class VolumeType(IntEnum):
    """What a volume is."""

    FILE = 0
    BLOCK = 1
    DIR = 2
    NETWORK = 3
    NETDIR = 4
    PLOOP = 5


class NodeDeviceEventId(IntEnum):
    """Which events a client registers for."""

    LIFECYCLE = 0
    UPDATE = 1


class NodeDeviceEvent(IntEnum):
    """What happened to a node device."""

    CREATED = 0
    DELETED = 1
    DEFINED = 2
    UNDEFINED = 3
