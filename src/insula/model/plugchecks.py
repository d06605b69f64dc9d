"""What is wrong with what a network says of its cards although its XML is right: checks as those of `networkchecks`."""

from collections.abc import Iterator

from insula.model.interfaces import Bandwidth, VirtualPort, VirtualPortType, Vlan
from insula.model.network import NetworkDefinition
from insula.model.networkforward import ForwardMode
from insula.model.repetition import repeated
from insula.model.scalars import YesNo
from insula.model.xmlmap import plan_of

RATE_MAX = 2**54 - 1
"""KiB a second, or KiB of a burst: what 64 bits of bytes hold."""

_PARAMETERS = {
    VirtualPortType.IEEE_802_1QBG: {"managerid", "typeid", "typeidversion", "instanceid"},
    VirtualPortType.IEEE_802_1QBH: {"profileid"},
    VirtualPortType.OPENVSWITCH: {"interfaceid", "profileid"},
    VirtualPortType.MIDONET: {"interfaceid"},
}
"""Which parameters a kind of virtual port has. Source: libvirt's schema of networks."""


def _has_bridge(network: NetworkDefinition) -> bool:
    """Whether cards are ports of a bridge, the network's own or one of the host's."""
    return network.mode.owns_bridge or (network.mode is ForwardMode.BRIDGE and network.bridge_name is not None)


def check_vlans(network: NetworkDefinition) -> Iterator[str]:
    """Tags are set at ports of bridges, and on devices that are one guest's alone."""
    where = [
        ("the network", network.vlan),
        *((f"the portgroup '{each.name}'", each.vlan) for each in network.port_groups),
    ]
    possible = _has_bridge(network) or network.mode in (ForwardMode.PASSTHROUGH, ForwardMode.HOSTDEV)
    for named, vlan in where:
        if vlan is None:
            continue
        if not possible:
            yield f"{named} has a <vlan>, which a network of mode '{network.mode}' cannot set"
        for text in _vlan_problems(vlan):
            yield f"the vlan of {named} {text}"


def _vlan_problems(vlan: Vlan) -> Iterator[str]:
    if not vlan.tags:
        yield "has no <tag>"
    if len(vlan.tags) > 1 and vlan.trunk is YesNo.NO:
        yield "has several tags, and trunk='no'"
    if sum(each.native_mode is not None for each in vlan.tags) > 1:
        yield "has several tags with a nativeMode"
    for tag in repeated(str(each.id) for each in vlan.tags):
        yield f"has the tag {tag} twice"


def check_network_bandwidth(network: NetworkDefinition) -> Iterator[str]:
    if network.bandwidth is not None and not network.mode.owns_bridge:
        yield (
            f"a network of mode '{network.mode}' cannot have a bandwidth as a whole: it has no bridge of its own; give "
            "it to portgroups"
        )
    for text in _bandwidth_problems(network.bandwidth):
        yield f"the network's bandwidth {text}"


def _bandwidth_problems(bandwidth: Bandwidth | None) -> Iterator[str]:
    if bandwidth is None:
        return
    for name, rate in (("inbound", bandwidth.inbound), ("outbound", bandwidth.outbound)):
        if rate is None:
            continue
        if rate.floor is not None:
            yield f"{name} has a floor, which only a guest's interface can have"
        if rate.average is None:
            yield f"{name} has no average"
        for value in (rate.average, rate.peak, rate.burst):
            if value is not None and value > RATE_MAX:
                yield f"{name} says {value}, more than {RATE_MAX}"


def check_virtual_ports(network: NetworkDefinition) -> Iterator[str]:
    if network.virtual_port is not None and network.virtual_port.type is None:
        yield "the network's virtualport has no type"
    yield from _virtual_port_problems("the network", network.virtual_port)
    for group in network.port_groups:
        yield from _virtual_port_problems(f"the portgroup '{group.name}'", group.virtual_port)


def _virtual_port_problems(named: str, port: VirtualPort | None) -> Iterator[str]:
    if port is None or port.type is None or port.parameters is None:
        return
    known = _PARAMETERS.get(port.type, set())
    for each in plan_of(type(port.parameters)).attributes:
        name = each.label[1:]
        if name not in known and getattr(port.parameters, each.field) is not None:
            yield f"the virtualport of {named}, of type '{port.type}', has no {name}"


def check_port_groups(network: NetworkDefinition) -> Iterator[str]:
    groups = network.port_groups
    for name in repeated(each.name for each in groups):
        yield f"two portgroups are called '{name}'"
    defaults = [each.name for each in groups if each.default is YesNo.YES]
    if len(defaults) > 1:
        yield f"the portgroups {', '.join(defaults)} are all the default; keep one"
    for group in groups:
        for text in _bandwidth_problems(group.bandwidth):
            yield f"the bandwidth of the portgroup '{group.name}' {text}"
    if network.port is not None and network.port.isolated is YesNo.YES and not _has_bridge(network):
        yield f"a network of mode '{network.mode}' cannot isolate its ports: it has no bridge"
    if network.port is not None and network.port.trusted is YesNo.YES and not _has_bridge(network):
        yield f"a network of mode '{network.mode}' has no ports to trust: it has no bridge"
