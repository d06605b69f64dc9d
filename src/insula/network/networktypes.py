"""The plug point for what a guest's card can be plugged into: one class a type, listed in `BUILT_IN`.

A type says how its `<interface>` becomes what the engine connects. The next ones (network, Open vSwitch)
are one class and one word in the tuple each.
"""

from typing import Protocol

from insula.engine.interfacespec import Address, MacvlanInterface, MacvlanMode, Route, VethInterface
from insula.errors import UnsupportedConfigError
from insula.model.interfaces import (
    Interface,
    InterfaceIp,
    InterfaceRoute,
    InterfaceType,
    LinkState,
    VirtualPortType,
)


class NetworkType(Protocol):
    """One kind of plug. type: the word in `<interface type=''>`."""

    type: InterfaceType

    def translate(self, interface: Interface, guest: str) -> VethInterface | MacvlanInterface:
        """Return what the engine shall connect, under the name guest inside. Touches nothing.

        What is missing or contradicts itself the model has refused. Raises: UnsupportedConfigError for what cannot be
        had yet.
        """
        ...


class BridgeType:
    """`<interface type='bridge'>`: a port of a bridge that the administrator has made."""

    type = InterfaceType.BRIDGE

    def translate(self, interface: Interface, guest: str) -> VethInterface:
        assert interface.source is not None
        return _pair(interface, guest, bridge=interface.source.bridge)


class EthernetType:
    """`<interface type='ethernet'>`: an end on the host that is switched on, and the administrator's to use."""

    type = InterfaceType.ETHERNET

    def translate(self, interface: Interface, guest: str) -> VethInterface:
        return _pair(interface, guest, bridge=None)


def _pair(interface: Interface, guest: str, *, bridge: str | None) -> VethInterface:
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


class DirectType:
    """`<interface type='direct'>`: a macvlan on a network device of the host; libvirt's default mode is vepa."""

    type = InterfaceType.DIRECT

    def translate(self, interface: Interface, guest: str) -> MacvlanInterface:
        source = interface.source
        assert source is not None
        assert source.device is not None
        _refuse_what_is_missing(interface, guest)
        return MacvlanInterface(
            guest=guest,
            device=source.device,
            mode=MacvlanMode(source.mode.value) if source.mode is not None else MacvlanMode.VEPA,
            mac=interface.mac,
            mtu=interface.mtu,
            up=interface.link is not LinkState.DOWN,
            addresses=tuple(address_of(each) for each in interface.ips),
            routes=tuple(route_of(each) for each in interface.routes),
        )


BUILT_IN: tuple[NetworkType, ...] = (BridgeType(), EthernetType(), DirectType())

_LATER = {
    InterfaceType.NETWORK: "virtual networks are not there yet; name a bridge with type='bridge'",
    InterfaceType.HOSTDEV: "it is for virtual machines; use <hostdev mode='capabilities' type='net'>",
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
                f"interface '{guest}': {element} is not there yet for type '{interface.type}'; remove it"
            )


def address_of(ip: InterfaceIp) -> Address:
    return Address(address=str(ip.address), prefix=ip.prefix_length, peer=str(ip.peer) if ip.peer else None)


def route_of(route: InterfaceRoute) -> Route:
    network = route.network
    return Route(
        gateway=str(route.gateway),
        destination=str(network.network_address) if network.prefixlen else None,
        prefix=network.prefixlen,
        metric=route.metric,
    )
