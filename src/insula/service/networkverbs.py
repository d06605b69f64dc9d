"""What libvirt's network API does: definitions and lives of networks. On the disk and the host first, then told."""

import logging
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

from insula.errors import InsulaError, NetworkNotFoundError, OperationFailedError
from insula.model.network import NetworkDefinition
from insula.model.networknumbers import NetworkEventKind
from insula.model.networkupdate import updated
from insula.model.numbers import Affect, MetadataType
from insula.network.virtual.networkrecord import Lease
from insula.service.definitionchanges import DefinitionChanges
from insula.service.events import Events, NetworkMetadataChange
from insula.service.managednetwork import ManagedNetwork, meant, network_refusal
from insula.service.networklife import NetworkLife
from insula.service.networkmetadata import with_network_metadata
from insula.service.networks import VirtualNetworks

LOGGER = logging.getLogger(__name__)

Change = Callable[[NetworkDefinition], NetworkDefinition]


class NetworkVerbs:
    """Changes networks, one change of each at a time."""

    def __init__(
        self,
        *,
        registry: VirtualNetworks,
        definitions: DefinitionChanges[NetworkDefinition],
        life: NetworkLife,
        events: Events,
    ) -> None:
        self._registry = registry
        self._definitions = definitions
        self._life = life
        self._events = events

    async def define(self, network: NetworkDefinition) -> ManagedNetwork:
        """Keep network as what is defined; one that is active goes on as it is, and is persistent from now on.

        Raises: NetworkExistsError if the name belongs to another UUID, or the UUID to another name;
        OperationFailedError if another network has its bridge.
        """
        known = self._registry.admit(network.name, network.uuid)
        self._refuse_shared_bridge(network)
        managed = known or self._registry.new(network, config=network)

        async def work() -> None:
            try:
                config = await self._life.completed(managed, network)
                await self._definitions.save(managed, config)
            except BaseException:
                if known is None:
                    self._registry.remove(managed)
                raise
            managed.define(config)
            managed.tell(NetworkEventKind.DEFINED)

        return await self._or_anew(managed, "define", work, lambda: self.define(network))

    async def _or_anew(
        self,
        managed: ManagedNetwork,
        verb: str,
        work: Callable[[], Coroutine[Any, Any, None]],
        anew: Callable[[], Coroutine[Any, Any, ManagedNetwork]],
    ) -> ManagedNetwork:
        """Perform work; where another client has removed the network while we waited for our turn, begin anew.

        Not where work itself has failed and removed it.
        """
        begun = False

        async def noted() -> None:
            nonlocal begun
            begun = True
            await work()

        try:
            await managed.lock.perform(verb, noted)
        except NetworkNotFoundError:
            if begun or not managed.gone:
                raise
            return await anew()
        return managed

    def _refuse_shared_bridge(self, network: NetworkDefinition) -> None:
        """Raises: OperationFailedError if the bridge that this network is to make is that of another one."""
        name = network.bridge_name
        if name is None or not network.mode.owns_bridge:
            return
        for each in self._registry:
            if each.uuid == network.uuid:
                continue
            definitions = [each.config, each.run.network if each.run is not None else None]
            if any(known is not None and known.mode.owns_bridge and known.bridge_name == name for known in definitions):
                raise OperationFailedError(
                    f"bridge name '{name}' already in use by network '{each.name}': give another one, or none"
                )

    async def undefine(self, managed: ManagedNetwork) -> None:
        """Forget what is defined; one that is active becomes transient.

        Raises: OperationInvalidError if it is transient already.
        """

        async def work() -> None:
            if not managed.is_persistent:
                raise network_refusal("can't undefine transient network")
            await self._definitions.remove(managed)
            managed.define(None)
            managed.autostart = False
            if not managed.is_active:
                await self._life.vanished(managed)
                self._registry.remove(managed)
            managed.tell(NetworkEventKind.UNDEFINED)

        await managed.lock.perform("undefine", work)

    async def create(self, network: NetworkDefinition) -> ManagedNetwork:
        """Start a network that is gone when it is stopped, or one that is defined, as network says this time.

        Raises: NetworkExistsError; OperationInvalidError if it is active; what start raises.
        """
        known = self._registry.admit(network.name, network.uuid)
        self._refuse_shared_bridge(network)
        managed = known or self._registry.new(network)

        async def work() -> None:
            if managed.is_active:
                raise network_refusal(f"network is already active as '{managed.name}'")
            try:
                await self._life.begin(managed, network)
            except BaseException:
                if not managed.is_persistent:
                    self._registry.remove(managed)
                raise

        return await self._or_anew(managed, "create", work, lambda: self.create(network))

    async def start(self, managed: ManagedNetwork) -> None:
        """Raises: OperationInvalidError if it is active; InsulaError, and it is not."""

        async def work() -> None:
            if managed.is_active:
                raise network_refusal("network is already active")
            await self._life.begin(managed, managed.current)

        await managed.lock.perform("start", work)

    async def destroy(self, managed: ManagedNetwork) -> None:
        """Stop a network, used or not; a transient one is gone. Raises: OperationInvalidError if it is not active."""

        async def work() -> None:
            await self._life.end(managed)
            if not managed.is_persistent:
                await self._life.vanished(managed)
                self._registry.remove(managed)

        await managed.lock.perform("destroy", work)

    async def set_autostart(self, managed: ManagedNetwork, *, on: bool) -> None:
        """Let the network start with the host, or not. Raises: OperationInvalidError for a transient one."""

        async def work() -> None:
            if not managed.is_persistent:
                raise network_refusal("cannot set autostart for transient network")
            await self._definitions.set_autostart(managed, on=on)
            managed.autostart = on

        await managed.lock.perform("set autostart", work)

    async def update(
        self,
        managed: ManagedNetwork,
        command: int,
        section: int,
        *,
        parent_index: int,
        xml: str,
        affect: Affect,
    ) -> None:
        """Change a part of the live definition, of the persistent one, or of both.

        command, section, parent_index, xml: as `updated` has them.
        Raises: OperationInvalidError; XmlError; what `updated` raises; InsulaError, and nothing has changed.
        """

        def change(network: NetworkDefinition) -> NetworkDefinition:
            return updated(network, command, section, parent_index, xml)

        async def work() -> None:
            await self._change(managed, affect, change, self._life.change)

        await managed.lock.perform("update", work)

    async def set_metadata(
        self,
        managed: ManagedNetwork,
        kind: MetadataType,
        value: str | None,
        *,
        key: str | None,
        uri: str | None,
        affect: Affect,
    ) -> None:
        """Set or, for the value None, take away a text or an element. Raises: as `with_network_metadata`."""

        async def work() -> None:
            await self._change(
                managed,
                affect,
                lambda network: with_network_metadata(network, kind, value, key=key, uri=uri),
                self._described,
            )
            told = uri if kind is MetadataType.ELEMENT else None
            self._events.publish(NetworkMetadataChange(network=managed.ref, kind=kind, uri=told))

        await managed.lock.perform("set metadata", work)

    async def _described(self, managed: ManagedNetwork, network: NetworkDefinition) -> None:
        """Let network be the live definition. Our own settings stand in the metadata too, and what they say is done."""
        same = network.settings == managed.require_run().network.settings
        await (self._life.describe if same else self._life.change)(managed, network)

    async def _change(
        self,
        managed: ManagedNetwork,
        affect: Affect,
        change: Change,
        live: Callable[[ManagedNetwork, NetworkDefinition], Coroutine[Any, Any, None]],
    ) -> None:
        """Change the definitions that affect means: both are known to be possible before one is touched."""
        affect = meant(managed, affect)
        run = managed.run if Affect.LIVE in affect else None
        config = managed.config if Affect.CONFIG in affect else None
        new_live = None if run is None else change(run.network)
        new_config = None if config is None else change(config)
        if new_live is not None:
            await live(managed, new_live)
        if new_config is None:
            return
        try:
            await self._definitions.save(managed, new_config)
        except InsulaError:
            if run is not None:
                await self._live_again(managed, run.network, live)
            raise
        managed.config = new_config

    async def _live_again(
        self,
        managed: ManagedNetwork,
        network: NetworkDefinition,
        live: Callable[[ManagedNetwork, NetworkDefinition], Coroutine[Any, Any, None]],
    ) -> None:
        """Take a live change back, because the persistent one failed."""
        try:
            await live(managed, network)
        except InsulaError as error:
            LOGGER.error("the live change of network '%s' cannot be taken back: %s", managed.name, error)

    async def mend(self, uuid: UUID) -> None:
        """Bring back what somebody has taken away from an active network; nothing for another.

        Nobody asked for it, so it raises nothing: what cannot be brought back is noticed.
        """
        managed = self._registry.find(uuid)
        if managed is None:
            return

        async def work() -> None:
            if managed.gone or not managed.is_active:
                return
            try:
                await self._life.settle(managed)
            except InsulaError as error:
                LOGGER.error("something of network '%s' is gone, and cannot be brought back: %s", managed.name, error)
                managed.notice(f"something of it is gone, and cannot be brought back: {error}")

        await managed.lock.perform_surely("mend", work)

    def device_told(self, uuid: UUID, device: str, there: bool) -> None:
        """Tell the administrator that a device of the host is gone that a network leads to, until it is there again."""
        managed = self._registry.find(uuid)
        if managed is None or not managed.is_active:
            return
        text = f"the host's device '{device}', which it leads to, is gone"
        if there:
            LOGGER.warning(
                "network '%s': the host's device '%s', which it leads to, is there again", managed.name, device
            )
            managed.withdraw(text)
            self._registry.tasks.begin(self.mend(uuid), f"mend network {uuid}")  # what the device had of it, it lost
        else:
            LOGGER.warning("network '%s': %s", managed.name, text)
            managed.notice(text)

    async def leases(self, managed: ManagedNetwork, mac: str | None = None) -> list[Lease]:
        """Return the addresses that guests were given, or those of one card."""
        found = await self._life.leases(managed)
        return [each for each in found if mac is None or (each.mac or "").lower() == mac.lower()]
