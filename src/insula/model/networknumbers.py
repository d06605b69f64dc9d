"""libvirt's numbers of networks that more than the wire speaks. Source: libvirt's public header of networks."""

from enum import IntEnum, IntFlag


class ListNetworks(IntFlag):
    """Which networks to list: virConnectListAllNetworksFlags. Bits of one pair are alternatives."""

    INACTIVE = 1
    ACTIVE = 2
    PERSISTENT = 4
    TRANSIENT = 8
    AUTOSTART = 16
    NO_AUTOSTART = 32


class NetworkEventKind(IntEnum):
    """What happened to a network: virNetworkEventLifecycleType."""

    DEFINED = 0
    UNDEFINED = 1
    STARTED = 2
    STOPPED = 3


class NetworkUpdateCommand(IntEnum):
    """What a network's update does: virNetworkUpdateCommand."""

    NONE = 0
    MODIFY = 1
    DELETE = 2
    ADD_LAST = 3
    ADD_FIRST = 4


class NetworkUpdateSection(IntEnum):
    """Which part of a network is updated: virNetworkUpdateSection."""

    NONE = 0
    BRIDGE = 1
    DOMAIN = 2
    IP = 3
    IP_DHCP_HOST = 4
    IP_DHCP_RANGE = 5
    FORWARD = 6
    FORWARD_INTERFACE = 7
    FORWARD_PF = 8
    PORTGROUP = 9
    DNS_HOST = 10
    DNS_TXT = 11
    DNS_SRV = 12


UPDATABLE_SECTIONS = (
    NetworkUpdateSection.IP_DHCP_HOST,
    NetworkUpdateSection.IP_DHCP_RANGE,
    NetworkUpdateSection.FORWARD_INTERFACE,
    NetworkUpdateSection.PORTGROUP,
    NetworkUpdateSection.DNS_HOST,
    NetworkUpdateSection.DNS_TXT,
    NetworkUpdateSection.DNS_SRV,
)
"""Those that `networkupdate` can change, as libvirt does."""
