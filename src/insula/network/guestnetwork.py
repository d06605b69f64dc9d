"""From a domain's definition to the network its container gets: which namespace, which interfaces in it."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

from insula.engine.interfacespec import Interface, MovedInterface, NetworkKind
from insula.engine.spec import Namespace, SharedNamespace
from insula.model.devices import HostDevice
from insula.model.domain import DomainDefinition
from insula.model.extensions import DefinedShare, ShareType
from insula.network.networktypes import address_of, route_of, type_of


@dataclass(frozen=True, kw_only=True, slots=True)
class GuestNetwork:
    """The network part of a container's spec."""

    kind: NetworkKind
    interfaces: tuple[Interface, ...] = ()
    shared: tuple[SharedNamespace, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolver:
    """Answers what a definition only names, by a look from outside.

    pid_of: the pid of another domain's init, by the domain's name; raises what fits when it has none.
    """

    pid_of: Callable[[str], int]


def network_of(domain: DomainDefinition, resolver: Resolver) -> GuestNetwork:
    """Return the network a domain asks for: its own namespace, unless it explicitly shares another.

    Without interfaces it is a namespace with nothing but lo: libvirt would share the host's, which hands the host's
    abstract sockets and ports to the guest. `<lxc:sharenet type='pid' value='1'/>` says that it is wanted.

    Raises: UnsupportedConfigError, and what the resolver raises.
    """
    interfaces = _interfaces(domain)
    share = domain.lxc.network if domain.lxc else None
    if share is None:
        return GuestNetwork(kind=NetworkKind.PRIVATE, interfaces=interfaces)
    if share.type is ShareType.PID and share.value == "1":
        return GuestNetwork(kind=NetworkKind.HOST)
    path = _namespace_path(share, resolver)
    return GuestNetwork(kind=NetworkKind.PRIVATE, shared=(SharedNamespace(kind=Namespace.NETWORK, path=path),))


def _namespace_path(share: DefinedShare, resolver: Resolver) -> str:
    match share.type:
        case ShareType.NETNS:
            return f"/run/netns/{share.value}"
        case ShareType.PID:
            return f"/proc/{share.value}/ns/net"
        case ShareType.NAME:
            return f"/proc/{resolver.pid_of(share.value)}/ns/net"


def _interfaces(domain: DomainDefinition) -> tuple[Interface, ...]:
    """Return what the engine shall connect; cards without a name in the guest become the free ones of eth0, eth1, …

    Raises: UnsupportedConfigError.
    """
    cards = domain.devices.interfaces
    moved = tuple(_moved(each) for each in domain.devices.host_devices if each.moved_interface)
    given = {each.guest.device for each in cards if each.guest and each.guest.device} | {each.guest for each in moved}
    free = (name for number in itertools.count() if (name := f"eth{number}") not in given)
    made = (type_of(each).translate(each, (each.guest and each.guest.device) or next(free)) for each in cards)
    return (*made, *moved)


def _moved(device: HostDevice) -> MovedInterface:
    """Under the host's name inside too, as libvirt has it."""
    name = device.moved_interface
    assert name is not None
    addresses, routes = tuple(map(address_of, device.ips)), tuple(map(route_of, device.routes))
    return MovedInterface(guest=name, device=name, addresses=addresses, routes=routes)
