"""libvirt's numbers that more than the wire speaks: what is asked of domains, and what is told of them.

Flags that end at the wire are in `rpc/codes`; states, reasons and what events say are in `lifecycle`.
Source: libvirt's public headers, under the names given.
"""

from enum import IntEnum, IntFlag


class Affect(IntFlag):
    """Which definition is meant: virDomainModificationImpact."""

    CURRENT = 0
    """The live one if the domain runs, else the persistent one."""
    LIVE = 1
    CONFIG = 2


class ListDomains(IntFlag):
    """Which domains to list: virConnectListAllDomainsFlags.

    Kinds of one group are alternatives, groups restrict each other, an empty group does not.
    """

    ALL = 0
    ACTIVE = 1
    INACTIVE = 2
    PERSISTENT = 4
    TRANSIENT = 8
    RUNNING = 16
    PAUSED = 32
    SHUTOFF = 64
    OTHER = 128
    MANAGED_SAVE = 256
    NO_MANAGED_SAVE = 512
    AUTOSTART = 1024
    NO_AUTOSTART = 2048
    HAS_SNAPSHOT = 4096
    NO_SNAPSHOT = 8192
    HAS_CHECKPOINT = 16384
    NO_CHECKPOINT = 32768


class XmlFlags(IntFlag):
    """What a client wants in a domain's XML: virDomainXMLFlags."""

    LIVE = 0
    SECURE = 1  # passwords too, and the values of the init's environment
    INACTIVE = 2  # only what would be defined
    UPDATE_CPU = 4  # no meaning for a container
    MIGRATABLE = 8  # only what another host can use


class ShutdownMode(IntFlag):
    """How the guest is asked to stop or to reboot: virDomainShutdownFlagValues, and the same bits of reboots."""

    DEFAULT = 0
    """What suits the guest's init best."""
    ACPI = 1
    AGENT = 2
    INITCTL = 4
    SIGNAL = 8
    PARAVIRT = 16


class AddressSource(IntEnum):
    """Where interface addresses are read: virDomainInterfaceAddressesSource."""

    LEASE = 0
    AGENT = 1
    ARP = 2


class GuestInfo(IntFlag):
    """What a guest is asked about itself: virDomainGuestInfoTypes."""

    USERS = 1
    OS = 2
    TIMEZONE = 4
    HOSTNAME = 8
    FILESYSTEM = 16
    DISKS = 32
    INTERFACES = 64
    LOAD = 128


class MetadataType(IntEnum):
    """Which metadata: virDomainMetadataType."""

    DESCRIPTION = 0
    TITLE = 1
    ELEMENT = 2


class LifecycleType(IntEnum):
    """What may happen to a guest by itself."""

    POWEROFF = 0
    REBOOT = 1
    CRASH = 2


class MemoryStat(IntEnum):
    """What a number of memory statistics counts, KiB unless it counts events: virDomainMemoryStatTags."""

    SWAP_IN = 0
    SWAP_OUT = 1
    MAJOR_FAULT = 2
    MINOR_FAULT = 3
    UNUSED = 4
    AVAILABLE = 5
    ACTUAL_BALLOON = 6
    RSS = 7
    USABLE = 8
    LAST_UPDATE = 9
    DISK_CACHES = 10
    HUGETLB_PGALLOC = 11
    HUGETLB_PGFAIL = 12


class StatsTypes(IntFlag):
    """Parts of the bulk statistics; none asked for means all: virDomainStatsTypes."""

    ALL = 0
    STATE = 1
    CPU_TOTAL = 2
    BALLOON = 4
    VCPU = 8
    INTERFACE = 16
    BLOCK = 32
    PERF = 64
    IOTHREAD = 128
    MEMORY = 256
    DIRTYRATE = 512
    VM = 1024


class ParameterType(IntEnum):
    """What a typed parameter's value is, and how wide on the wire: virTypedParameterType."""

    INT = 1
    UINT = 2
    LLONG = 3
    ULLONG = 4
    DOUBLE = 5
    BOOLEAN = 6
    STRING = 7


class VcpuState(IntEnum):
    """What a virtual processor is doing: virVcpuState."""

    OFFLINE = 0
    RUNNING = 1
    BLOCKED = 2


class MemoryFailureRecipient(IntEnum):
    """Where memory failed: virDomainMemoryFailureRecipientType."""

    HYPERVISOR = 0
    GUEST = 1


class MemoryFailureAction(IntEnum):
    """What came of it: virDomainMemoryFailureActionType."""

    IGNORE = 0
    """The guest goes on."""
    INJECT = 1
    FATAL = 2
    RESET = 3


class WatchdogAction(IntEnum):
    """What follows when a guest does not answer: virDomainEventWatchdogAction."""

    NONE = 0
    PAUSE = 1
    RESET = 2
    POWEROFF = 3
    SHUTDOWN = 4


class JobType(IntEnum):
    """How a domain's job goes: virDomainJobType."""

    NONE = 0
    BOUNDED = 1
    """It has an end that can be told beforehand."""
    UNBOUNDED = 2
    COMPLETED = 3
    FAILED = 4
    CANCELLED = 5


class JobOperation(IntEnum):
    """What a domain's job does: virDomainJobOperation."""

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
