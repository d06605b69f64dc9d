"""What is wrong with a network although its XML is right: small checks, each a function that names what it finds.

They look at the network alone; what depends on the host (is there such a bridge, is a subnet taken) is the service's.
What goes to dnsmasq and the packet filter is held to what is safe there, whoever wrote it.
"""

from collections.abc import Callable, Iterator, Mapping

from insula.errorcodes import ErrorDomain
from insula.errors import InsulaError, UnsupportedConfigError, XmlError
from insula.kernel.interfacenames import NAME_MAX, is_interface_name
from insula.model.dnschecks import (
    check_boot_files,
    check_dns,
    check_dns_domain,
    check_dnsmasq_options,
    check_tftp_roots,
)
from insula.model.foreign import ForeignElement
from insula.model.network import NetworkDefinition, dump_network
from insula.model.networkforward import ForwardMode, NetworkForward
from insula.model.plugchecks import check_network_bandwidth, check_port_groups, check_virtual_ports, check_vlans
from insula.model.repetition import repeated
from insula.model.scalars import unprintable
from insula.model.subnetchecks import (
    check_dhcp_hosts,
    check_dhcp_ranges,
    check_one_dhcp,
    check_port_forwards,
    check_routes,
    check_subnets,
)
from insula.model.titles import title_problems
from insula.model.validate import UNREADABLE
from insula.model.xmlmap import Part
from insula.model.xmlnamespaces import INSULA_NAMESPACE
from insula.model.xmlsource import parse, presentable

NetworkCheck = Callable[[NetworkDefinition], Iterator[str]]

TOLD_MAX = 20
"""Problems that one error tells."""

TEMPLATE = "%d"
"""Stands in the name of a bridge for the first number that is free."""
DELAY_MAX = 30
"""Seconds: the kernel takes no longer forward delay of a bridge that speaks STP."""
IPV6_MTU = 1280
"""Bytes: with less the kernel takes IPv6 away."""


def network_problems(network: NetworkDefinition) -> tuple[str, ...]:
    """Return everything the checks find, in their order; empty for a network that can be defined."""
    return tuple(presentable(text) for check in NETWORK_CHECKS for text in check(network))


def validate_network(network: NetworkDefinition) -> None:
    """Raises: an error that names the problems; it is of the kind that libvirt has for the first of them."""
    found = network_problems(network)
    if found:
        kind = next(NETWORK_KINDS.get(check, XmlError) for check in NETWORK_CHECKS if any(check(network)))
        more = f"; and {len(found) - TOLD_MAX} more problems" if len(found) > TOLD_MAX else ""
        error = kind("; ".join(found[:TOLD_MAX]) + more)
        error.domain = ErrorDomain.NETWORK
        raise error


def check_network_document(network: NetworkDefinition) -> Iterator[str]:
    """A change may make a document too large that was not; what nobody could define again is not kept either."""
    try:
        parse(dump_network(network, Part.DEFINITION))
    except InsulaError as error:
        yield f"{UNREADABLE}: {error}"


def check_network_title(network: NetworkDefinition) -> Iterator[str]:
    return title_problems(network.title)


def check_forward(network: NetworkDefinition) -> Iterator[str]:
    forward = network.forward
    if forward is None:
        return
    mode = forward.mode
    devices = [each.device for each in forward.interfaces]
    if forward.device is not None and devices and devices[0] != forward.device:
        yield f"the forward's dev '{forward.device}' is not its first interface, '{devices[0]}'; name one of them"
    for name in repeated(devices):
        yield f"the interface '{name}' stands twice in the forward"
    if forward.interfaces and forward.addresses:
        yield "the forward has interfaces and addresses; keep one kind"
    for name in _strange_names(forward):
        yield f"'{name}' cannot name a network device; take at most {NAME_MAX} letters, digits and hyphens"
    for address in forward.addresses:
        if address.type != "pci":
            yield f"the forward has an address of type {address.type}, which is none of a network device; take pci"
    if mode in (ForwardMode.NAT, ForwardMode.ROUTE) and not network.ips:
        yield f"the forward of mode '{mode}' needs an <ip>, which says what shall be forwarded"
    if mode is ForwardMode.OPEN and forward.interfaces:
        yield "a forward of mode 'open' cannot be tied to a device, which takes a firewall; take its dev out"
    elif mode.owns_bridge and len(forward.interfaces) > 1:
        yield f"the forward of mode '{mode}' has several interfaces, and can have one"
    yield from _nat_problems(forward)


def _strange_names(forward: NetworkForward) -> Iterator[str]:
    function = forward.physical_function.device if forward.physical_function is not None else None
    names = dict.fromkeys((forward.device, function, *(each.device for each in forward.interfaces)))
    return (name for name in names if name is not None and not is_interface_name(name))


def _nat_problems(forward: NetworkForward) -> Iterator[str]:
    nat = forward.nat
    if nat is None:
        return
    if forward.mode is not ForwardMode.NAT:
        yield f"a forward of mode '{forward.mode}' cannot have <nat>; take it out, or make the mode 'nat'"
    if nat.ports is not None and nat.ports.start > nat.ports.end:
        yield f"the nat's ports from {nat.ports.start} to {nat.ports.end} run backwards"
    if nat.addresses is not None and nat.addresses.start > nat.addresses.end:
        yield f"the nat's addresses from {nat.addresses.start} to {nat.addresses.end} run backwards"


def check_bridge(network: NetworkDefinition) -> Iterator[str]:
    bridge, mode = network.bridge, network.mode
    if bridge is None:
        return
    name = bridge.name
    if name is not None and not is_interface_name(name.replace(TEMPLATE, "0", 1)):
        yield f"'{name}' cannot name a bridge; take at most {NAME_MAX} letters, digits and hyphens"
    if bridge.zone is not None and (not bridge.zone.isprintable() or " " in bridge.zone or not bridge.zone):
        yield f"'{bridge.zone}' cannot name a zone of firewalld"
    if mode.owns_bridge:
        if bridge.delay is not None and bridge.delay > DELAY_MAX:
            yield f"the bridge's delay is {bridge.delay} seconds, and at most {DELAY_MAX} are possible"
        return
    if name is not None and mode is not ForwardMode.BRIDGE:
        yield f"a network of mode '{mode}' has no bridge; take its name out"
    if bridge.stp is not None or bridge.delay is not None or bridge.zone is not None:
        yield f"stp, delay and zone are for bridges that networks make; one of mode '{mode}' makes none"
    if name is not None and network.forward is not None and network.forward.interfaces:
        yield "the network names a bridge and a forward dev; keep one of them"


def check_services(network: NetworkDefinition) -> Iterator[str]:
    """Addresses, names and DHCP are those of the network's own bridge."""
    mode = network.mode
    if mode.owns_bridge:
        return
    records = network.dns is not None and (network.dns.texts or network.dns.services or network.dns.hosts)
    given = {"ip": network.ips, "mac": network.mac, "domain": network.domain, "dns": records, "route": network.routes}
    for name in (name for name, value in given.items() if value):
        yield f"a network of mode '{mode}' cannot have <{name}>: it has no bridge of its own"


def check_mtu(network: NetworkDefinition) -> Iterator[str]:
    if network.mtu is None:
        return
    if not network.mode.owns_bridge:
        yield f"a network of mode '{network.mode}' cannot have an mtu: the host's devices have theirs"
    elif network.mtu < IPV6_MTU and any(each.address is not None and each.address.version == 6 for each in network.ips):
        yield f"the mtu is {network.mtu}, and a network with IPv6 needs {IPV6_MTU} at least"


def check_network_settings(network: NetworkDefinition) -> Iterator[str]:
    """Whatever else stands in our own namespace is a slip of the pen, and must not be passed over in silence."""
    for owner in (network.metadata, network.settings, *network.settings.port_forwards):
        for each in owner.foreign if owner is not None else ():
            if isinstance(each.item, ForeignElement) and each.item.namespace == INSULA_NAMESPACE:
                yield f"<{each.item.name}> in the metadata is no setting of ours for a network"


def check_unseen(network: NetworkDefinition) -> Iterator[str]:
    for group in network.port_groups:
        if not group.name or unprintable(group.name):
            yield f"'{group.name}' cannot name a portgroup"


NETWORK_CHECKS: tuple[NetworkCheck, ...] = (
    check_network_document,
    check_network_title,
    check_forward,
    check_bridge,
    check_services,
    check_mtu,
    check_subnets,
    check_one_dhcp,
    check_dhcp_ranges,
    check_dhcp_hosts,
    check_boot_files,
    check_tftp_roots,
    check_routes,
    check_dns_domain,
    check_dns,
    check_dnsmasq_options,
    check_vlans,
    check_network_bandwidth,
    check_virtual_ports,
    check_unseen,
    check_port_groups,
    check_network_settings,
    check_port_forwards,
)
"""Every check, in the order their texts appear."""

NETWORK_KINDS: Mapping[NetworkCheck, type[InsulaError]] = {
    check_services: UnsupportedConfigError,
    check_subnets: UnsupportedConfigError,
    check_one_dhcp: UnsupportedConfigError,
    check_network_bandwidth: UnsupportedConfigError,
    check_vlans: UnsupportedConfigError,
    check_port_groups: UnsupportedConfigError,
    check_port_forwards: UnsupportedConfigError,
}
"""What libvirt counts as a configuration that is not supported; all else is wrong XML to it."""
