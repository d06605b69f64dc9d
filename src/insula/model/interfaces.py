"""A guest's network cards: `<interface>`."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Annotated
from uuid import UUID

from insula.model.pciaddress import PciAddress
from insula.model.scalars import IpAddress, MacAddress, YesNo
from insula.model.usercards import InterfaceBackend, UserPortForward
from insula.model.xmlmap import Attribute, Element, Mapped, always, is_generated_alias

MTU = (68, 65535)
VLAN_ID = (0, 4095)
GENERATED_DEVICE_PREFIXES = ("vnet", "macvlan", "macvtap")
"""How host-side names begin that were made up at start, so that a definition never keeps them."""


def is_generated_device(name: object) -> bool:
    """Whether name is a host-side device that was made up at start."""
    return isinstance(name, str) and name.startswith(GENERATED_DEVICE_PREFIXES)


class InterfaceType(StrEnum):
    """What the card is plugged into."""

    BRIDGE = "bridge"
    NETWORK = "network"
    DIRECT = "direct"
    ETHERNET = "ethernet"
    HOSTDEV = "hostdev"
    USER = "user"
    INTERNAL = "internal"
    VHOSTUSER = "vhostuser"
    SERVER = "server"
    CLIENT = "client"
    MCAST = "mcast"
    UDP = "udp"
    VDPA = "vdpa"
    NULL = "null"
    VDS = "vds"


class SourceMode(StrEnum):
    """The kinds of macvlan, and passthrough of the whole device; `client` and `server` are of sockets for machines."""

    VEPA = "vepa"
    BRIDGE = "bridge"
    PRIVATE = "private"
    PASSTHROUGH = "passthrough"
    CLIENT = "client"
    SERVER = "server"


class IpvlanMode(StrEnum):
    """Where frames and packets are told apart that come by the device. Source: ip-link(8)."""

    L2 = "l2"
    L3 = "l3"
    L3S = "l3s"


class MacTableManager(StrEnum):
    """Who tells a bridge which MAC address is behind which port: the kernel, which learns, or the definitions."""

    KERNEL = "kernel"
    LIBVIRT = "libvirt"


class AddressFamily(StrEnum):
    IPV4 = "ipv4"
    IPV6 = "ipv6"


def family_of(address: IpAddress) -> AddressFamily:
    return AddressFamily.IPV4 if address.version == 4 else AddressFamily.IPV6


def natural_prefix(address: IpAddress) -> int:
    """Return the prefix of an address that comes without one: by its class in IPv4, else 64, and 0 for "any".

    Source: libvirt's network XML format, the prefix attribute.
    """
    if address.is_unspecified:
        return 0
    if not isinstance(address, IPv4Address):
        return 64
    first = address.packed[0]
    return 8 if first < 128 else 16 if first < 192 else 24


class LinkState(StrEnum):
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, kw_only=True, slots=True)
class InterfaceIp(Mapped):
    """`<ip>`: an address of the guest's side; in `<source>`, of the host's. prefix None: its class's, 64 for IPv6."""

    address: Annotated[IpAddress, Attribute("address")]
    family: Annotated[AddressFamily | None, Attribute("family")] = None
    prefix: Annotated[int | None, Attribute("prefix", within=(0, 128))] = None
    peer: Annotated[IpAddress | None, Attribute("peer")] = None

    @property
    def prefix_length(self) -> int:
        return natural_prefix(self.address) if self.prefix is None else self.prefix


@dataclass(frozen=True, kw_only=True, slots=True)
class InterfaceRoute(Mapped):
    """`<route>`: address/prefix is reached through gateway. 0.0.0.0 (or ::) with prefix 0, or none, is the default."""

    family: Annotated[AddressFamily | None, Attribute("family")] = None
    address: Annotated[IpAddress | None, Attribute("address")] = None
    netmask: Annotated[IpAddress | None, Attribute("netmask")] = None
    prefix: Annotated[int | None, Attribute("prefix", within=(0, 128))] = None
    gateway: Annotated[IpAddress, Attribute("gateway")]
    metric: Annotated[int | None, Attribute("metric", within=(1, 2**32 - 1))] = None

    @property
    def destination(self) -> IpAddress:
        """The address that is reached, or any of the gateway's family."""
        if self.address is not None:
            return self.address
        return IPv4Address(0) if self.gateway.version == 4 else IPv6Address(0)

    @property
    def network(self) -> IPv4Network | IPv6Network:
        """What is reached. Raises: ValueError if address and netmask, or prefix, do not make a network."""
        if self.netmask is not None:
            return ip_network(f"{self.destination}/{self.netmask}")
        return ip_network((self.destination, natural_prefix(self.destination) if self.prefix is None else self.prefix))


@dataclass(frozen=True, kw_only=True, slots=True)
class InterfaceSource(Mapped):
    """`<source>`; which attribute is set follows the interface's type. ips, routes: of the host's side of a veth.

    address: of type hostdev, the network device that the guest gets; ipvlan: of type direct, an ipvlan of that mode
    instead of a macvlan: it has the device's own MAC address, for networks that let no other one pass.
    """

    network: Annotated[str | None, Attribute("network")] = None
    port_group: Annotated[str | None, Attribute("portgroup")] = None
    port_id: Annotated[UUID | None, Attribute("portid", live=always)] = None
    bridge: Annotated[str | None, Attribute("bridge")] = None
    name: Annotated[str | None, Attribute("name")] = None
    device: Annotated[str | None, Attribute("dev")] = None
    mode: Annotated[SourceMode | None, Attribute("mode")] = None
    ips: Annotated[tuple[InterfaceIp, ...], Element("ip")] = ()
    routes: Annotated[tuple[InterfaceRoute, ...], Element("route")] = ()
    address: Annotated[PciAddress | None, Element("address")] = None
    ipvlan: Annotated[IpvlanMode | None, Attribute("insula:ipvlan")] = None
    mac_table_manager: Annotated[MacTableManager | None, Attribute("macTableManager", live=always)] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class VirtualPortParameters(Mapped):
    """`<parameters>` of a virtual port."""

    manager_id: Annotated[str | None, Attribute("managerid")] = None
    type_id: Annotated[str | None, Attribute("typeid")] = None
    type_id_version: Annotated[str | None, Attribute("typeidversion")] = None
    instance_id: Annotated[UUID | None, Attribute("instanceid")] = None
    interface_id: Annotated[UUID | None, Attribute("interfaceid")] = None
    profile_id: Annotated[str | None, Attribute("profileid")] = None


class VirtualPortType(StrEnum):
    NONE = "none"
    IEEE_802_1QBG = "802.1Qbg"
    IEEE_802_1QBH = "802.1Qbh"
    OPENVSWITCH = "openvswitch"
    MIDONET = "midonet"


@dataclass(frozen=True, kw_only=True, slots=True)
class VirtualPort(Mapped):
    """`<virtualport>`: the kind of switch."""

    type: Annotated[VirtualPortType | None, Attribute("type")] = None
    parameters: Annotated[VirtualPortParameters | None, Element("parameters")] = None


class NativeMode(StrEnum):
    TAGGED = "tagged"
    UNTAGGED = "untagged"


@dataclass(frozen=True, kw_only=True, slots=True)
class VlanTag(Mapped):
    """`<tag>`."""

    id: Annotated[int, Attribute("id", within=VLAN_ID)]
    native_mode: Annotated[NativeMode | None, Attribute("nativeMode")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Vlan(Mapped):
    """`<vlan>`: one tag, or several with trunk."""

    trunk: Annotated[YesNo | None, Attribute("trunk")] = None
    tags: Annotated[tuple[VlanTag, ...], Element("tag")] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate(Mapped):
    """`<inbound>`, `<outbound>`: KiB a second; burst is KiB at peak speed; floor is guaranteed."""

    average: Annotated[int | None, Attribute("average")] = None
    peak: Annotated[int | None, Attribute("peak")] = None
    floor: Annotated[int | None, Attribute("floor")] = None
    burst: Annotated[int | None, Attribute("burst")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Bandwidth(Mapped):
    """`<bandwidth>`, as the guest sees it: inbound is towards the guest."""

    inbound: Annotated[Rate | None, Element("inbound")] = None
    outbound: Annotated[Rate | None, Element("outbound")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PortOptions(Mapped):
    """`<port>`: isolated: other isolated ports of the same bridge are out of reach, and it of theirs.

    trusted: the guest may speak STP with the bridge.
    """

    isolated: Annotated[YesNo | None, Attribute("isolated")] = None
    trusted: Annotated[YesNo | None, Attribute("insula:trusted")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class GuestDevice(Mapped):
    """`<guest dev='eth0'>`: the card's name in the guest; actual: the one it really has while running."""

    device: Annotated[str | None, Attribute("dev")] = None
    actual: Annotated[str | None, Attribute("actual", live=always)] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FilterParameter(Mapped):
    """`<parameter name='IP' value=''>`."""

    name: Annotated[str, Attribute("name")]
    value: Annotated[str, Attribute("value")]


@dataclass(frozen=True, kw_only=True, slots=True)
class FilterReference(Mapped):
    """`<filterref filter='clean-traffic'>`."""

    filter: Annotated[str, Attribute("filter")]
    parameters: Annotated[tuple[FilterParameter, ...], Element("parameter")] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Interface(Mapped):
    """`<interface>`: one network card of the guest. trust_guest_filters: it may change its MAC address."""

    type: Annotated[InterfaceType, Attribute("type")] = InterfaceType.USER
    managed: Annotated[YesNo | None, Attribute("managed")] = None
    trust_guest_filters: Annotated[YesNo | None, Attribute("trustGuestRxFilters")] = None
    mac: Annotated[MacAddress | None, Element("mac", attribute="address")] = None
    source: Annotated[InterfaceSource | None, Element("source")] = None
    vlan: Annotated[Vlan | None, Element("vlan")] = None
    virtual_port: Annotated[VirtualPort | None, Element("virtualport")] = None
    bandwidth: Annotated[Bandwidth | None, Element("bandwidth")] = None
    port: Annotated[PortOptions | None, Element("port")] = None
    ips: Annotated[tuple[InterfaceIp, ...], Element("ip")] = ()
    routes: Annotated[tuple[InterfaceRoute, ...], Element("route")] = ()
    script: Annotated[str | None, Element("script", attribute="path")] = None
    target: Annotated[str | None, Element("target", attribute="dev", live=is_generated_device)] = None
    guest: Annotated[GuestDevice | None, Element("guest")] = None
    model: Annotated[str | None, Element("model", attribute="type")] = None
    filter: Annotated[FilterReference | None, Element("filterref")] = None
    link: Annotated[LinkState | None, Element("link", attribute="state")] = None
    mtu: Annotated[int | None, Element("mtu", attribute="size", within=MTU, zero_is_none=True)] = None
    backend: Annotated[InterfaceBackend | None, Element("backend")] = None
    port_forwards: Annotated[tuple[UserPortForward, ...], Element("portForward")] = ()
    alias: Annotated[str | None, Element("alias", attribute="name", live=is_generated_alias)] = None
