"""A virtual network: what guests' cards of type `network` are plugged into, as libvirt's networks are."""

from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Annotated
from uuid import UUID, uuid4

from insula.errorcodes import ErrorDomain
from insula.errors import InsulaError, MissingNameError
from insula.model.domain import MAC_PREFIX
from insula.model.interfaces import MTU, AddressFamily, Bandwidth, InterfaceRoute, PortOptions, VirtualPort, Vlan
from insula.model.networkaddresses import LeaseTime, NetworkDhcp, NetworkIp, TimeUnit
from insula.model.networkforward import ForwardInterface, ForwardMode, NetworkBridge, NetworkForward
from insula.model.networknames import DnsDomain, DnsmasqOptions, NetworkDns
from insula.model.networksettings import NetworkMetadata, NetworkSettings
from insula.model.scalars import MacAddress, NetworkName, OnOff, YesNo
from insula.model.xmlmap import Attribute, Element, Mapped, Part, always
from insula.model.xmlreader import local_name, read
from insula.model.xmlsource import fault, parse
from insula.model.xmlwriter import dump


@dataclass(frozen=True, kw_only=True, slots=True)
class PortGroup(Mapped):
    """`<portgroup>`: what is said of the cards that name this group; default yes: of those that name none, too."""

    name: Annotated[str, Attribute("name")]
    default: Annotated[YesNo | None, Attribute("default")] = None
    trust_guest_filters: Annotated[YesNo | None, Attribute("trustGuestRxFilters")] = None
    vlan: Annotated[Vlan | None, Element("vlan")] = None
    virtual_port: Annotated[VirtualPort | None, Element("virtualport")] = None
    bandwidth: Annotated[Bandwidth | None, Element("bandwidth")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkDefinition(Mapped):
    """`<network>`. connections: how many guests' cards are plugged into it now, while it is active only; ipv6: guests
    may talk IPv6 with one another though the network has no such address."""

    connections: Annotated[int | None, Attribute("connections", live=always)] = None
    ipv6: Annotated[YesNo | None, Attribute("ipv6")] = None
    trust_guest_filters: Annotated[YesNo | None, Attribute("trustGuestRxFilters")] = None
    name: Annotated[NetworkName, Element("name", missing=MissingNameError)]
    uuid: Annotated[UUID, Element("uuid")] = field(default_factory=uuid4)
    title: Annotated[str | None, Element("title")] = None
    description: Annotated[str | None, Element("description")] = None
    metadata: Annotated[NetworkMetadata | None, Element("metadata")] = None
    forward: Annotated[NetworkForward | None, Element("forward")] = None
    bridge: Annotated[NetworkBridge | None, Element("bridge")] = None
    mtu: Annotated[int | None, Element("mtu", attribute="size", within=MTU, zero_is_none=True)] = None
    mac: Annotated[MacAddress | None, Element("mac", attribute="address")] = None
    domain: Annotated[DnsDomain | None, Element("domain")] = None
    dns: Annotated[NetworkDns | None, Element("dns")] = None
    vlan: Annotated[Vlan | None, Element("vlan")] = None
    bandwidth: Annotated[Bandwidth | None, Element("bandwidth")] = None
    port: Annotated[PortOptions | None, Element("port")] = None
    ips: Annotated[tuple[NetworkIp, ...], Element("ip")] = ()
    routes: Annotated[tuple[InterfaceRoute, ...], Element("route")] = ()
    virtual_port: Annotated[VirtualPort | None, Element("virtualport")] = None
    port_groups: Annotated[tuple[PortGroup, ...], Element("portgroup")] = ()
    dnsmasq: Annotated[DnsmasqOptions | None, Element("dnsmasq:options")] = None

    @property
    def mode(self) -> ForwardMode:
        return ForwardMode.NONE if self.forward is None else self.forward.mode

    @property
    def bridge_name(self) -> str | None:
        """The bridge that the guests' cards are ports of; None: none was chosen yet, or there is none."""
        return None if self.bridge is None else self.bridge.name

    @property
    def settings(self) -> NetworkSettings:
        """Our settings from the metadata; all defaults when there are none."""
        return (self.metadata.settings if self.metadata is not None else None) or NetworkSettings()


def load_network(xml: str, parts: Part = Part.DEFINITION, *, bounded: bool = True) -> NetworkDefinition:
    """Return the network that xml describes, with libvirt's defaults filled in.

    parts: Part.LIVE also reads how many cards use it; bounded: not for a document of our own.
    Raises: XmlError with the line, what stands there and what was expected.
    """
    try:
        root = parse(xml, bounded=bounded)
        if root.tag != "network":
            raise fault(root, f"the document is a <{local_name(root)}>, expected a <network>")
        if not (root.findtext("name") or "").strip():
            raise fault(root, "has no <name> in it, expected 1 to 64 characters", kind=MissingNameError)
        return completed_network(_pooled(read(NetworkDefinition, root, parts), parts))
    except InsulaError as error:
        error.domain = ErrorDomain.NETWORK
        raise


def dump_network(network: NetworkDefinition, parts: Part = Part.LIVE) -> str:
    """Return network as XML, canonical: two dumps of equal networks are the same text.

    parts: Part.DEFINITION leaves out what only an active network has, as VIR_NETWORK_XML_INACTIVE does.
    Raises: InvalidArgumentError if a text holds what XML cannot.
    """
    prefixes = ("dnsmasq",) if network.dnsmasq is not None else ()
    return dump(_pooled(network, parts), "network", parts, prefixes=prefixes)


def _pooled(network: NetworkDefinition, parts: Part) -> NetworkDefinition:
    """Return network without the virtual functions that were found at its start, unless parts are live."""
    forward = network.forward
    if forward is None or forward.physical_function is None or Part.LIVE in parts:
        return network
    return replace(network, forward=replace(forward, interfaces=(), addresses=()))


def completed_network(network: NetworkDefinition) -> NetworkDefinition:
    """Return network with what libvirt fills in.

    These are: of a network with a bridge of its own, that the bridge speaks STP, without delay, and its MAC address; of
    a forward, that its device is the first of its interfaces; nobody manages host devices; several VLAN tags are a
    trunk; addresses of IPv6 are so; leases count minutes. A <dns> or a <dhcp> that says nothing is none.
    """
    changes: dict[str, object] = {
        "forward": _completed_forward(network.forward),
        "dns": None if network.dns == NetworkDns() else network.dns,
        "vlan": _completed_vlan(network.vlan),
        "ips": tuple(map(_completed_ip, network.ips)),
        "port_groups": tuple(replace(each, vlan=_completed_vlan(each.vlan)) for each in network.port_groups),
    }
    if network.mode.owns_bridge:
        bridge = network.bridge or NetworkBridge()
        delay = bridge.delay or 0
        changes["bridge"] = replace(bridge, stp=bridge.stp or OnOff.ON, delay=delay)
        changes["mac"] = network.mac or _mac_address(network.uuid)
    return replace(network, **changes)  # type: ignore[arg-type]


def _completed_forward(forward: NetworkForward | None) -> NetworkForward | None:
    if forward is None or forward.mode is ForwardMode.NONE:
        return None
    interfaces = forward.interfaces
    if forward.device is not None and not interfaces and forward.physical_function is None:
        interfaces = (ForwardInterface(device=forward.device),)
    device = forward.device
    if device is None and interfaces and forward.physical_function is None:
        device = interfaces[0].device
    managed = forward.managed
    if forward.mode is ForwardMode.HOSTDEV:
        managed = managed or YesNo.NO
    return replace(forward, device=device, interfaces=interfaces, managed=managed)


def _completed_vlan(vlan: Vlan | None) -> Vlan | None:
    return vlan if vlan is None or vlan.trunk or len(vlan.tags) < 2 else replace(vlan, trunk=YesNo.YES)


def _completed_ip(ip: NetworkIp) -> NetworkIp:
    version = ip.address.version if ip.address is not None else None
    family = AddressFamily.IPV6 if ip.family is None and version == 6 else ip.family
    return replace(ip, family=family, dhcp=None if ip.dhcp is None else _completed_dhcp(ip.dhcp))


def _completed_dhcp(dhcp: NetworkDhcp) -> NetworkDhcp | None:
    if dhcp == NetworkDhcp():
        return None
    ranges = (replace(each, lease=_completed_lease(each.lease)) for each in dhcp.ranges)
    hosts = (replace(each, lease=_completed_lease(each.lease)) for each in dhcp.hosts)
    return replace(dhcp, ranges=tuple(ranges), hosts=tuple(hosts))


def _completed_lease(lease: LeaseTime | None) -> LeaseTime | None:
    return lease if lease is None else replace(lease, unit=(lease.unit or TimeUnit.MINUTES) if lease.expiry else None)


def _mac_address(uuid: UUID) -> MacAddress:
    """Return an address for the bridge of the network with this UUID, the same one each time."""
    tail = sha256(b"network" + uuid.bytes).hexdigest()
    return MacAddress(f"{MAC_PREFIX}:{tail[:2]}:{tail[2:4]}:{tail[4:6]}")
