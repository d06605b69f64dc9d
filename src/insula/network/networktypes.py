"""The plug point for what a guest's card can be plugged into: one class a type, listed in `BUILT_IN`.

A type says how its `<interface>` becomes what the engine connects.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol
from uuid import UUID, uuid5

from insula.engine.interfacespec import (
    Address,
    ForwardedPorts,
    ForwardedRange,
    IpvlanInterface,
    IpvlanLayer,
    MacvlanInterface,
    MacvlanMode,
    MovedInterface,
    Route,
    RoutedEnd,
    SwitchPort,
    UserHelper,
    UserInterface,
    VethInterface,
)
from insula.engine.interfacespec import Interface as SpecInterface
from insula.errors import UnsupportedConfigError
from insula.model.interfaces import (
    Bandwidth,
    Interface,
    InterfaceIp,
    InterfaceRoute,
    InterfaceType,
    LinkState,
    VirtualPortParameters,
    VirtualPortType,
    is_generated_device,
)
from insula.model.pciaddress import PciAddress
from insula.model.scalars import YesNo
from insula.model.usercards import BackendType, InterfaceBackend, UserPortForward
from insula.network.cardports import bridge_port

_PORTS = UUID("6f0a4a4e-6a53-5d7c-9d0c-0f6d5b1f6f0a")
"""Where ids of Open vSwitch's ports come from that a definition does not give."""


class NetworkType(Protocol):
    """One kind of plug. type: the word in `<interface type=''>`."""

    type: InterfaceType

    def translate(self, interface: Interface, guest: str) -> SpecInterface:
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
        port = interface.virtual_port
        if port is None or port.type is not VirtualPortType.OPENVSWITCH:
            _refuse(interface, guest, _SCRIPT, _SWITCH, _HOST_SIDE)
            return _pair(interface, guest, bridge=interface.source.bridge)
        _refuse(interface, guest, _SCRIPT, _HOST_SIDE, _ISOLATION, _TRUST)
        parameters = port.parameters or VirtualPortParameters()
        # Without an id of its own, it is known by one that goes with its MAC address.
        own = parameters.interface_id or uuid5(_PORTS, str(interface.mac))
        switch = SwitchPort(interface=str(own), profile=parameters.profile_id)
        return replace(_pair(interface, guest, bridge=interface.source.bridge), switch=switch)


class EthernetType:
    """`<interface type='ethernet'>`: an end on the host that is routed to, or that is the administrator's to use.

    The host routes where it is told of addresses or routes of its own side, or where the guest's addresses are single
    ones (/32, /128), which have no neighbours.
    """

    type = InterfaceType.ETHERNET

    def translate(self, interface: Interface, guest: str) -> VethInterface:
        _refuse(interface, guest, _SCRIPT, _SWITCH, _VLAN, _ISOLATION, _TRUST)
        pair, source = _pair(interface, guest, bridge=None), interface.source
        single = any(each.prefix_length == each.address.max_prefixlen and each.peer is None for each in interface.ips)
        if not single and not _host_side(interface):
            return pair
        ips, routes = (source.ips, source.routes) if source is not None else ((), ())
        routed = RoutedEnd(addresses=tuple(map(address_of, ips)), routes=tuple(map(route_of, routes)))
        return replace(pair, routed=routed)


def _pair(interface: Interface, guest: str, *, bridge: str | None) -> VethInterface:
    return VethInterface(
        guest=guest,
        host=interface.target,
        bridge=bridge,
        mac=interface.mac,
        mtu=interface.mtu,
        up=interface.link is not LinkState.DOWN,
        addresses=tuple(address_of(each) for each in interface.ips),
        routes=tuple(route_of(each) for each in interface.routes),
        port=bridge_port(interface),
    )


class DirectType:
    """`<interface type='direct'>`: a macvlan on a network device of the host, or, as our own word has it, an ipvlan.

    libvirt's default mode is vepa.
    """

    type = InterfaceType.DIRECT

    def translate(self, interface: Interface, guest: str) -> MacvlanInterface | IpvlanInterface:
        source = interface.source
        assert source is not None
        assert source.device is not None
        _refuse(interface, guest, _SCRIPT, _SWITCH, _HOST_SIDE, _VLAN, _ISOLATION, _TRUST, _BANDWIDTH, _FILTER)
        if source.ipvlan is not None:
            return IpvlanInterface(
                guest=guest,
                device=source.device,
                layer=IpvlanLayer(source.ipvlan.value),
                mac=interface.mac,
                mtu=interface.mtu,
                up=interface.link is not LinkState.DOWN,
                addresses=tuple(address_of(each) for each in interface.ips),
                routes=tuple(route_of(each) for each in interface.routes),
            )
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


class LentDeviceType:
    """`<interface type='hostdev'>`: a network device of the host, known by its PCI address, or by a network's pool.

    It has the card's MAC address while the guest has it.
    """

    type = InterfaceType.HOSTDEV

    def translate(self, interface: Interface, guest: str) -> MovedInterface:
        source = interface.source
        _refuse(interface, guest, _SCRIPT, _SWITCH, _HOST_SIDE, _VLAN, _ISOLATION, _TRUST, _BANDWIDTH, _FILTER)
        device = source.device if source is not None else None
        if device is None and source is not None and source.address is not None:
            device = device_at(source.address)
        if device is None:
            raise UnsupportedConfigError(
                f"interface '{guest}' of type '{interface.type}' names no device; give <source> an <address type='pci'>"
            )
        return MovedInterface(
            guest=guest,
            device=device,
            mac=interface.mac,
            mtu=interface.mtu,
            up=interface.link is not LinkState.DOWN,
            addresses=tuple(address_of(each) for each in interface.ips),
            routes=tuple(route_of(each) for each in interface.routes),
        )


def device_at(address: PciAddress, sys: Path = Path("/sys")) -> str:
    """Return the name of the network device at a place on the PCI bus. Raises: UnsupportedConfigError if none is."""
    try:
        found = sorted(os.listdir(sys / "bus/pci/devices" / str(address) / "net"))
    except OSError:
        found = []
    if not found:
        raise UnsupportedConfigError(f"there is no network device at {address} of the host, or a guest has it")
    return found[0]


class UserType:
    """`<interface type='user'>`: a card whose traffic a helper carries, passt's or slirp4netns."""

    type = InterfaceType.USER

    def translate(self, interface: Interface, guest: str) -> UserInterface:
        _refuse(interface, guest, _SCRIPT, _SWITCH, _HOST_SIDE, _VLAN, _ISOLATION, _TRUST, _BANDWIDTH, _FILTER, _TARGET)
        source, backend = interface.source, interface.backend or InterfaceBackend()
        return UserInterface(
            guest=guest,
            mac=interface.mac,
            mtu=interface.mtu,
            up=interface.link is not LinkState.DOWN,
            addresses=tuple(address_of(each) for each in interface.ips),
            routes=tuple(route_of(each) for each in interface.routes),
            helper=UserHelper.PASTA if backend.type is BackendType.PASST else None,
            device=source.device if source is not None else None,
            log=backend.log_file,
            forwards=tuple(_forwarded(each, guest) for each in interface.port_forwards),
        )


def _forwarded(forward: UserPortForward, guest: str) -> ForwardedPorts:
    ranges = tuple(ForwardedRange(first=first, last=last, to=to) for first, last, to in forward.parts())
    if not ranges:
        raise UnsupportedConfigError(
            f"interface '{guest}' forwards all ports of {forward.protocol}; name some in a <range>, as those that the "
            "host uses cannot be had"
        )
    return ForwardedPorts(
        protocol=forward.protocol.value,
        address=None if forward.address is None else str(forward.address),
        device=forward.device,
        ranges=ranges,
    )


BUILT_IN: tuple[NetworkType, ...] = (BridgeType(), EthernetType(), DirectType(), LentDeviceType(), UserType())


def type_of(interface: Interface) -> NetworkType:
    """Return the plug for an interface. Raises: UnsupportedConfigError for one that has no meaning here."""
    for each in BUILT_IN:
        if each.type is interface.type:
            return each
    raise UnsupportedConfigError(f"interface type '{interface.type}': it has no meaning for a container")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Lacking:
    """Something that a type of interface has not. element: how it is written; asked: whether an interface has it.

    instead: what to do.
    """

    element: str
    asked: Callable[[Interface], bool]
    instead: str = "remove it"


def _asks_for_switch(interface: Interface) -> bool:
    port = interface.virtual_port
    return port is not None and port.type not in (None, VirtualPortType.NONE)


def _host_side(interface: Interface) -> tuple[object, ...]:
    return (*interface.source.ips, *interface.source.routes) if interface.source is not None else ()


_SCRIPT = _Lacking(element="<script>", asked=lambda each: each.script is not None)
_SWITCH = _Lacking(element="<virtualport>", asked=_asks_for_switch)
_HOST_SIDE = _Lacking(
    element="<ip> or <route> in <source>",
    asked=lambda each: bool(_host_side(each)),
)
_VLAN = _Lacking(
    element="<vlan>",
    asked=lambda each: each.vlan is not None and bool(each.vlan.tags),
    instead="give it the host's device of that VLAN (ip link add link eth1 name eth1.42 type vlan id 42), or plug it "
    "into a bridge",
)
_ISOLATION = _Lacking(
    element="<port isolated='yes'>",
    asked=lambda each: each.port is not None and each.port.isolated is YesNo.YES,
    instead="plug it into a bridge; of type 'direct', mode='private' keeps it from others on its device",
)
_TRUST = _Lacking(
    element="<port insula:trusted='yes'>", asked=lambda each: each.port is not None and each.port.trusted is YesNo.YES
)
# What stands on the guest's own interface its root takes off, and by a MAC address it is not known: it may change that.
_INSIDE = "the guest's root could take it off; plug it into a bridge, whose port is the host's"
_BANDWIDTH = _Lacking(
    element="<bandwidth>",
    asked=lambda each: each.bandwidth is not None and each.bandwidth != Bandwidth(),
    instead=_INSIDE,
)
_FILTER = _Lacking(element="<filterref>", asked=lambda each: each.filter is not None, instead=_INSIDE)
_TARGET = _Lacking(
    element="<target>, an end on the host,",
    asked=lambda each: each.target is not None and not is_generated_device(each.target),
)


def _refuse(interface: Interface, guest: str, *lacking: _Lacking) -> None:
    """Refuse what would silently not happen."""
    for each in lacking:
        if each.asked(interface):
            raise UnsupportedConfigError(
                f"interface '{guest}': {each.element} is not there for type '{interface.type}': {each.instead}"
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
