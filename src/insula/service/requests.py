"""What a caller may ask for besides the verb: libvirt's public flags that reach the service, with libvirt's numbers."""

from enum import Enum, IntEnum, IntFlag


class Affect(IntFlag):
    """Which definition is meant. Source: virDomainModificationImpact in libvirt's public domain header."""

    CURRENT = 0
    """The live one if the domain runs, else the persistent one."""
    LIVE = 1
    CONFIG = 2


class Filter(IntFlag):
    """Which domains to list: kinds of one group are alternatives, groups restrict each other, an empty group none.

    Source: virConnectListAllDomainsFlags in libvirt's public header.
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


class ShutdownMode(IntFlag):
    """How the guest is asked to stop or to reboot. Source: virDomainShutdownFlagValues in libvirt's public header."""

    DEFAULT = 0
    """What suits the guest's init best."""
    ACPI = 1
    AGENT = 2
    INITCTL = 4
    SIGNAL = 8
    PARAVIRT = 16


class AddressSource(IntEnum):
    """Where interface addresses are read. Source: virDomainInterfaceAddressesSource."""

    LEASE = 0
    AGENT = 1
    ARP = 2


class StatsGroup(IntFlag):
    """Parts of the bulk statistics; none asked for means all. Source: virDomainStatsTypes."""

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


class Storage(Enum):
    """What becomes of a domain's writable layer when it is undefined."""

    KEEP = "keep"
    """It stays, and the same UUID finds it again."""
    DISCARD = "discard"
