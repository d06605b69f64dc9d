"""How a virtual network reaches beyond itself: `<forward>` and `<bridge>`."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address
from typing import Annotated

from insula.model.interfaces import MacTableManager
from insula.model.pciaddress import PciAddress
from insula.model.scalars import PORT, OnOff, YesNo
from insula.model.xmlmap import Attribute, Element, Mapped, always


class ForwardMode(StrEnum):
    """What happens to packets that leave the network; a network without `<forward>` is of mode none, isolated."""

    NONE = "none"
    NAT = "nat"
    ROUTE = "route"
    OPEN = "open"  # as route, and no rules of a firewall
    BRIDGE = "bridge"
    PRIVATE = "private"
    VEPA = "vepa"
    PASSTHROUGH = "passthrough"
    HOSTDEV = "hostdev"

    @property
    def owns_bridge(self) -> bool:
        """Whether the network's bridge is made when it starts, with addresses, DHCP and DNS of its own."""
        return self in (ForwardMode.NONE, ForwardMode.NAT, ForwardMode.ROUTE, ForwardMode.OPEN)


@dataclass(frozen=True, kw_only=True, slots=True)
class NatAddresses(Mapped):
    """`<address>`: the public addresses that packets leave with, both ends included."""

    start: Annotated[IPv4Address, Attribute("start")]
    end: Annotated[IPv4Address, Attribute("end")]


@dataclass(frozen=True, kw_only=True, slots=True)
class NatPorts(Mapped):
    """`<port>`: the source ports that packets leave with, both ends included."""

    start: Annotated[int, Attribute("start", within=PORT)]
    end: Annotated[int, Attribute("end", within=PORT)]


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkNat(Mapped):
    """`<nat>`: ipv6: IPv6 is translated too, which otherwise is routed."""

    ipv6: Annotated[YesNo | None, Attribute("ipv6")] = None
    addresses: Annotated[NatAddresses | None, Element("address")] = None
    ports: Annotated[NatPorts | None, Element("port")] = None


class ForwardDriver(StrEnum):
    """What hands a PCI device to a virtual machine; a container has no use for either."""

    KVM = "kvm"
    VFIO = "vfio"


@dataclass(frozen=True, kw_only=True, slots=True)
class PhysicalFunction(Mapped):
    """`<pf>`: the network device whose virtual functions are the network's pool."""

    device: Annotated[str, Attribute("dev")]


@dataclass(frozen=True, kw_only=True, slots=True)
class ForwardInterface(Mapped):
    """`<interface>`: a network device of the host. connections: how many guests' cards use it now."""

    device: Annotated[str, Attribute("dev")]
    connections: Annotated[int | None, Attribute("connections", live=always)] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ForwardAddress(PciAddress):
    """`<address type='pci'>`: a network device of the host by its place. connections: as an interface's."""

    connections: Annotated[int | None, Attribute("connections", live=always)] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkForward(Mapped):
    """`<forward>`. device: the first of interfaces, as libvirt has it twice."""

    device: Annotated[str | None, Attribute("dev")] = None
    mode: Annotated[ForwardMode, Attribute("mode")] = ForwardMode.NAT
    managed: Annotated[YesNo | None, Attribute("managed")] = None
    nat: Annotated[NetworkNat | None, Element("nat")] = None
    driver: Annotated[ForwardDriver | None, Element("driver", attribute="name")] = None
    physical_function: Annotated[PhysicalFunction | None, Element("pf")] = None
    interfaces: Annotated[tuple[ForwardInterface, ...], Element("interface")] = ()
    addresses: Annotated[tuple[ForwardAddress, ...], Element("address")] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkBridge(Mapped):
    """`<bridge>`: made when the network starts, or, with mode bridge, one of the host's. delay: seconds; zone:
    firewalld's."""

    name: Annotated[str | None, Attribute("name")] = None
    zone: Annotated[str | None, Attribute("zone")] = None
    stp: Annotated[OnOff | None, Attribute("stp")] = None
    delay: Annotated[int | None, Attribute("delay")] = None
    mac_table_manager: Annotated[MacTableManager | None, Attribute("macTableManager")] = None
