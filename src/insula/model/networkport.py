"""What a guest's card is once it is plugged into a virtual network: an interface of another type, and a port.

`actual_interface` is where virtual networks end: no mechanism that connects cards knows of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated
from uuid import UUID, uuid5

from insula.errors import OperationFailedError, UnsupportedConfigError
from insula.model.interfaces import (
    Bandwidth,
    Interface,
    InterfaceSource,
    InterfaceType,
    MacTableManager,
    PortOptions,
    SourceMode,
    VirtualPort,
    VirtualPortType,
    Vlan,
)
from insula.model.network import NetworkDefinition, PortGroup
from insula.model.networkforward import ForwardAddress, ForwardDriver, ForwardInterface, ForwardMode
from insula.model.pciaddress import PciAddress
from insula.model.scalars import DomainName, MacAddress, YesNo
from insula.model.virtualports import merged_virtual_port
from insula.model.xmlmap import Attribute, Element, Mapped
from insula.model.xmlwriter import dump

_MACVLAN_MODES = {
    ForwardMode.BRIDGE: SourceMode.BRIDGE,
    ForwardMode.PRIVATE: SourceMode.PRIVATE,
    ForwardMode.VEPA: SourceMode.VEPA,
    ForwardMode.PASSTHROUGH: SourceMode.PASSTHROUGH,
}
_SWITCHES = (VirtualPortType.OPENVSWITCH, VirtualPortType.MIDONET)


@dataclass(frozen=True, kw_only=True, slots=True)
class PortOwner(Mapped):
    """`<owner>`: the domain whose card it is."""

    name: Annotated[DomainName, Element("name")]
    uuid: Annotated[UUID, Element("uuid")]


class PlugType(StrEnum):
    NETWORK = "network"  # the network's own bridge
    BRIDGE = "bridge"  # one of the host's
    DIRECT = "direct"
    HOSTDEV_PCI = "hostdev-pci"


@dataclass(frozen=True, kw_only=True, slots=True)
class PortPlug(Mapped):
    """`<plug>`: what the card is plugged into; which attribute is set follows the type."""

    type: Annotated[PlugType, Attribute("type")]
    bridge: Annotated[str | None, Attribute("bridge")] = None
    mac_table_manager: Annotated[MacTableManager | None, Attribute("macTableManager")] = None
    device: Annotated[str | None, Attribute("dev")] = None
    mode: Annotated[SourceMode | None, Attribute("mode")] = None
    managed: Annotated[YesNo | None, Attribute("managed")] = None
    driver: Annotated[ForwardDriver | None, Element("driver", attribute="name")] = None
    address: Annotated[PciAddress | None, Element("address")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkPort(Mapped):
    """`<networkport>`: plug None: a device that was moved into the guest and is known by its name only."""

    uuid: Annotated[UUID, Element("uuid")]
    owner: Annotated[PortOwner, Element("owner")]
    group: Annotated[str | None, Element("group")] = None
    mac: Annotated[MacAddress, Element("mac", attribute="address")]
    virtual_port: Annotated[VirtualPort | None, Element("virtualport")] = None
    bandwidth: Annotated[Bandwidth | None, Element("bandwidth")] = None
    vlan: Annotated[Vlan | None, Element("vlan")] = None
    port: Annotated[PortOptions | None, Element("port")] = None
    trust_guest_filters: Annotated[YesNo | None, Element("rxfilters", attribute="trustGuest")] = None
    plug: Annotated[PortPlug | None, Element("plug")] = None


def port_uuid(domain: UUID, network: str, place: str) -> UUID:
    """Return the UUID of the port of a domain's card in a network: the same one each time. place: its MAC address."""
    return uuid5(domain, f"{network} {place}")


def dump_port(port: NetworkPort) -> str:
    """Return a port as libvirt's `net-port-dumpxml` shows it."""
    return dump(port, "networkport")


def network_port(actual: Interface, network: NetworkDefinition, owner: PortOwner) -> NetworkPort | None:
    """Return the port of a running guest's card, as `actual_interface` made it; None: it is in no virtual network."""
    source = actual.source
    if source is None or source.network != network.name or source.port_id is None or actual.mac is None:
        return None
    plug = None
    if actual.type is InterfaceType.BRIDGE:
        kind = PlugType.NETWORK if network.mode.owns_bridge else PlugType.BRIDGE
        plug = PortPlug(type=kind, bridge=source.bridge, mac_table_manager=source.mac_table_manager)
    elif actual.type is InterfaceType.DIRECT:
        plug = PortPlug(type=PlugType.DIRECT, device=source.device, mode=source.mode)
    elif actual.type is InterfaceType.HOSTDEV and source.address is not None and network.forward is not None:
        forward = network.forward
        plug = PortPlug(
            type=PlugType.HOSTDEV_PCI,
            managed=forward.managed,
            driver=forward.driver,
            address=replace(source.address, type=None),
        )
    return NetworkPort(
        uuid=source.port_id,
        owner=owner,
        group=source.port_group,
        mac=actual.mac,
        virtual_port=actual.virtual_port,
        bandwidth=actual.bandwidth,
        vlan=actual.vlan,
        port=actual.port,
        trust_guest_filters=actual.trust_guest_filters,
        plug=plug,
    )


def actual_interface(interface: Interface, network: NetworkDefinition) -> Interface:
    """Return what a card of type `network` is, by the live definition of its network; any other is itself.

    It is of type bridge, direct or hostdev. Its source names the bridge or the device, and still the network, the port
    group and the port. Of what card, port group and network may all say, the card counts first, then the port group,
    for VLAN tags, trust and isolation; bandwidth is the card's or else the port group's, never the network's, which is
    that of its bridge as a whole; virtual ports are merged. hostdev: the host's device is `source.device`, or
    `source.address` where only that is known.

    A device that the card's source names, as that of a running guest may, is kept, if it is of the network's pool.

    Raises: UnsupportedConfigError for what does not go together, OperationFailedError if no device of the network's
    pool is free.
    Source: libvirt's network XML format, "Portgroups", "Setting VLAN tag", "Isolating ports from one another".
    """
    if interface.type is not InterfaceType.NETWORK:
        return interface
    source = interface.source or InterfaceSource()
    group = _port_group(network, source.port_group)
    virtual_port = merged_virtual_port(
        (interface.virtual_port, network.virtual_port, group.virtual_port if group is not None else None)
    )
    kind, plugged = _plugged(network, source, virtual_port)
    changed = replace(
        interface,
        type=kind,
        source=plugged,
        virtual_port=virtual_port,
        vlan=interface.vlan or (group and group.vlan) or network.vlan,
        bandwidth=interface.bandwidth or (group.bandwidth if group is not None else None),
        port=_port_options(interface.port, network.port),
        trust_guest_filters=(
            interface.trust_guest_filters or (group and group.trust_guest_filters) or network.trust_guest_filters
        ),
        mtu=network.mtu if interface.mtu is None else interface.mtu,
    )
    _refuse_impossible_floor(changed, network)
    return changed


def with_connections(network: NetworkDefinition, cards: int, devices: Mapping[str, int]) -> NetworkDefinition:
    """Return the live definition of a network that so many cards are plugged into, and its devices by their names."""
    forward = network.forward
    if forward is not None and forward.interfaces:
        counted = tuple(replace(each, connections=devices.get(each.device) or None) for each in forward.interfaces)
        forward = replace(forward, interfaces=counted)
    return replace(network, connections=cards or None, forward=forward)


def _port_options(own: PortOptions | None, of_network: PortOptions | None) -> PortOptions | None:
    if own is None or of_network is None:
        return own or of_network
    return PortOptions(isolated=own.isolated or of_network.isolated, trusted=own.trusted or of_network.trusted)


def _port_group(network: NetworkDefinition, name: str | None) -> PortGroup | None:
    """Return the group of that name, or the default one. Raises: UnsupportedConfigError if there is none of the name.

    libvirt passes over a name that it does not find; the card would be without the VLAN tag and the limits it was
    meant to have.
    """
    if name is None:
        return next((each for each in network.port_groups if each.default is YesNo.YES), None)
    for each in network.port_groups:
        if each.name == name:
            return each
    known = ", ".join(f"'{each.name}'" for each in network.port_groups) or "none"
    raise UnsupportedConfigError(f"the network '{network.name}' has no portgroup '{name}'; it has {known}")


def _plugged(
    network: NetworkDefinition, source: InterfaceSource, virtual_port: VirtualPort | None
) -> tuple[InterfaceType, InterfaceSource]:
    wanted = virtual_port.type if virtual_port is not None else None
    mode = network.mode
    bridge = network.bridge_name
    if mode.owns_bridge or (mode is ForwardMode.BRIDGE and bridge is not None):
        allowed = () if mode.owns_bridge else _SWITCHES
        if wanted is not None and wanted is not VirtualPortType.NONE and wanted not in allowed:
            raise _misplaced(network, wanted, "which routes" if mode.owns_bridge else "which uses a bridge")
        if bridge is None:
            raise OperationFailedError(f"the network '{network.name}' has no bridge yet; start it")
        manager = network.bridge.mac_table_manager if network.bridge is not None else None
        return InterfaceType.BRIDGE, replace(source, bridge=bridge, mac_table_manager=manager)
    if wanted is not None and wanted in _SWITCHES:
        raise _misplaced(network, wanted, "which uses devices of the host")
    exclusive = mode in (ForwardMode.PASSTHROUGH, ForwardMode.HOSTDEV) or (
        mode is ForwardMode.PRIVATE and wanted is VirtualPortType.IEEE_802_1QBH
    )
    device = _device(network, source.device, exclusive=exclusive)
    if mode is ForwardMode.HOSTDEV:
        if isinstance(device, ForwardInterface):
            return InterfaceType.HOSTDEV, replace(source, device=device.device)
        address = PciAddress(
            type="pci", domain=device.domain, bus=device.bus, slot=device.slot, function=device.function
        )
        return InterfaceType.HOSTDEV, replace(source, address=address)
    if not isinstance(device, ForwardInterface):
        raise UnsupportedConfigError(
            f"the network '{network.name}' of mode '{mode}' names its devices by PCI address; name them by <interface>"
        )
    return InterfaceType.DIRECT, replace(source, device=device.device, mode=_MACVLAN_MODES[mode])


def _misplaced(network: NetworkDefinition, wanted: VirtualPortType, why: str) -> UnsupportedConfigError:
    return UnsupportedConfigError(
        f"a virtual port of type '{wanted}' is not supported in the network '{network.name}', {why}"
    )


def _device(network: NetworkDefinition, own: str | None, *, exclusive: bool) -> ForwardInterface | ForwardAddress:
    """Return the device of the network's pool that fewest cards use; none uses it if exclusive.

    own: the device that the card has already, which it keeps.
    Raises: OperationFailedError if there is none.
    """
    forward = network.forward
    pool: Sequence[ForwardInterface | ForwardAddress] = ()
    if forward is not None:
        pool = forward.interfaces or forward.addresses
    if not pool:
        raise OperationFailedError(
            f"the network '{network.name}' of mode '{network.mode}' has no device of the host; name one in <forward>"
        )
    for each in pool:
        if own is not None and isinstance(each, ForwardInterface) and each.device == own:
            return each
    least = min(pool, key=lambda each: each.connections or 0)
    if exclusive and least.connections:
        raise OperationFailedError(
            f"all {len(pool)} devices of the network '{network.name}' are in use, each by one guest; give it another"
        )
    return least


def _refuse_impossible_floor(interface: Interface, network: NetworkDefinition) -> None:
    """What is guaranteed to a card is taken from what its network has. Source: libvirt's domain XML format, floor."""
    inbound = interface.bandwidth.inbound if interface.bandwidth is not None else None
    if inbound is None or not inbound.floor:
        return
    named = f"invalid use of 'floor' on interface with MAC address {interface.mac}"
    if not network.mode.owns_bridge:
        raise UnsupportedConfigError(
            f"{named}: network '{network.name}' of mode '{network.mode}' has no bridge of its own; take it out"
        )
    if network.bandwidth is None or network.bandwidth.inbound is None:
        raise UnsupportedConfigError(
            f"{named}: network '{network.name}' has no inbound QoS set; give it a <bandwidth> with an <inbound>, or "
            "take the floor out"
        )
