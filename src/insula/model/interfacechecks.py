"""What is wrong with a domain's network although its XML is right: checks as those of `validate`."""

from collections.abc import Iterator

from insula.kernel.interfacenames import NAME_MAX, is_interface_name
from insula.model.devices import HostDevice
from insula.model.domain import DomainDefinition
from insula.model.extensions import ShareType
from insula.model.interfaces import Interface, InterfaceRoute, InterfaceType, SourceMode, family_of
from insula.model.repetition import repeated


def check_interface_sources(domain: DomainDefinition) -> Iterator[str]:
    wanted = {InterfaceType.BRIDGE: "bridge", InterfaceType.NETWORK: "network", InterfaceType.DIRECT: "device"}
    for number, each in enumerate(domain.devices.interfaces, start=1):
        field = wanted.get(each.type)
        if field is not None and (each.source is None or not getattr(each.source, field)):
            yield f"interface {number} is of type {each.type} and names no {field}"
        mode = each.source.mode if each.source is not None else None
        if each.type is InterfaceType.DIRECT and mode in (SourceMode.CLIENT, SourceMode.SERVER):
            yield f"interface {number} is of type {each.type}, which cannot be of mode {mode}"


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


def _address_problems(interface: Interface | HostDevice) -> Iterator[str]:
    for ip in interface.ips:
        if ip.family is not None and ip.family is not family_of(ip.address):
            yield f"{ip.address} is not of the family {ip.family}"
        if ip.prefix is not None and ip.prefix > ip.address.max_prefixlen:
            yield f"{ip.address} cannot have the prefix {ip.prefix}"
        if ip.peer is not None and ip.peer.version != ip.address.version:
            yield f"{ip.address} has a peer of the other family, {ip.peer}"
    for route in interface.routes:
        yield from _route_problems(route)


def _route_problems(route: InterfaceRoute) -> Iterator[str]:
    named = f"the route to {route.address}"
    if route.family is not None and route.family is not family_of(route.address):
        yield f"{named} is not of the family {route.family}"
    elif route.address.version != route.gateway.version:
        yield f"{named} has a gateway of the other family, {route.gateway}"
    elif route.prefix is not None and route.prefix > route.address.max_prefixlen:
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


def _is_file_name(text: str) -> bool:
    return "/" not in text and text not in ("", ".", "..")
