"""Names of running guests, told to the networks that they are plugged into: behind a start, never on its way."""

import asyncio
import logging
from functools import partial
from uuid import UUID

from insula.engine.threads import in_own_thread
from insula.errors import InsulaError
from insula.model.domainstates import LifecycleKind
from insula.model.interfaces import InterfaceType
from insula.model.networknumbers import NetworkEventKind
from insula.network.virtual.networkrecord import GuestName
from insula.network.virtual.performer import NetworkPerformer
from insula.service.domains import Domains
from insula.service.events import DeviceAdded, DeviceRemoved, DeviceUpdated, Event, LifecycleEvent, NetworkLifecycle
from insula.service.managed import ManagedDomain
from insula.service.managednetwork import ManagedNetwork
from insula.service.networks import VirtualNetworks

LOGGER = logging.getLogger(__name__)

_QUIET = 0.1
"""Seconds that are waited for more to happen: a hundred starts at once are told as one change."""

Names = dict[str, list[GuestName]]
"""What a guest is called, by the name of a network."""


class GuestNames:
    """Keeps in mind what each running guest is called on which network, by what is told of domains and networks."""

    def __init__(self, *, domains: Domains, networks: VirtualNetworks, performer: NetworkPerformer) -> None:
        self._domains = domains
        self._networks = networks
        self._performer = performer
        self._known: dict[UUID, Names] = {}
        self._changed: set[UUID] = set()
        """Domains that are to be looked at."""
        self._due: set[str] = set()
        """Networks that are to be told, by name."""
        self._timer: asyncio.TimerHandle | None = None
        self._turn = asyncio.Lock()

    def begin(self) -> None:
        """Take all guests that run now into account; called once they are known."""
        self._due.update(each.name for each in self._networks if each.is_active)
        self._all_again()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def heard(self, event: Event) -> None:
        """Take note of what has happened; a subscriber of `Events`."""
        match event:
            case LifecycleEvent(kind=LifecycleKind.STARTED | LifecycleKind.STOPPED):
                self._look_at(event.domain.uuid)
            case DeviceAdded() | DeviceRemoved() | DeviceUpdated():
                self._look_at(event.domain.uuid)
            case NetworkLifecycle(kind=NetworkEventKind.STARTED):
                self._due.add(event.network.name)
                self._all_again()

    def _look_at(self, uuid: UUID) -> None:
        self._changed.add(uuid)
        self._soon()

    def _all_again(self) -> None:
        self._changed.update(each.uuid for each in self._domains if each.is_active)
        self._soon()

    def _soon(self) -> None:
        """Look at it soon, if there is a network that could be told: else definitions need not even be read."""
        if not any(each.is_active for each in self._networks):
            self._changed.clear()
            self._known.clear()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_QUIET, self._now)

    def _now(self) -> None:
        self._timer = None
        self._networks.tasks.begin(self._in_turn(), "tell guests' names")

    async def _in_turn(self) -> None:
        async with self._turn:
            await self._told()

    async def _told(self) -> None:
        changed, self._changed = self._changed, set()
        found = [each for uuid in changed if (each := self._domains.find(uuid)) is not None and each.is_active]
        names = await in_own_thread(partial(_names_of, found))
        for uuid in changed:
            former, now = self._known.pop(uuid, {}), names.get(uuid, {})
            if now:
                self._known[uuid] = now
            self._due |= {name for name in {*former, *now} if former.get(name) != now.get(name)}
        due, self._due = self._due, set()
        for managed in self._networks:
            if managed.name in due and managed.is_active:
                await self._tell(managed)

    async def _tell(self, managed: ManagedNetwork) -> None:
        run = managed.require_run()
        guests = [each for known in self._known.values() for each in known.get(managed.name, ())]
        guests.sort(key=lambda each: each.name)
        try:
            await in_own_thread(partial(self._performer.name_guests, run.network, run.record, guests))
        except (InsulaError, OSError) as error:
            LOGGER.warning("network '%s' does not know all its guests' names: %s", managed.name, error)


def _names_of(running: list[ManagedDomain]) -> dict[UUID, Names]:
    """Return what guests are called on their networks. It may read long definitions."""
    return {each.uuid: _called(each) for each in running}


def _called(domain: ManagedDomain) -> Names:
    names: Names = {}
    for card in domain.current.devices.interfaces:
        network = card.source.network if card.source is not None else None
        if card.type is InterfaceType.NETWORK and network is not None:
            addresses = tuple(str(each.address) for each in card.ips)
            mac = None if card.mac is None else str(card.mac)
            names.setdefault(network, []).append(GuestName(name=domain.name, mac=mac, addresses=addresses))
    return names
