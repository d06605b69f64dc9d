"""Ports of networks: which running guests' cards are plugged into one. Read from the guests, stored nowhere else."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from insula.engine.interfaceperformer import ConnectedInterface
from insula.errors import InsulaError, NetworkPortNotFoundError
from insula.model.interfaces import Interface, InterfaceSource, InterfaceType
from insula.model.network import NetworkDefinition
from insula.model.networkport import (
    NetworkPort,
    PortOwner,
    actual_interface,
    network_port,
    port_uuid,
    with_connections,
)
from insula.model.scalars import DomainName
from insula.network.cardports import bridge_port
from insula.network.virtual.guestends import GuestEnd
from insula.service.managed import ManagedDomain
from insula.service.managednetwork import ManagedNetwork

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class PluggedCard:
    """A running guest's card in a network. uuid: the port's; owner, owner_uuid: the domain; card: as it is live.

    device: the host's that it stands on, or that it is; None for a port of a bridge.
    """

    uuid: UUID
    owner: str
    owner_uuid: UUID
    card: Interface
    device: str | None = None
    end: str | None = None
    """The name of its end on this host, by the record: a definition has it only once the guest is taken over."""


def plugged_cards(domains: Iterable[ManagedDomain], network: ManagedNetwork) -> tuple[PluggedCard, ...]:
    """Return the cards of running guests in a network. It may read long definitions: call it aside."""
    return tuple(_plugged(domains, network))


def _plugged(domains: Iterable[ManagedDomain], network: ManagedNetwork) -> Iterator[PluggedCard]:
    for each in domains:
        if not each.is_active:
            continue
        hosts = {end.mac.lower(): end.host for end in _connected(each)}
        devices = {end.mac.lower(): end.device for end in _connected(each)}
        for place, card in enumerate(each.current.devices.interfaces):
            source = card.source
            if card.type is not InterfaceType.NETWORK or source is None or source.network != network.name:
                continue
            uuid = source.port_id or port_uuid(each.uuid, network.name, card.mac or str(place))
            device = devices.get(str(card.mac).lower())
            end = hosts.get(str(card.mac).lower()) or card.target
            yield PluggedCard(uuid=uuid, owner=each.name, owner_uuid=each.uuid, card=card, device=device, end=end)


def _connected(domain: ManagedDomain) -> tuple[ConnectedInterface, ...]:
    return domain.run.container.record.connected if domain.run is not None else ()


def devices_in_use(domains: Iterable[ManagedDomain]) -> Mapping[str, int]:
    """Return how many interfaces of running guests stand on each network device of the host, or are it."""
    return Counter(each.device for domain in domains for each in _connected(domain) if each.device is not None)


def cards_by_network(
    domains: Iterable[ManagedDomain], networks: Iterable[ManagedNetwork]
) -> dict[UUID, tuple[PluggedCard, ...]]:
    """Return the cards of running guests by the UUID of their network. Call it aside."""
    there = tuple(domains)
    return {each.uuid: tuple(_plugged(there, each)) for each in networks}


def plugged_card(domains: Iterable[ManagedDomain], network: ManagedNetwork, uuid: UUID) -> PluggedCard:
    """Return one of them. Raises: NetworkPortNotFoundError."""
    for each in _plugged(domains, network):
        if each.uuid == uuid:
            return each
    raise NetworkPortNotFoundError(f"no network port with matching UUID '{uuid}'")


def host_ends(domains: Iterable[ManagedDomain], network: ManagedNetwork) -> dict[str, GuestEnd]:
    """Return what running guests' cards in a network have on this host's side, by its name: their ports of its bridge.

    A card that the network's live definition has no place for (its portgroup is gone) is left out: it would be without
    its tag.
    """
    ends: dict[str, GuestEnd] = {}
    if not network.current.mode.owns_bridge:
        return ends
    for each in _plugged(domains, network):
        if each.end is None or each.card.mac is None:
            continue
        try:
            port = bridge_port(actual_interface(each.card, network.current))
        except InsulaError as error:
            LOGGER.warning("network '%s': the card of '%s' has no port: %s", network.name, each.owner, error)
        else:
            ends[each.end] = GuestEnd(mac=each.card.mac, port=port)
    return ends


def connected(network: NetworkDefinition, cards: Sequence[PluggedCard]) -> NetworkDefinition:
    """Return the live definition of a network with how many cards are in it, and on each of its devices."""
    return with_connections(network, len(cards), Counter(each.device for each in cards if each.device is not None))


def port_of(card: PluggedCard, network: NetworkDefinition) -> NetworkPort | None:
    """Return a card's port in an active network, None if it is none. Raises: InsulaError for one that cannot be."""
    source = replace(card.card.source or InterfaceSource(), port_id=card.uuid, device=card.device)
    owner = PortOwner(name=DomainName(card.owner), uuid=card.owner_uuid)
    return network_port(actual_interface(replace(card.card, source=source), network), network, owner)
