"""Guests' cards and the bridges of the host that they are plugged into, which may go and come while guests run.

The bridge of a virtual network its network makes again, and plugs the cards in; into any other bridge they are plugged
here when one of its name comes. While a card is plugged into nothing, its guest has a notice that names it.
"""

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol
from uuid import UUID

from insula.engine.interfacespec import BridgePort, VethInterface
from insula.engine.threads import in_own_thread
from insula.errors import InsulaError
from insula.model.domainstates import LifecycleKind
from insula.model.interfaces import InterfaceType
from insula.model.networknumbers import NetworkEventKind
from insula.network.guestports import RefusedPort
from insula.service.domains import Domains
from insula.service.events import DeviceAdded, DeviceRemoved, DeviceUpdated, Event, LifecycleEvent, NetworkLifecycle
from insula.service.managed import ManagedDomain
from insula.service.managednetwork import ManagedNetwork
from insula.service.networklife import DeviceFollowing
from insula.service.networks import VirtualNetworks

LOGGER = logging.getLogger(__name__)


class CardPorts(Protocol):
    """See `network.guestports.GuestPorts`. Its methods block. Raises: OSError."""

    def unplugged(self, ends: Collection[str]) -> frozenset[str]:
        """Return those of these ends that are ports of nothing; one that is gone counts as none."""
        ...

    def plug(self, bridge: str, ends: Mapping[str, BridgePort]) -> dict[str, RefusedPort]:
        """Make those of these ends that are ports of nothing ports of a bridge. Return why others are not, by name."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class _Card:
    """A guest's card on a bridge.

    inside: its name there; mac: the guest's; end: the name of its end on this host; network: the virtual network that
    makes the bridge, None for a bridge that no network of ours makes.
    """

    inside: str
    mac: str
    end: str
    bridge: str
    port: BridgePort
    network: str | None = None


class CardBridges:
    """Keeps guests' cards on their bridges, by what is told of domains, networks and the host's devices."""

    def __init__(self, *, domains: Domains, networks: VirtualNetworks, ports: CardPorts) -> None:
        self._domains = domains
        self._networks = networks
        self._ports = ports
        self._following: DeviceFollowing | None = None
        self._noticed: dict[UUID, frozenset[str]] = {}
        """What is said of each guest's cards, of those that are plugged into nothing."""

    def attend(self, following: DeviceFollowing) -> None:
        """Have bridges followed from now on, and look at the cards of guests that run; called once they are known."""
        self._following = following
        for each in self._domains:
            if each.is_active:
                self._follow(each)
        self._networks.tasks.begin(self._look_at_all(), "look at the cards of all guests")

    def heard(self, event: Event) -> None:
        """Take note of what has happened; a subscriber of `Events`."""
        match event:
            case LifecycleEvent(kind=LifecycleKind.STARTED | LifecycleKind.STOPPED):
                self._changed(event.domain.uuid)
            case DeviceAdded() | DeviceRemoved() | DeviceUpdated():
                self._changed(event.domain.uuid)
            case NetworkLifecycle(kind=NetworkEventKind.STARTED):
                self._look_soon([each for uuid in self._noticed if (each := self._domains.find(uuid)) is not None])

    def told(self, uuid: UUID, bridge: str, there: bool) -> None:
        """Take the watch's word that a bridge that cards of a guest belong on has gone, or is there again."""
        managed = self._domains.find(uuid)
        if managed is None or not managed.is_active:
            return
        if not there:
            LOGGER.warning("domain '%s': the bridge '%s' is gone, which cards of it belong on", managed.name, bridge)
            gone = {_said(each, _gone(bridge)) for each in _cards(managed) if each.bridge == bridge}
            self._notice(managed, gone | self._noticed.get(uuid, frozenset()))
        self._look_soon([managed])

    def _changed(self, uuid: UUID) -> None:
        managed = self._domains.find(uuid)
        if managed is not None and managed.is_active:
            self._follow(managed)
            if uuid in self._noticed:
                self._look_soon([managed])
        else:
            self._noticed.pop(uuid, None)
            if self._following is not None:
                self._following.forget(uuid)

    def _follow(self, managed: ManagedDomain) -> None:
        if self._following is not None:
            self._following.follow(managed.uuid, {each.bridge for each in _cards(managed)})

    def _look_soon(self, guests: Iterable[ManagedDomain]) -> None:
        for each in guests:
            self._networks.tasks.begin(self._look_at(each), f"look at the cards of {each.name}")

    async def _look_at_all(self) -> None:
        """Look at those guests that have a card that is plugged into nothing."""
        running = [each for each in self._domains if each.is_active]
        ends = [card.end for each in running for card in _cards(each)]
        try:
            unplugged = await in_own_thread(partial(self._ports.unplugged, ends))
        except OSError as error:
            LOGGER.error("guests' cards cannot be looked at: %s", error)
        else:
            self._look_soon([each for each in running if any(card.end in unplugged for card in _cards(each))])

    async def _look_at(self, managed: ManagedDomain) -> None:
        try:
            for network in {each.network for each in await in_own_thread(partial(self._told_apart, managed))}:
                await self._mended(network)
            await managed.lock.perform_surely("plug in its cards", partial(self._plug, managed))
        except (InsulaError, OSError) as error:
            LOGGER.error("domain '%s': its cards cannot be looked at: %s", managed.name, error)

    async def _mended(self, network: str | None) -> None:
        """Wait until what is being done to a network is done: it may be plugging its guests in."""
        managed = self._network(network)
        if managed is not None:
            await managed.lock.perform_surely("look at its ports", _nothing)

    def _network(self, name: str | None) -> ManagedNetwork | None:
        return next((each for each in self._networks if each.name == name), None)

    async def _plug(self, managed: ManagedDomain) -> None:
        """Plug in those of a guest's cards that are plugged into nothing. Holds the domain's lock: so what is said last
        was seen last."""
        if not managed.is_active:
            return
        cards = await in_own_thread(partial(self._told_apart, managed))
        reasons: dict[str, str] = {}
        for bridge in {each.bridge for each in cards if each.network is None}:
            ends = {each.end: each.port for each in cards if each.bridge == bridge and each.network is None}
            refused = await in_own_thread(partial(self._ports.plug, bridge, ends))
            if self._following is not None and not all(each.tried for each in refused.values()):
                self._following.remind(bridge)  # what was tried changed the bridge itself, and would for ever
            reasons |= {end: each.reason for end, each in refused.items()}
        unplugged = await in_own_thread(partial(self._ports.unplugged, [each.end for each in cards]))
        said = {_said(each, reasons.get(each.end) or self._lack(each)) for each in cards if each.end in unplugged}
        for text in sorted(said - self._noticed.get(managed.uuid, frozenset())):
            LOGGER.warning("domain '%s': %s", managed.name, text)
        self._notice(managed, said)

    def _lack(self, card: _Card) -> str:
        """Say what keeps a card off its bridge that is not refused by that."""
        if card.network is None:
            return _gone(card.bridge)
        managed = self._network(card.network)
        state = "is not active" if managed is None or not managed.is_active else "has no port for it now"
        return f"the network '{card.network}' {state}"

    def _notice(self, managed: ManagedDomain, said: Collection[str]) -> None:
        """Have a guest noticed of this, and of nothing else that was said here before."""
        for text in self._noticed.pop(managed.uuid, frozenset()).difference(said):
            managed.withdraw(text)
        for text in sorted(said):
            managed.notice(text)
        if said:
            self._noticed[managed.uuid] = frozenset(said)

    def _told_apart(self, managed: ManagedDomain) -> tuple[_Card, ...]:
        """Return a guest's cards, each with the network that makes its bridge. It may read a long definition."""
        plugged = {
            str(each.mac).lower(): each.source.network
            for each in managed.current.devices.interfaces
            if each.type is InterfaceType.NETWORK
            and each.source is not None
            and self._makes_bridge(each.source.network)
        }
        return tuple(replace(each, network=plugged.get(each.mac.lower())) for each in _cards(managed))

    def _makes_bridge(self, network: str | None) -> bool:
        """Whether a network makes its bridge, or did: one that is not known any more."""
        managed = self._network(network)
        return managed is None or managed.current.mode.owns_bridge


def _cards(managed: ManagedDomain) -> tuple[_Card, ...]:
    """Return a running guest's cards on bridges of the kernel's."""
    if managed.run is None:
        return ()
    record = managed.run.container.record
    specs = {each.guest: each for each in record.spec.interfaces if isinstance(each, VethInterface)}
    return tuple(
        _Card(inside=each.guest, mac=each.mac, end=each.host, bridge=each.bridge, port=specs[each.guest].port)
        for each in record.connected
        if each.bridge is not None and each.guest in specs and not each.switched
    )


def _said(card: _Card, reason: str) -> str:
    return f"its card {card.inside} ({card.end} on the host) is plugged into nothing: {reason}"


def _gone(bridge: str) -> str:
    return f"the host has no bridge '{bridge}'"


async def _nothing() -> None:
    """What is waited for is the turn."""
