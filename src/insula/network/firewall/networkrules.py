"""What the host's packet filter does for one virtual network, as values."""

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from insula.model.networksettings import TransportProtocol

NetworkPrefix = IPv4Network | IPv6Network
HostAddress = IPv4Address | IPv6Address


class Reach(Enum):
    """What guests of a network reach beyond it, and who reaches them."""

    NAT = "nat"
    """They reach what the host reaches, by the host's address; from outside only answers come, and forwarded ports."""
    ROUTE = "route"
    """They reach, and are reached, by their own addresses."""
    OPEN = "open"
    """Others' rules say; there are none of ours."""
    ISOLATED = "isolated"
    """They reach each other and the host, and nothing beyond."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ForwardedPort:
    """What comes to a port of the host goes to a guest.

    port, count: so many ports of the host from that one on; to_address, to_port: the guest's, the first of as many;
    address: only what is for this address of the host, None for all of the guest's family; from_device: only what
    comes in there, None for all, the host's own connections included.
    """

    transport: TransportProtocol = TransportProtocol.TCP
    port: int
    count: int = 1
    to_address: HostAddress
    to_port: int
    address: HostAddress | None = None
    from_device: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkRules:
    """The rules of one network.

    name: the network's; bridge: its interface on the host; subnets: the addresses that guests may have, and those of
    networks that are routed through guests; devices: the host's interfaces through which guests reach the outside,
    empty for any; nat_addresses: the first and the last IPv4 address that guests appear by, None for the address of
    the interface that they leave through; nat_ports: the first and last port of TCP and UDP that they appear by, None
    for the kernel's choice; nat_ipv6: whether IPv6 is translated too, else it is routed; forwards: ports of the host
    that lead to guests; zone: firewalld's for the bridge, None for a usual one; parted_by: the bridge's MAC address
    where the host does not lead from guest to guest what the bridge keeps from them, None where it may.
    """

    name: str
    bridge: str
    reach: Reach
    subnets: tuple[NetworkPrefix, ...] = ()
    devices: tuple[str, ...] = ()
    nat_addresses: tuple[IPv4Address, IPv4Address] | None = None
    nat_ports: tuple[int, int] | None = None
    nat_ipv6: bool = False
    forwards: tuple[ForwardedPort, ...] = ()
    zone: str | None = None
    parted_by: str | None = None
