"""From a definition to what the firewall does for a network. Pure."""

from insula.model.network import NetworkDefinition
from insula.model.networkforward import ForwardMode
from insula.model.scalars import YesNo
from insula.network.firewall.networkrules import ForwardedPort, NetworkRules, Reach

_REACH = {
    ForwardMode.NAT: Reach.NAT,
    ForwardMode.ROUTE: Reach.ROUTE,
    ForwardMode.OPEN: Reach.OPEN,
    ForwardMode.NONE: Reach.ISOLATED,
}


def rules_of(network: NetworkDefinition, bridge: str) -> NetworkRules | None:
    """Return the rules of a network with a bridge of its own, None for others: what their packets pass is not ours."""
    if network.mode not in _REACH:
        return None
    forward = network.forward
    nat = forward.nat if forward else None
    addresses, ports = (nat.addresses, nat.ports) if nat else (None, None)
    subnets = [each.interface.network for each in network.ips if each.interface is not None]
    apart = network.port is not None and network.port.isolated is YesNo.YES and network.mac is not None
    return NetworkRules(
        name=network.name,
        bridge=bridge,
        reach=_REACH[network.mode],
        subnets=(*subnets, *(each.network for each in network.routes)),
        devices=tuple(each.device for each in forward.interfaces) if forward else (),
        nat_addresses=(addresses.start, addresses.end) if addresses else None,
        nat_ports=(ports.start, ports.end) if ports else None,
        nat_ipv6=nat is not None and nat.ipv6 is YesNo.YES,
        zone=network.bridge.zone if network.bridge is not None else None,
        parted_by=str(network.mac) if apart else None,
        forwards=tuple(
            ForwardedPort(
                transport=each.protocol,
                port=each.start,
                count=each.last - each.start + 1,
                to_address=each.to,
                to_port=each.start if each.to_start is None else each.to_start,
                address=each.address,
                from_device=each.device,
            )
            for each in network.settings.port_forwards
        ),
    )
