"""What happens to domains and networks: events and their details. Source: libvirt's public headers."""

from enum import IntEnum


class DomainEventId(IntEnum):
    """Which events a client registers for."""

    LIFECYCLE = 0
    REBOOT = 1
    RTC_CHANGE = 2
    WATCHDOG = 3
    IO_ERROR = 4
    GRAPHICS = 5
    IO_ERROR_REASON = 6
    CONTROL_ERROR = 7
    BLOCK_JOB = 8
    DISK_CHANGE = 9
    TRAY_CHANGE = 10
    PMWAKEUP = 11
    PMSUSPEND = 12
    BALLOON_CHANGE = 13
    PMSUSPEND_DISK = 14
    DEVICE_REMOVED = 15
    BLOCK_JOB_2 = 16
    TUNABLE = 17
    AGENT_LIFECYCLE = 18
    DEVICE_ADDED = 19
    MIGRATION_ITERATION = 20
    JOB_COMPLETED = 21
    DEVICE_REMOVAL_FAILED = 22
    METADATA_CHANGE = 23
    BLOCK_THRESHOLD = 24
    MEMORY_FAILURE = 25
    MEMORY_DEVICE_SIZE_CHANGE = 26
    NIC_MAC_CHANGE = 27
    VCPU_REMOVED = 28
    """Since libvirt 12, as the next."""
    CHANNEL_LIFECYCLE = 29


class NetworkEventId(IntEnum):
    """Which events of networks a client registers for."""

    LIFECYCLE = 0
    METADATA_CHANGE = 1


class AgentState(IntEnum):
    """Whether something inside the guest answers."""

    CONNECTED = 1
    DISCONNECTED = 2


class AgentReason(IntEnum):
    """Why that changed."""

    UNKNOWN = 0
    DOMAIN_STARTED = 1
    CHANNEL = 2
