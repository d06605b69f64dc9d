"""What the host's end of a guest's pair has beside its bridge: isolation, VLANs, trust, limits, protection."""

import errno

from insula.engine.interfaceperformer import ConnectedInterface
from insula.engine.interfacespec import BridgePort, VethInterface
from insula.network.bridgeports import as_wanted
from insula.network.bridgerate import set_aside, set_aside_no_more
from insula.network.firewall.portrules import PortRules
from insula.network.kinds.interfacedriver import Networks
from insula.network.links import Link, link
from insula.network.rtnetlink import Rtnetlink
from insula.network.trafficlimits import limit_traffic
from insula.network.virtual.bridges import bridge_named

PLAIN = BridgePort()


def set_port(
    networks: Networks, host_end: Link, mac: str, wanted: VethInterface, *, former: BridgePort = PLAIN
) -> None:
    """Let a port have what is wanted, and nothing else of what it may have had. May be called again.

    mac: the guest's; former: what it may have. Protection comes first: so the guest sends nothing before it.
    Raises: OSError, with EOPNOTSUPP for what this host's kernel or bridge cannot; InsulaError of the protection.
    """
    port = wanted.port
    if port.protection is not None:
        networks.guard.protect(port_rules(host_end.name, mac, wanted))
    elif former.protection is not None:
        networks.guard.release(host_end.name)
    if wanted.bridge is None and (port.vlans is not None or port.isolated or port.floor is not None):
        raise OSError(errno.EOPNOTSUPP, "VLANs, isolation and a floor are of a bridge's ports; name a bridge")
    if wanted.switch is not None and port.isolated:
        raise OSError(errno.EOPNOTSUPP, "Open vSwitch has no isolated ports; use VLANs or flows")
    if wanted.bridge is not None and wanted.switch is None:
        if port.vlans is not None:
            _refuse_unless_told_apart(networks, wanted.bridge)
        networks.host.perform(*as_wanted(host_end.index, port))
    if (port.limits, former.limits) != (None, None):
        limit_traffic(networks.host, host_end.index, port.limits)
    if wanted.bridge is not None and port.floor is not None:
        bridge = link(networks.host, wanted.bridge)
        if bridge is None:
            raise OSError(errno.ENODEV, f"the bridge '{wanted.bridge}' is gone")
        set_aside(networks.host, bridge.index, mac, port.floor)
    elif former.floor is not None:
        no_floor(networks.host, wanted.bridge, mac)


def no_floor(host: Rtnetlink, bridge: str | None, mac: str) -> None:
    """Give back what a bridge has set aside for a guest. A bridge that is gone is fine. May be called again."""
    found = link(host, bridge) if bridge is not None else None
    if found is not None:
        set_aside_no_more(host, found.index, mac)


def release_floor(host: Rtnetlink, connected: ConnectedInterface) -> None:
    """The same for an interface that goes."""
    if connected.floored:
        no_floor(host, connected.bridge, connected.mac)


def port_rules(host: str, mac: str, wanted: VethInterface) -> PortRules:
    """Return what filters a protected port. host: the name of the host's end; mac: the guest's."""
    protection = wanted.port.protection
    assert protection is not None
    return PortRules(
        host=host,
        mac=mac,
        protection=protection,
        addresses=tuple(each.address for each in wanted.addresses),
    )


def _refuse_unless_told_apart(networks: Networks, bridge: str) -> None:
    found = bridge_named(networks.host, bridge)
    if found is None or not found.vlans:
        raise OSError(
            errno.EOPNOTSUPP,
            f"the bridge '{bridge}' does not tell VLANs apart; switch that on "
            f"(ip link set {bridge} type bridge vlan_filtering 1)",
        )
