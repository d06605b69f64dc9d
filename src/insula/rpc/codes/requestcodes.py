"""What can be asked of a domain call: flags, kinds and sources. Source: libvirt's public headers."""

from enum import IntEnum, IntFlag


class DefineFlags(IntFlag):
    """How to define."""

    VALIDATE = 1 << 0


class NetworkXmlFlags(IntFlag):
    """What a client wants in a network's XML."""

    INACTIVE = 1 << 0


class UndefineFlags(IntFlag):
    """What goes away together with the definition."""

    MANAGED_SAVE = 1 << 0
    SNAPSHOTS_METADATA = 1 << 1
    NVRAM = 1 << 2
    KEEP_NVRAM = 1 << 3
    CHECKPOINTS_METADATA = 1 << 4
    TPM = 1 << 5
    KEEP_TPM = 1 << 6


class StartFlags(IntFlag):
    """How to start."""

    PAUSED = 1 << 0
    AUTODESTROY = 1 << 1
    BYPASS_CACHE = 1 << 2
    FORCE_BOOT = 1 << 3
    VALIDATE = 1 << 4
    RESET_NVRAM = 1 << 5


class DestroyFlags(IntFlag):
    """How to destroy."""

    GRACEFUL = 1 << 0
    REMOVE_LOGS = 1 << 1


class MemoryFlags(IntFlag):
    """What a change of memory is about."""

    LIVE = 1 << 0
    CONFIG = 1 << 1
    MAXIMUM = 1 << 2


class VcpuFlags(IntFlag):
    """Which count of virtual CPUs."""

    LIVE = 1 << 0
    CONFIG = 1 << 1
    MAXIMUM = 1 << 2
    GUEST = 1 << 3
    HOTPLUGGABLE = 1 << 4


class DeviceFlags(IntFlag):
    """What a change of a device is about."""

    LIVE = 1 << 0
    CONFIG = 1 << 1
    FORCE = 1 << 2


class BlockResizeFlags(IntFlag):
    """BYTES: the size is in bytes, else in KiB."""

    BYTES = 1 << 0


class StatsFlags(IntFlag):
    """Whose bulk statistics, and how."""

    ACTIVE = 1 << 0
    INACTIVE = 1 << 1
    PERSISTENT = 1 << 2
    TRANSIENT = 1 << 3
    RUNNING = 1 << 4
    PAUSED = 1 << 5
    SHUTOFF = 1 << 6
    OTHER = 1 << 7
    NOWAIT = 1 << 29
    BACKING = 1 << 30
    ENFORCE_STATS = 1 << 31


class ConsoleFlags(IntFlag):
    """FORCE takes the console from whoever has it; SAFE demands that this be noticed."""

    FORCE = 1 << 0
    SAFE = 1 << 1


class ChannelFlags(IntFlag):
    """FORCE takes the channel from whoever has it."""

    FORCE = 1 << 0


class AddressType(IntEnum):
    """Which family an address is of."""

    IPV4 = 0
    IPV6 = 1


class HostnameFlags(IntFlag):
    """Who tells a guest's host name."""

    LEASE = 1 << 0
    AGENT = 1 << 1


class MessageTypes(IntFlag):
    """Which messages about a domain."""

    DEPRECATION = 1 << 0
    TAINTING = 1 << 1


class LifecycleAction(IntEnum):
    """What is done about it."""

    DESTROY = 0
    RESTART = 1
    RESTART_RENAME = 2
    PRESERVE = 3
    COREDUMP_DESTROY = 4
    COREDUMP_RESTART = 5


class SaveFlags(IntFlag):
    """How to save or restore."""

    BYPASS_CACHE = 1 << 0
    RUNNING = 1 << 1
    PAUSED = 1 << 2
    RESET_NVRAM = 1 << 3


class MigrateFlags(IntFlag):
    """How to migrate."""

    LIVE = 1 << 0
    PEER2PEER = 1 << 1
    TUNNELLED = 1 << 2
    PERSIST_DEST = 1 << 3
    UNDEFINE_SOURCE = 1 << 4
    PAUSED = 1 << 5
    NON_SHARED_DISK = 1 << 6
    NON_SHARED_INC = 1 << 7
    CHANGE_PROTECTION = 1 << 8
    UNSAFE = 1 << 9
    OFFLINE = 1 << 10
    COMPRESSED = 1 << 11
    ABORT_ON_ERROR = 1 << 12
    AUTO_CONVERGE = 1 << 13
    RDMA_PIN_ALL = 1 << 14
    POSTCOPY = 1 << 15
    TLS = 1 << 16
    PARALLEL = 1 << 17
    NON_SHARED_SYNCHRONOUS_WRITES = 1 << 18
    POSTCOPY_RESUME = 1 << 19
    ZEROCOPY = 1 << 20


class TimeFlags(IntFlag):
    """How a guest's time is set: SYNC to the host's."""

    SYNC = 1 << 0


class PasswordFlags(IntFlag):
    """How a user's password is given: ENCRYPTED as crypt(5) has it."""

    ENCRYPTED = 1 << 0


class AuthorizedKeysFlags(IntFlag):
    """What becomes of ssh keys: none of these puts them in the place of all others."""

    APPEND = 1 << 0
    REMOVE = 1 << 1
