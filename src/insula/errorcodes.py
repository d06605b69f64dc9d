"""libvirt's numbers of errors, and of the parts of it that they come from. Source: its public virterror header."""

from enum import IntEnum


class ErrorCode(IntEnum):
    """libvirt's error numbers, as far as we send or receive them."""

    OK = 0
    INTERNAL_ERROR = 1
    NO_MEMORY = 2
    NO_SUPPORT = 3
    INVALID_CONN = 6
    INVALID_ARG = 8
    OPERATION_FAILED = 9
    NO_SOURCE = 19
    NO_TARGET = 20
    NO_NAME = 21
    XML_ERROR = 27
    DOM_EXIST = 28
    OPERATION_DENIED = 29
    XML_DETAIL = 35
    SYSTEM_ERROR = 38
    RPC = 39
    NO_DOMAIN = 42
    NO_NETWORK = 43
    AUTH_FAILED = 45
    NO_STORAGE_POOL = 49
    NO_STORAGE_VOL = 50
    NO_NODE_DEVICE = 53
    OPERATION_INVALID = 55
    NO_INTERFACE = 57
    NO_NWFILTER = 62
    NO_SECRET = 66
    CONFIG_UNSUPPORTED = 67
    OPERATION_TIMEOUT = 68
    NO_DOMAIN_SNAPSHOT = 72
    ARGUMENT_UNSUPPORTED = 74
    OPERATION_ABORTED = 78
    AUTH_CANCELLED = 79
    NO_DOMAIN_METADATA = 80
    OPERATION_UNSUPPORTED = 84
    AGENT_UNRESPONSIVE = 86
    RESOURCE_BUSY = 87
    ACCESS_DENIED = 88
    STORAGE_VOL_EXIST = 90
    XML_INVALID_SCHEMA = 92
    AUTH_UNAVAILABLE = 94
    DEVICE_MISSING = 99
    NO_NWFILTER_BINDING = 101
    NO_DOMAIN_CHECKPOINT = 103
    NO_NETWORK_PORT = 107
    NO_HOSTNAME = 108
    NO_NETWORK_METADATA = 111


class ErrorDomain(IntEnum):
    """Which part of libvirt an error is said to come from."""

    NONE = 0
    XML = 5
    RPC = 7
    REMOTE = 13
    LXC = 17
    STORAGE = 18
    NETWORK = 19
    DOMAIN = 20
    NODEDEV = 22
    INTERFACE = 26
    SECRET = 30
    NWFILTER = 33
    DOMAIN_SNAPSHOT = 35
    STREAMS = 38
    DOMAIN_CHECKPOINT = 69
