"""What is wrong with a domain's network although its XML is right: checks as those of `validate`."""

from collections.abc import Iterator

from insula.engine.interfacespec import NetworkShare
from insula.kernel.interfacenames import NAME_MAX, is_interface_name
from insula.model.devices import HostDevice
from insula.model.domain import DomainDefinition
from insula.model.extensions import ShareType
from insula.model.interfaces import Interface, InterfaceRoute, InterfaceType, SourceMode, family_of
from insula.model.repetition import repeated
from insula.model.scalars import PORT, YesNo


def check_interface_sources(domain: DomainDefinition) -> Iterator[str]:
    wanted = {
        InterfaceType.BRIDGE: "bridge",
        InterfaceType.NETWORK: "network",
        InterfaceType.DIRECT: "device",
    }
    for number, each in enumerate(domain.devices.interfaces, start=1):
        field = wanted.get(each.type)
        if field is not None and (each.source is None or not getattr(each.source, field)):
            yield f"interface {number} is of type {each.type} and names no {field}"
        if each.type is InterfaceType.HOSTDEV and (
            each.source is None or (each.source.address is None and each.source.device is None)
        ):
            yield f"interface {number} is of type {each.type} and names no address of a device"
        mode = each.source.mode if each.source is not None else None
        if each.type is InterfaceType.DIRECT and mode in (SourceMode.CLIENT, SourceMode.SERVER):
            yield f"interface {number} is of type {each.type}, which cannot be of mode {mode}"


def check_floors(domain: DomainDefinition) -> Iterator[str]:
    """What is guaranteed is taken from what a network has in all, towards its guests. Source of the words: libvirt."""
    for number, each in enumerate(domain.devices.interfaces, start=1):
        inbound, outbound = (each.bandwidth.inbound, each.bandwidth.outbound) if each.bandwidth else (None, None)
        if outbound is not None and outbound.floor:
            yield f"interface {number}: 'floor' attribute allowed only in <inbound> element"
        if inbound is not None and inbound.floor and each.type is not InterfaceType.NETWORK:
            yield (
                f"interface {number}: floor attribute is not supported for this config: only a network knows all its "
                "guests; take it out, or make the interface one of a network (type='network')"
            )


def check_interface_names(domain: DomainDefinition) -> Iterator[str]:
    inside = [each.guest.device for each in domain.devices.interfaces if each.guest is not None and each.guest.device]
    moved = [each.moved_interface for each in domain.devices.host_devices if each.moved_interface]
    outside = [*(each.target for each in domain.devices.interfaces if each.target), *moved]
    inside += moved
    for name in dict.fromkeys((*inside, *outside)):
        if not is_interface_name(name):
            yield (
                f"'{name}' cannot name a network device; take at most {NAME_MAX} letters, digits and hyphens, and none "
                "of the kernel's own names (lo, all, default)"
            )
    for name in repeated(inside):
        yield f"two interfaces are called '{name}' in the guest"
    for name in repeated(outside):
        yield f"two interfaces are called '{name}' on the host"
    for mac in repeated(each.mac for each in domain.devices.interfaces if each.mac):
        yield f"two interfaces have the MAC address {mac}"


def check_interface_addresses(domain: DomainDefinition) -> Iterator[str]:
    for number, each in enumerate(domain.devices.interfaces, start=1):
        for text in _address_problems(each):
            yield f"interface {number}: {text}"
    for number, device in enumerate(domain.devices.host_devices, start=1):
        for text in _address_problems(device):
            yield f"hostdev {number}: {text}"


def check_port_forwards(domain: DomainDefinition) -> Iterator[str]:
    """Of cards of type `user`; others have none, and what says so otherwise is kept as it is."""
    for number, each in enumerate(domain.devices.interfaces, start=1):
        if each.type is not InterfaceType.USER:
            continue
        for ports in (ports for forward in each.port_forwards for ports in forward.ranges):
            named = f"interface {number} forwards the ports {ports.start} to {ports.last}"
            if ports.last < ports.start:
                yield f"{named}, which are none"
            if ports.to is not None and ports.exclude is YesNo.YES:
                yield f"{named}, and leaves them out; remove exclude='yes' or to='{ports.to}'"
            elif ports.to is not None and ports.to + ports.last - ports.start > PORT[1]:
                yield f"{named} beyond the guest's last one, {PORT[1]}"


def _address_problems(interface: Interface | HostDevice) -> Iterator[str]:
    for ip in interface.ips:
        if ip.family is not None and ip.family is not family_of(ip.address):
            yield f"{ip.address} is not of the family {ip.family}"
        if ip.prefix is not None and ip.prefix > ip.address.max_prefixlen:
            yield f"{ip.address} cannot have the prefix {ip.prefix}"
        if ip.peer is not None and ip.peer.version != ip.address.version:
            yield f"{ip.address} has a peer of the other family, {ip.peer}"
    for route in interface.routes:
        yield from route_problems(route)


def route_problems(route: InterfaceRoute) -> Iterator[str]:
    """Yield what is wrong with a route, whatever it is of."""
    named = f"the route to {route.destination}"
    if route.family is not None and route.family is not family_of(route.destination):
        yield f"{named} is not of the family {route.family}"
    elif route.destination.version != route.gateway.version:
        yield f"{named} has a gateway of the other family, {route.gateway}"
    elif route.prefix is not None and route.prefix > route.destination.max_prefixlen:
        yield f"{named} cannot have the prefix {route.prefix}"
    elif route.prefix is not None and route.netmask is not None:
        yield f"{named} has a netmask and a prefix; keep one"
    else:
        try:
            _ = route.network
        except ValueError as error:
            yield f"{named} names no network: {error}"


def check_shared_namespaces(domain: DomainDefinition) -> Iterator[str]:
    if domain.lxc is None:
        return
    moved = any(each.moved_interface for each in domain.devices.host_devices)
    if domain.lxc.network is not None and (domain.devices.interfaces or moved):
        yield "the domain shares a network namespace and has interfaces of its own; choose one"
    for name, share in (("shareipc", domain.lxc.ipc), ("shareuts", domain.lxc.uts)):
        if share is not None and share.type is ShareType.NETNS:
            yield f"{name} cannot be of type netns; take name or pid"
    network = domain.lxc.network
    if network is not None and network.type is ShareType.NETNS and not _is_file_name(network.value):
        yield f"'{network.value}' cannot be the name of a network namespace below /run/netns"
    shares = (domain.lxc.network, domain.lxc.ipc, domain.lxc.uts)
    if any(share is not None and share.type is ShareType.PID and not share.value.isdecimal() for share in shares):
        yield "a shared namespace of type pid has no process number as its value"


def check_network_share(domain: DomainDefinition) -> Iterator[str]:
    share = domain.settings.network_share
    if share is None:
        return
    if domain.settings.privileged:
        yield "a privileged domain cannot be held to a share of the host's network; remove one of the two"
    if domain.idmap is not None:
        yield "the share of the host's network needs ids that no other domain has: remove the idmap, and it gets some"
    if domain.lxc is not None and domain.lxc.network is not None:
        yield "the domain has a share of the host's network and shares another namespace; choose one"
    if domain.devices.interfaces or any(each.moved_interface for each in domain.devices.host_devices):
        yield "the domain has a share of the host's network and interfaces of its own; choose one"
    if share.ports == ():
        yield "the share of the host's network has no ports; remove the attribute, which allows all, or name some"
    yield from NetworkShare(addresses=tuple(map(str, share.addresses)), ports=share.ports or ()).problems()


def _is_file_name(text: str) -> bool:
    return "/" not in text and text not in ("", ".", "..")
