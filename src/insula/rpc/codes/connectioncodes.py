"""What a connection and its host are asked. Source: libvirt's public headers."""

from enum import IntEnum, IntFlag


class OpenFlags(IntFlag):
    """How to open a connection: RO allows only what changes nothing."""

    RO = 1 << 0
    NO_ALIASES = 1 << 1


class Feature(IntEnum):
    """What a client asks a server about with CONNECT_SUPPORTS_FEATURE. Source: libvirt_internal.h."""

    MIGRATION_V1 = 1
    MIGRATION_V2 = 3
    MIGRATION_P2P = 4
    MIGRATION_DIRECT = 5
    MIGRATION_V3 = 6
    MIGRATE_CHANGE_PROTECTION = 7
    FD_PASSING = 8
    TYPED_PARAM_STRING = 9
    PROGRAM_KEEPALIVE = 10
    XML_MIGRATABLE = 11
    MIGRATION_OFFLINE = 12
    MIGRATION_PARAMS = 13
    REMOTE_EVENT_CALLBACK = 14
    REMOTE_CLOSE_CALLBACK = 15
    NETWORK_UPDATE_HAS_CORRECT_ORDER = 16


class AuthType(IntEnum):
    """How a server wants to be convinced. Source: remote_protocol.x."""

    NONE = 0
    SASL = 1
    POLKIT = 2


class CloseReason(IntEnum):
    """Why the hypervisor connection went away."""

    ERROR = 0
    EOF = 1
    KEEPALIVE = 2
    CLIENT = 3


class SuspendTarget(IntEnum):
    """Where the host's memory goes while it sleeps."""

    MEM = 0
    DISK = 1
    HYBRID = 2
