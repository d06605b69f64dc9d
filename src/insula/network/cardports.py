"""From what a card's definition says of its port to what the port is: VLANs, isolation, limits, filter."""

from insula.engine.interfacespec import BridgePort, PortProtection, PortVlans, TrafficLimits, TrafficRate
from insula.errors import UnsupportedConfigError
from insula.model.interfaces import Bandwidth, FilterReference, Interface, MacTableManager, NativeMode, Rate, Vlan
from insula.model.scalars import YesNo

_KILOBYTE, _KIBIBYTE = 1000, 1024
"""What libvirt's numbers mean to tc(8), which it hands them to as kbps and kb."""


def bridge_port(card: Interface) -> BridgePort:
    """Return what a card's port has beside its bridge. Raises: UnsupportedConfigError for what contradicts itself."""
    source, options = card.source, card.port
    fixed = source is not None and source.mac_table_manager is MacTableManager.LIBVIRT
    return BridgePort(
        vlans=_vlans(card.vlan) if card.vlan is not None and card.vlan.tags else None,
        isolated=options is not None and options.isolated is YesNo.YES,
        limits=traffic_limits(card.bandwidth),
        protection=_protection(card.filter) if card.filter is not None else None,
        floor=_floor(card.bandwidth),
        trusted=options is not None and options.trusted is YesNo.YES,
        only_mac=card.mac if fixed else None,
    )


def traffic_limits(bandwidth: Bandwidth | None) -> TrafficLimits | None:
    """Return how fast a card may be, None without limits. Raises: UnsupportedConfigError."""
    if bandwidth is None:
        return None
    limits = TrafficLimits(inbound=_rate(bandwidth.inbound), outbound=_rate(bandwidth.outbound))
    return None if limits == TrafficLimits() else limits


def _rate(rate: Rate | None) -> TrafficRate | None:
    """A rate that only guarantees (floor) limits nothing."""
    if rate is None or not rate.average:
        if rate is not None and (rate.peak or rate.burst):
            raise UnsupportedConfigError("a bandwidth with a peak or a burst needs an average; give it one")
        return None
    return TrafficRate(
        average=rate.average * _KILOBYTE,
        peak=rate.peak * _KILOBYTE if rate.peak else None,
        burst=rate.burst * _KIBIBYTE if rate.burst else None,
    )


def _floor(bandwidth: Bandwidth | None) -> int | None:
    inbound = bandwidth.inbound if bandwidth is not None else None
    return inbound.floor * _KILOBYTE if inbound is not None and inbound.floor else None


def _vlans(vlan: Vlan) -> PortVlans:
    """One tag without trunk is the guest's own VLAN, of which it sees no tag; else it sees those of a trunk."""
    native = next((each for each in vlan.tags if each.native_mode is not None), None)
    if len(vlan.tags) == 1 and vlan.trunk is not YesNo.YES and native is None:
        return PortVlans(native=vlan.tags[0].id)
    return PortVlans(
        tagged=tuple(each.id for each in vlan.tags if each is not native),
        native=native.id if native is not None else None,
        native_tagged=native is not None and native.native_mode is NativeMode.TAGGED,
    )


def _protection(reference: FilterReference) -> PortProtection:
    parameters = tuple((each.name, each.value) for each in reference.parameters)
    return PortProtection(filter=reference.filter, parameters=parameters)
