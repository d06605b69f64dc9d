"""The plug point for what a guest's card can be plugged into: one class a type, listed in `BUILT_IN`.

A type says how its `<interface>` becomes what the engine connects. The next ones (network, direct, ethernet, Open
vSwitch) are one class and one word in the tuple each.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network
from typing import Protocol

from insula.engine.spec import Address, Route, VethInterface
from insula.errors import UnsupportedConfigError, XmlError
from insula.model.interfaces import (
    AddressFamily,
    Interface,
    InterfaceIp,
    InterfaceRoute,
    InterfaceType,
    LinkState,
    VirtualPortType,
)
from insula.model.scalars import IpAddress

_FAMILIES = {AddressFamily.IPV4: 4, AddressFamily.IPV6: 6}


class NetworkType(Protocol):
    """One kind of plug. type: the word in `<interface type=''>`."""

    type: InterfaceType

    def translate(self, interface: Interface, guest: str) -> VethInterface:
        """Return what the engine shall connect, under the name guest inside. Touches nothing.

        Raises: XmlError for what is missing or contradicts itself, UnsupportedConfigError for what is not there.
        """
        ...


class BridgeType:
    """`<interface type='bridge'>`: a port of a bridge that the administrator has made."""

    type = InterfaceType.BRIDGE

    def translate(self, interface: Interface, guest: str) -> VethInterface:
        bridge = interface.source.bridge if interface.source else None
        if not bridge:
            raise XmlError(f"interface '{guest}' of type 'bridge' lacks <source bridge='NAME'/>")
        _refuse_what_is_missing(interface, guest)
        return VethInterface(
            guest=guest,
            host=interface.target,
            bridge=bridge,
            mac=interface.mac,
            mtu=interface.mtu,
            up=interface.link is not LinkState.DOWN,
            addresses=tuple(address_of(each) for each in interface.ips),
            routes=tuple(route_of(each) for each in interface.routes),
        )


BUILT_IN: tuple[NetworkType, ...] = (BridgeType(),)

_LATER = {
    InterfaceType.NETWORK: "virtual networks are not there yet; name a bridge with type='bridge'",
    InterfaceType.DIRECT: "macvlan is not there yet; name a bridge with type='bridge'",
    InterfaceType.ETHERNET: "routed interfaces are not there yet; name a bridge with type='bridge'",
    InterfaceType.HOSTDEV: "moving a device of the host into a guest is not there yet",
    InterfaceType.USER: "user-mode networking is not there yet; name a bridge with type='bridge'",
}


def type_of(interface: Interface) -> NetworkType:
    """Return the plug for an interface. Raises: UnsupportedConfigError saying what comes, or that it never does."""
    for each in BUILT_IN:
        if each.type is interface.type:
            return each
    reason = _LATER.get(interface.type, "it has no meaning for a container")
    raise UnsupportedConfigError(f"interface type '{interface.type}': {reason}")


def _refuse_what_is_missing(interface: Interface, guest: str) -> None:
    """Refuse what would silently not happen."""
    port = interface.virtual_port
    refused = {
        "<bandwidth>": interface.bandwidth is not None,
        "<vlan>": interface.vlan is not None,
        "<filterref>": interface.filter is not None,
        "<script>": interface.script is not None,
        f"<virtualport type='{port.type if port else ''}'>": port is not None
        and port.type not in (None, VirtualPortType.NONE),
        "<ip> in <source>": bool(interface.source and interface.source.ips),
        "<route> in <source>": bool(interface.source and interface.source.routes),
    }
    for element, present in refused.items():
        if present:
            raise UnsupportedConfigError(
                f"interface '{guest}': {element} is not there yet for type 'bridge'; remove it"
            )


def address_of(ip: InterfaceIp) -> Address:
    """Return the engine's address. Raises: XmlError when parts belong to different families."""
    _check_family(ip.address, ip.family)
    if ip.peer is not None and ip.peer.version != ip.address.version:
        raise XmlError(f"the peer {ip.peer} of address {ip.address} is of the other IP version")
    prefix = natural_prefix(ip.address) if ip.prefix is None else ip.prefix
    if prefix > ip.address.max_prefixlen:
        raise XmlError(f"the address {ip.address} cannot have the prefix {prefix}")
    return Address(address=str(ip.address), prefix=prefix, peer=str(ip.peer) if ip.peer else None)


def route_of(route: InterfaceRoute) -> Route:
    """Return the engine's route. Raises: XmlError when parts do not fit together."""
    _check_family(route.address, route.family)
    if route.gateway.version != route.address.version:
        raise XmlError(f"the gateway {route.gateway} of the route to {route.address} is of the other IP version")
    network = _network_of(route)
    return Route(
        gateway=str(route.gateway),
        destination=str(network.network_address) if network.prefixlen else None,
        prefix=network.prefixlen,
        metric=route.metric,
    )


def _network_of(route: InterfaceRoute) -> IPv4Network | IPv6Network:
    try:
        if route.netmask is not None:
            return ip_network(f"{route.address}/{route.netmask}")
        prefix = natural_prefix(route.address) if route.prefix is None else route.prefix
        return ip_network((route.address, prefix))
    except ValueError as error:
        raise XmlError(f"the route to {route.address} names no network: {error}") from error


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


def _check_family(address: IpAddress, family: AddressFamily | None) -> None:
    if family is not None and _FAMILIES[family] != address.version:
        raise XmlError(f"{address} is not an address of the family '{family}'")
