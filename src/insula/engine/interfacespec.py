"""A container's network, before anything happens: which kind it has, and which interfaces are in it.

Part of the spec (`engine.spec`): names and numbers that survive JSON.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address

ADDRESSES_MAX, RANGES_MAX = 32, 64
"""Of a share: each address is compared with at each packet, each range at each bind."""
_PORT_MAX = 65535
_BROADCAST = IPv4Address("255.255.255.255")


class NetworkKind(Enum):
    """Whose network a container has."""

    PRIVATE = "private"
    """A network namespace of its own, with whatever interfaces are given, and loopback."""
    HOST = "host"
    """The host's own: only on explicit request."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkShare:
    """What of the host's network a container may use that has none of its own.

    addresses: of the host, of both families; the first of each is what the wildcard means inside; ports: ranges with
    both ends that it may bind to, none for all.
    """

    addresses: tuple[str, ...]
    ports: tuple[tuple[int, int], ...] = ()

    def __str__(self) -> str:
        text = " and ".join(self.addresses)
        if not self.ports:
            return text
        ranges = (str(first) if first == last else f"{first}-{last}" for first, last in self.ports)
        return f"{text}, ports {', '.join(ranges)}"

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with it by itself."""
        if not 1 <= len(self.addresses) <= ADDRESSES_MAX:
            yield f"a share of the host's network has 1 to {ADDRESSES_MAX} addresses, not {len(self.addresses)}"
        known = set()
        for text in self.addresses:
            try:
                address = ip_address(text)
            except ValueError:
                yield f"'{text}' is no IP address"
                continue
            if address in known:
                yield f"the address {text} is there twice"
            known.add(address)
            if not _is_of_an_interface(address):
                yield f"{text} cannot be the guest's: give an address that one of the host's interfaces has"
        if len(self.ports) > RANGES_MAX:
            yield f"a share of the host's network has at most {RANGES_MAX} ranges of ports, not {len(self.ports)}"
        for first, last in self.ports:
            if not 1 <= first <= last <= _PORT_MAX:
                yield f"'{first}-{last}' is no range of ports: 1 to {_PORT_MAX}, the lower one first"


def _is_of_an_interface(address: IPv4Address | IPv6Address) -> bool:
    """Whether an interface of the host can have it, and not several at once."""
    if isinstance(address, IPv6Address) and (address.ipv4_mapped is not None or address.is_link_local):
        return False
    return not (address.is_unspecified or address.is_multicast or address.is_loopback or address == _BROADCAST)


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """An address with prefix length, such as 10.0.0.2/24."""

    address: str
    prefix: int
    peer: str | None = None

    def __str__(self) -> str:
        return f"{self.address}/{self.prefix}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """destination/prefix by gateway; an unset destination is the default route."""

    gateway: str | None
    destination: str | None = None
    prefix: int = 0
    metric: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TrafficRate:
    """How fast one direction may be. average, peak: bytes a second, peak None for no more than average.

    burst: bytes that may go at peak speed, None for what fits the average.
    """

    average: int
    peak: int | None = None
    burst: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TrafficLimits:
    """As the guest sees it: inbound is towards the guest. None has no limit."""

    inbound: TrafficRate | None = None
    outbound: TrafficRate | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PortVlans:
    """Which VLANs of a switch a port carries.

    tagged: those whose frames keep their tag on the way to the guest; native: the one that frames without a tag belong
    to, None for none; native_tagged: its frames have their tag towards the guest all the same.
    """

    tagged: tuple[int, ...] = ()
    native: int | None = None
    native_tagged: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class PortProtection:
    """What a port refuses to carry: by a network filter's name, and the values its rules are filled in with.

    filter: as `virsh nwfilter-list` has it; parameters: name and value, a name several times for a list.
    """

    filter: str
    parameters: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class BridgePort:
    """What a port has beside the bridge it belongs to; its end on the host carries it, limits without a bridge too.

    vlans: None leaves the port to the bridge's own default; isolated: it reaches no other isolated port of the bridge;
    limits, protection: None for none; floor: bytes a second that its bridge sets aside for what is sent to the guest;
    trusted: whoever is behind it may speak STP with the bridge, else the bridge cuts it off; only_mac: the one MAC
    address that the bridge knows there, None where it learns them.
    """

    vlans: PortVlans | None = None
    isolated: bool = False
    limits: TrafficLimits | None = None
    protection: PortProtection | None = None
    floor: int | None = None
    trusted: bool = False
    only_mac: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SwitchPort:
    """A port of Open vSwitch rather than of a bridge of the kernel's. interface, profile: what its controller looks
    for; guest: the domain's UUID."""

    interface: str | None = None
    profile: str | None = None
    guest: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RoutedEnd:
    """What the host's end has where the host routes to the guest: addresses, and routes that lead to the guest.

    Each address of the guest is routed to it, and is answered for where the host's other interfaces are neighbours of
    it; the guest's gateways are answered for towards the guest.
    """

    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class VethInterface:
    """A pair of interfaces, one end in the guest, the other on the host, enslaved to bridge if given.

    guest: name inside; host: name outside, None to choose a free `vnetN`; mac: of the guest's end; up: whether the
    host's end is switched on, as a cable is plugged in; guest_up: whether the guest's is; port: what the host's end has
    beside its bridge; routed: without a bridge, None where the administrator says what becomes of the host's end;
    switch: the bridge is one of Open vSwitch.
    """

    guest: str
    host: str | None = None
    bridge: str | None = None
    mac: str | None = None
    mtu: int | None = None
    up: bool = True
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    guest_up: bool = True
    port: BridgePort = BridgePort()
    routed: RoutedEnd | None = None
    switch: SwitchPort | None = None

    def __str__(self) -> str:
        text = f"{self.guest} to {self.bridge or 'nothing'}"
        return " with ".join((text, " and ".join(str(each) for each in self.addresses))) if self.addresses else text


class MacvlanMode(Enum):
    """Which frames pass between macvlans of one device. Source: ip-link(8)."""

    PRIVATE = "private"
    VEPA = "vepa"
    BRIDGE = "bridge"
    PASSTHROUGH = "passthrough"
    """The device is this guest's alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MacvlanInterface:
    """An interface of the guest's own on top of a device of the host; there is no end of it on the host.

    device: the host's; guest: name inside; up: whether it is switched on from the start.
    """

    guest: str
    device: str
    mode: MacvlanMode = MacvlanMode.VEPA
    mac: str | None = None
    mtu: int | None = None
    up: bool = True
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()

    def __str__(self) -> str:
        return f"{self.guest} to {self.device} by macvlan"


class IpvlanLayer(Enum):
    """Where packets for guests of one device are told apart. Source: kernel documents on ipvlan."""

    L2 = "l2"
    L3 = "l3"
    L3S = "l3s"
    """As L3, and the host's packet filter sees them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IpvlanInterface:
    """An interface of the guest's own on top of a device of the host, with the MAC address of that.

    mac: no frame has it; it is what the interface is known by, as others are; the rest as of `MacvlanInterface`.
    """

    guest: str
    device: str
    layer: IpvlanLayer = IpvlanLayer.L2
    mac: str | None = None
    mtu: int | None = None
    up: bool = True
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()

    def __str__(self) -> str:
        return f"{self.guest} to {self.device} by ipvlan"


@dataclass(frozen=True, kw_only=True, slots=True)
class MovedInterface:
    """A network device of the host that is the guest's while it runs.

    device: its name on the host; guest: inside; up: whether it is switched on from the start; mac, mtu: while the
    guest has it, None for its own; device_mac: its own, of one that is plugged in while its guest runs.
    """

    guest: str
    device: str
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    up: bool = True
    mac: str | None = None
    mtu: int | None = None
    device_mac: str | None = None

    def __str__(self) -> str:
        return f"{self.guest}, the host's {self.device}"


class UserHelper(Enum):
    """A program that carries a guest's traffic by sockets of its own on the host."""

    PASTA = "pasta"
    SLIRP4NETNS = "slirp4netns"


@dataclass(frozen=True, kw_only=True, slots=True)
class ForwardedRange:
    """Ports of the host from first to last. to: the first of as many of the guest's."""

    first: int
    last: int
    to: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ForwardedPorts:
    """What comes to ports of the host goes to the guest.

    protocol: `tcp` or `udp`; address, device: of the host, where it comes to and in, None for any.
    """

    protocol: str
    ranges: tuple[ForwardedRange, ...]
    address: str | None = None
    device: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class UserInterface:
    """A tap in the guest whose traffic a helper carries by sockets of its own on the host.

    guest: name inside; up: whether it has a carrier; addresses: at most one of each family, which the helper offers
    too; helper: None for the better one that the host has; device: the host's by which traffic leaves, None for any;
    log: the file that the helper writes to.
    """

    guest: str
    mac: str | None = None
    mtu: int | None = None
    up: bool = True
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    helper: UserHelper | None = None
    device: str | None = None
    log: str | None = None
    forwards: tuple[ForwardedPorts, ...] = ()

    def __str__(self) -> str:
        return f"{self.guest} by {self.helper.value if self.helper is not None else 'a helper'}"


Interface = VethInterface | MacvlanInterface | MovedInterface | IpvlanInterface | UserInterface
