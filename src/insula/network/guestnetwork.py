"""From a domain's definition to the network its container gets: which namespace, which interfaces in it."""

import itertools
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from insula.engine.interfacespec import Interface, MovedInterface, NetworkKind, NetworkShare
from insula.engine.spec import Namespace, SharedNamespace
from insula.errors import UnsupportedConfigError
from insula.model.devices import HostDevice
from insula.model.domain import DomainDefinition
from insula.model.extensions import DefinedShare, ShareType
from insula.model.interfaces import Interface as Card
from insula.model.interfaces import InterfaceType
from insula.network.networktypes import address_of, route_of, type_of
from insula.network.usermode.usersubnets import resolver_of


@dataclass(frozen=True, kw_only=True, slots=True)
class GuestNetwork:
    """The network part of a container's spec. nameservers: who there answers questions for names, if that is known."""

    kind: NetworkKind
    share: NetworkShare | None = None
    interfaces: tuple[Interface, ...] = ()
    shared: tuple[SharedNamespace, ...] = ()
    nameservers: tuple[str, ...] = ()


def without_networks(card: Card) -> Card:
    """Return a card as it is, where nobody knows virtual networks. Raises: UnsupportedConfigError for one of those."""
    if card.type is InterfaceType.NETWORK:
        name = card.source.network if card.source is not None else None
        raise UnsupportedConfigError(
            f"the virtual network '{name}' is not known here: nobody keeps virtual networks; name a bridge with "
            "type='bridge'"
        )
    return card


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolver:
    """Answers what a definition only names, by a look from outside.

    pid_of: the pid of another domain's init, by the domain's name; raises what fits when it has none; actual: what an
    `<interface>` is today: one of type 'network' becomes the port of a bridge, or whatever its network says, any other
    stays itself. It is called in threads, and touches nothing.
    """

    pid_of: Callable[[str], int]
    actual: Callable[[Card], Card] = without_networks


def network_of(domain: DomainDefinition, resolver: Resolver) -> GuestNetwork:
    """Return the network a domain asks for: its own namespace, unless it explicitly shares another.

    Without interfaces it is a namespace with nothing but lo: libvirt would share the host's, which hands the host's
    abstract sockets and ports to the guest. `<lxc:sharenet type='pid' value='1'/>` says that it is wanted,
    `<insula:share-network>` that a part of it is.

    Raises: UnsupportedConfigError, and what the resolver raises.
    """
    part = share_of(domain)
    if part is not None:
        return GuestNetwork(kind=NetworkKind.HOST, share=part)
    interfaces = _interfaces(domain, resolver)
    share = domain.lxc.network if domain.lxc else None
    if share is None:
        resolvers = tuple(filter(None, map(resolver_of, interfaces)))
        return GuestNetwork(kind=NetworkKind.PRIVATE, interfaces=interfaces, nameservers=resolvers)
    if share.type is ShareType.PID and share.value == "1":
        return GuestNetwork(kind=NetworkKind.HOST)
    path = _namespace_path(share, resolver)
    return GuestNetwork(kind=NetworkKind.PRIVATE, shared=(SharedNamespace(kind=Namespace.NETWORK, path=path),))


def share_of(domain: DomainDefinition) -> NetworkShare | None:
    """Return which part of the host's network a domain is to have, None for another network."""
    part = domain.settings.network_share
    return None if part is None else NetworkShare(addresses=tuple(map(str, part.addresses)), ports=part.ports or ())


def _namespace_path(share: DefinedShare, resolver: Resolver) -> str:
    match share.type:
        case ShareType.NETNS:
            return f"/run/netns/{share.value}"
        case ShareType.PID:
            return f"/proc/{share.value}/ns/net"
        case ShareType.NAME:
            return f"/proc/{resolver.pid_of(share.value)}/ns/net"


def _interfaces(domain: DomainDefinition, resolver: Resolver) -> tuple[Interface, ...]:
    """Return what the engine shall connect; cards without a name in the guest become the free ones of eth0, eth1, …

    Raises: UnsupportedConfigError, and what the resolver raises.
    """
    cards = domain.devices.interfaces
    moved = tuple(moved_interface(each) for each in domain.devices.host_devices if each.moved_interface)
    given = {each.guest.device for each in cards if each.guest and each.guest.device} | {each.guest for each in moved}
    free = free_names(given)
    made = (card_interface(each, (each.guest and each.guest.device) or next(free), resolver.actual) for each in cards)
    return (*made, *moved)


def free_names(given: Collection[str]) -> Iterator[str]:
    """Yield the names that cards without one get in the guest, in order. given: those that are taken."""
    return (name for number in itertools.count() if (name := f"eth{number}") not in given)


def card_interface(card: Card, guest: str, actual: Callable[[Card], Card]) -> Interface:
    """Return what the engine shall connect for a card under a name in the guest. actual: as in `Resolver`.

    Raises: UnsupportedConfigError, and what actual raises.
    """
    plugged = actual(card)
    return type_of(plugged).translate(plugged, guest)


def moved_interface(device: HostDevice) -> MovedInterface:
    """Under the host's name inside too, as libvirt has it."""
    name = device.moved_interface
    assert name is not None
    addresses, routes = tuple(map(address_of, device.ips)), tuple(map(route_of, device.routes))
    return MovedInterface(guest=name, device=name, addresses=addresses, routes=routes)
