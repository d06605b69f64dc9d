"""Performing what `networkrecovery` decided: a new daemon takes over the networks of the one before.

take stock   definitions and records: every network is there, in its true state; nothing is waited for but the disk
take over    each network's bridge, rules and servers, put in order where they are not, while others are served
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any

from insula.engine.threads import in_own_thread
from insula.errors import InsulaError
from insula.model.network import NetworkDefinition
from insula.model.networkforward import NetworkBridge
from insula.model.scalars import NetworkName
from insula.network.virtual.performer import NetworkPerformer
from insula.service.autostart import Autostart
from insula.service.definitions import Definitions
from insula.service.managednetwork import ManagedNetwork
from insula.service.networklife import NetworkLife
from insula.service.networkrecovery import (
    ClearNetwork,
    ForgetNetwork,
    Found,
    NetworkAction,
    SettleNetwork,
    ShowNetwork,
    decide_networks,
)
from insula.service.networkruns import NetworkRun, NetworkRuns
from insula.service.networks import VirtualNetworks
from insula.service.runrecord import RunPhase

LOGGER = logging.getLogger(__name__)

Steps = Callable[[], Coroutine[Any, Any, None]]


class NetworkSettling:
    """Brings the registry in line with what is, then what is with the registry."""

    def __init__(
        self,
        *,
        registry: VirtualNetworks,
        definitions: Definitions[NetworkDefinition],
        runs: NetworkRuns,
        performer: NetworkPerformer,
        life: NetworkLife,
        autostart: Autostart,
        boot_id: str,
    ) -> None:
        self._registry = registry
        self._definitions = definitions
        self._runs = runs
        self._performer = performer
        self._life = life
        self._autostart = autostart
        self._boot_id = boot_id
        self._work: list[asyncio.Task[None]] = []
        self._guests_known = asyncio.Event()

    async def take_stock(self) -> None:
        """Know every network and its state; called once, before domains are known and anybody may ask for one.

        Verbs on a network wait from now on until it is taken over. What goes wrong with one stops no other.
        """
        for each in await asyncio.to_thread(self._definitions.load):
            try:
                self._registry.new(each.config, config=each.config, autostart=each.autostart)
            except (ValueError, InsulaError) as error:
                LOGGER.error("the network '%s' cannot be taken from its definition: %s", each.name, error)
        recorded = await asyncio.to_thread(self._runs.load)
        found = await self._found()
        known = frozenset(each.uuid for each in self._registry)
        for action in decide_networks(recorded, boot_id=self._boot_id, defined=known, found=found):
            try:
                self._begin(action)
            except InsulaError as error:
                name = action.found.name if isinstance(action, ShowNetwork) else action.run.name
                LOGGER.error("network '%s' cannot be taken over: %s", name, error)
        await asyncio.sleep(0)  # whoever is to be taken over is locked before anybody asks for it

    async def _found(self) -> tuple[Found, ...]:
        """Return what the host has bridges of; nothing if it cannot be asked."""
        try:
            return await in_own_thread(self._performer.found)
        except (OSError, InsulaError) as error:
            LOGGER.error("the host cannot be asked for bridges of networks: %s", error)
            return ()

    def _begin(self, action: NetworkAction) -> None:
        match action:
            case SettleNetwork(run=run):
                managed = self._known(run)
                managed.begin(run)
                self._later(managed, partial(self._settled, managed))
            case ClearNetwork(run=run, defined=True):
                managed = self._known(run)
                managed.remains = run
                self._later(managed, partial(self._life.finish, managed))
            case ClearNetwork(run=run):
                self._spawn(self._life.discard(run), run.name)
            case ForgetNetwork(run=run):
                self._life.forget(run)
            case ShowNetwork():
                self._show(action)

    def _show(self, action: ShowNetwork) -> None:
        """Show a network whose record is lost. One that has no definition is not written down, nor touched: it goes
        with its stop, or with the host."""
        network, record = action.found, action.record
        managed = self._registry.find(network.uuid)
        if managed is None or managed.config is None:
            if self._registry.has_name(network.name):
                network = replace(network, name=NetworkName(f"{network.name}-{str(network.uuid)[:8]}"))
            managed = self._registry.new(network)
            text = "what was written down about it was lost, and it has no definition: it goes on, and can be stopped"
        else:
            text = "what was written down about it was lost: it is active as its definition says"
            config = managed.config
            network = replace(config, bridge=replace(config.bridge or NetworkBridge(), name=record.bridge))
            record = replace(record, mac=config.mac or record.mac)
        run = NetworkRun(
            boot_id=self._boot_id,
            phase=RunPhase.RUNNING,
            begun=0,
            network=network,
            record=replace(record, name=managed.name),
        )
        managed.begin(run)
        managed.notice(text)
        LOGGER.warning("network '%s' is active, and %s", managed.name, text)
        if managed.is_persistent:
            self._runs.write_if_possible(run)
            self._later(managed, partial(self._settled, managed))

    def _known(self, run: NetworkRun) -> ManagedNetwork:
        return self._registry.admit(run.name, run.uuid) or self._registry.new(run.network)

    async def _settled(self, managed: ManagedNetwork) -> None:
        try:
            await self._life.settle(managed)
        except Exception as error:  # whatever it was: guests are plugged into it, and it must not count as off
            managed.notice(f"it is active, and could not be put in order when insulad started: {error}")
            raise

    def _later(self, managed: ManagedNetwork, work: Steps) -> None:
        """Do work on a network, which is locked from now on, once it is known which guests are plugged into it."""

        async def in_turn() -> None:
            await self._guests_known.wait()
            await work()

        self._spawn(managed.lock.perform_surely("take over", in_turn), managed.name)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        async def told() -> None:
            try:
                await work
            except Exception as error:  # whatever it was, it concerns this network alone
                LOGGER.error("network '%s' of the insulad before: %s", name, error)

        self._work.append(self._registry.tasks.begin(told(), f"take over network {name}"))

    async def take_over(self) -> None:
        """Return once every network is in order, as far as it can be, and those that start with the host were started.

        Called when the domains are known.
        """
        self._guests_known.set()
        await asyncio.gather(*self._work, return_exceptions=True)
        self._work.clear()
        waiting = [each for each in self._registry if each.autostart and not each.is_active]
        await self._autostart.start(waiting, self._start)

    async def _start(self, managed: ManagedNetwork) -> None:
        async def work() -> None:
            if not managed.is_active and managed.config is not None:
                await self._life.begin(managed, managed.config)

        await managed.lock.perform("autostart", work)
