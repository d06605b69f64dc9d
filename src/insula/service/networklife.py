"""The life of a network: started, changed while it is active, stopped. Written down before anything is made.

Only the performer knows how: it is called in threads, and each of its calls may be made again. Callers hold the
network's lock.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar
from uuid import UUID

from insula.engine.threads import in_own_thread
from insula.errors import InsulaError, OperationFailedError
from insula.model.network import NetworkDefinition
from insula.model.networkchecks import TEMPLATE
from insula.model.networkforward import NetworkBridge
from insula.model.networknumbers import NetworkEventKind
from insula.network.virtual.guestends import GuestEnd
from insula.network.virtual.networkrecord import Lease, NetworkRecord, Settled
from insula.network.virtual.performer import NetworkPerformer
from insula.service.managednetwork import ManagedNetwork
from insula.service.networkruns import NetworkRun, NetworkRuns
from insula.service.networks import VirtualNetworks
from insula.service.runrecord import RunPhase

LOGGER = logging.getLogger(__name__)

T = TypeVar("T")


class NetworkFollowing(Protocol):
    """Notices what happens to networks that run, and tells that they are to be settled."""

    def follow(self, record: NetworkRecord) -> None:
        """Follow a network by its record, a newer one instead of the former."""

    def forget(self, uuid: str) -> None:
        """Follow a network no more."""


class DeviceFollowing(Protocol):
    """Notices that network devices of the host go and come. See `network.devicewatch.DeviceWatch`."""

    def follow(self, follower: UUID, devices: Collection[str]) -> None:
        """Follow these devices by their names, instead of those that were followed for the same follower."""

    def forget(self, follower: UUID) -> None:
        """Follow nothing for it any more."""

    def remind(self, device: str) -> None:
        """Tell once more that a device is there, as soon as anything about it changes."""


class NetworkLife:
    """Brings networks up, and takes them down."""

    def __init__(
        self,
        *,
        registry: VirtualNetworks,
        runs: NetworkRuns,
        performer: NetworkPerformer,
        ports: Callable[[ManagedNetwork], Mapping[str, GuestEnd]],
        boot_id: str,
    ) -> None:
        """ports: guests' ends in a network by their names on this host's side; it is called in a thread."""
        self._registry = registry
        self._ports = ports
        self._runs = runs
        self._performer = performer
        self._boot_id = boot_id
        self._following: NetworkFollowing | None = None
        self._devices: DeviceFollowing | None = None
        self._planning = asyncio.Lock()
        self._coming: dict[UUID, NetworkDefinition] = {}
        """What networks will be that are being started: others must not choose the same."""

    def attend(self, following: NetworkFollowing, devices: DeviceFollowing) -> None:
        """Have networks followed from now on, as long as they run, and the devices that they lead to."""
        self._following, self._devices = following, devices
        for each in self._registry:
            self._follow(each)

    def _follow(self, managed: ManagedNetwork) -> None:
        run = managed.run
        if self._following is not None and self._devices is not None and run is not None:
            devices = [each.device for each in run.network.forward.interfaces] if run.network.forward else []
            others = [] if run.record.made or run.record.bridge is None else [run.record.bridge]
            self._following.follow(run.record)
            self._devices.follow(managed.uuid, (*devices, *others))

    def _unfollow(self, managed: ManagedNetwork) -> None:
        if self._following is not None and self._devices is not None:
            self._following.forget(str(managed.uuid))
            self._devices.forget(managed.uuid)

    async def begin(self, managed: ManagedNetwork, network: NetworkDefinition) -> None:
        """Bring a network up by a definition. Raises: InsulaError, and nothing of it is left but what is told."""
        await self._clear(managed)
        try:
            planned = await self._planned(managed, network)
            run = await self._started(managed, planned)
        finally:
            self._coming.pop(managed.uuid, None)
        managed.begin(run)
        self._follow(managed)
        await self._take_back_guests(managed)
        managed.tell(NetworkEventKind.STARTED)

    async def _take_back_guests(self, managed: ManagedNetwork) -> None:
        """Plug in the guests that ran on while the network was stopped. A failure is noticed: the network is up."""
        try:
            if await in_own_thread(lambda: self._ports(managed)):
                await self.settle(managed)
        except InsulaError as error:
            LOGGER.warning("network '%s': %s", managed.name, error)
            managed.notice(f"guests that ran on while it was stopped are not plugged in: {error}")

    async def _planned(self, managed: ManagedNetwork, network: NetworkDefinition) -> NetworkRun:
        """Choose what the definition leaves open, and write down what may be made."""
        async with self._planning:
            chosen, record = await _called(
                partial(self._performer.plan, network, self._taken(managed)), f"start network '{managed.name}'"
            )
            run = NetworkRun(
                boot_id=self._boot_id, phase=RunPhase.STARTING, begun=time.time(), network=chosen, record=record
            )
            self._coming[managed.uuid] = chosen
        try:
            self._runs.write(run)
        except OSError as error:
            raise OperationFailedError(f"cannot write down that network '{managed.name}' starts: {error}") from error
        return run

    async def completed(self, managed: ManagedNetwork, network: NetworkDefinition) -> NetworkDefinition:
        """Return what is to be defined with a bridge's name that is free now, if it names none (or a pattern)
        and needs one.

        What the host does not allow today may be defined all the same: its start tells.
        """
        if not network.mode.owns_bridge or (network.bridge_name or TEMPLATE).find(TEMPLATE) < 0:
            return network
        known = managed.current.bridge
        if known is not None and known.name is not None and managed.current.mode.owns_bridge:
            return _with_bridge(network, known.name)
        try:
            async with self._planning:
                chosen, _ = await _called(
                    partial(self._performer.plan, network, self._taken(managed)), f"define network '{managed.name}'"
                )
        except InsulaError as error:
            LOGGER.info("network '%s' is defined without the name of a bridge: %s", managed.name, error)
            return network
        return network if chosen.bridge_name is None else _with_bridge(network, chosen.bridge_name)

    def _taken(self, managed: ManagedNetwork) -> tuple[NetworkDefinition, ...]:
        """What other networks are, or are about to be. One that has no definition yet is told by what is coming."""
        others = [
            each.current for each in self._registry if each is not managed and (each.is_active or each.is_persistent)
        ]
        return (*others, *(network for uuid, network in self._coming.items() if uuid != managed.uuid))

    async def _started(self, managed: ManagedNetwork, planned: NetworkRun) -> NetworkRun:
        what = f"start network '{managed.name}'"
        try:
            record = await _called(partial(self._performer.start, planned.network, planned.record), what)
            run = replace(planned, phase=RunPhase.RUNNING, record=record)
            try:
                self._runs.write(run)
            except OSError as error:
                planned = run
                raise OperationFailedError(f"cannot {what}: it cannot be written down: {error}") from error
        except BaseException:
            managed.remains = planned
            await self._taken_back(managed)
            raise
        return run

    async def _taken_back(self, managed: ManagedNetwork) -> None:
        try:
            await self._clear(managed)
        except InsulaError as error:
            LOGGER.error("%s; it is tried again at its next start, and by the next insulad", error)

    async def _clear(self, managed: ManagedNetwork) -> None:
        """Take away what an earlier start or stop left. Raises: InsulaError."""
        if managed.remains is None:
            return
        record = managed.remains.record
        what = f"take away what is left of network '{managed.name}'"
        await _called(partial(self._performer.stop, record), what)
        managed.remains = None
        self._runs.remove(managed.uuid)

    async def end(self, managed: ManagedNetwork) -> None:
        """Take an active network down. Raises: InsulaError, and it still counts as active: destroy it again."""
        run = managed.require_run()
        # From here on a later daemon takes it down, too. If that cannot be written, it is put in order again instead.
        self._runs.write_if_possible(replace(run, phase=RunPhase.ENDING))
        self._unfollow(managed)
        try:
            await _called(partial(self._performer.stop, run.record), f"stop network '{managed.name}'")
        except BaseException:
            self._follow(managed)
            raise
        self._runs.remove(managed.uuid)
        managed.end()
        managed.tell(NetworkEventKind.STOPPED)

    async def describe(self, managed: ManagedNetwork, network: NetworkDefinition) -> None:
        """Let network be the live definition where nothing on the host depends on the change.

        Raises: OperationFailedError, and nothing has changed.
        """
        run = replace(managed.require_run(), network=network)
        try:
            self._runs.write(run)
        except OSError as error:
            raise OperationFailedError(
                f"cannot write down the live definition of network '{managed.name}': {error}"
            ) from error
        managed.run = run

    async def change(self, managed: ManagedNetwork, network: NetworkDefinition) -> None:
        """Let an active network be as network says. Raises: InsulaError, and it is as it was."""
        before = managed.require_run()
        await self.describe(managed, network)
        what = f"change network '{managed.name}'"
        try:
            record = await _called(partial(self._performer.update, network, before.record), what)
        except BaseException:
            managed.run = before
            self._runs.write_if_possible(before)
            await self._changed_back(managed, before)
            raise
        self._note(managed, record)

    async def _changed_back(self, managed: ManagedNetwork, before: NetworkRun) -> None:
        try:
            record = await _called(
                partial(self._performer.update, before.network, before.record), f"restore network '{managed.name}'"
            )
        except InsulaError as error:
            LOGGER.error("a change failed, and so did taking it back: %s", error)
            managed.notice(f"a change failed, and could not be taken back wholly: {error}")
        else:
            self._note(managed, record)

    async def settle(self, managed: ManagedNetwork) -> None:
        """Bring back what an active network misses; what was mended is noticed. Raises: InsulaError."""
        run = managed.require_run()

        def work() -> Settled:
            return self._performer.settle(run.network, run.record, self._ports(managed))

        try:
            settled = await _called(work, f"put network '{managed.name}' in order")
        except InsulaError:
            self._follow(managed)  # it is told again that something is gone, after a while that grows
            raise
        self._note(managed, settled.record)
        for each in settled.mended:
            LOGGER.warning("network '%s': %s", managed.name, each)
            managed.notice(each)

    async def leases(self, managed: ManagedNetwork) -> tuple[Lease, ...]:
        """Return the addresses that guests were given; none of an inactive network."""
        run = managed.run
        if run is None:
            return ()
        return await _called(
            partial(self._performer.leases, run.network, run.record), f"read the leases of network '{managed.name}'"
        )

    def _note(self, managed: ManagedNetwork, record: NetworkRecord) -> None:
        run = managed.require_run()
        if record != run.record:
            managed.run = replace(run, record=record)
            self._runs.write_if_possible(managed.run)
            self._follow(managed)

    async def finish(self, managed: ManagedNetwork) -> None:
        """Take away what an earlier daemon left half made or half gone. Raises: InsulaError."""
        await self._clear(managed)

    async def discard(self, run: NetworkRun) -> None:
        """Take away what an earlier daemon left of a network that nothing tells of any more. Raises: InsulaError."""
        await _called(partial(self._performer.stop, run.record), f"take away what is left of network '{run.name}'")
        self._runs.remove(run.uuid)

    def forget(self, run: NetworkRun) -> None:
        """Forget a network of an earlier boot, of which nothing is left."""
        self._runs.remove(run.uuid)

    async def vanished(self, managed: ManagedNetwork) -> None:
        """Remove what outlives a stop, of a network that nobody knows any more. Raises nothing: it is gone."""
        record = NetworkRecord(name=managed.name, uuid=str(managed.uuid))
        try:
            await _called(partial(self._performer.forget, record), f"forget network '{managed.name}'")
        except InsulaError as error:
            LOGGER.error("what outlived network '%s' stays behind: %s", managed.name, error)


def _with_bridge(network: NetworkDefinition, name: str) -> NetworkDefinition:
    return replace(network, bridge=replace(network.bridge or NetworkBridge(), name=name))


async def _called(work: Callable[[], T], what: str) -> T:
    """Return what a call of the performer's returns. Raises: InsulaError, never OSError."""
    try:
        return await in_own_thread(work)
    except OSError as error:
        raise OperationFailedError(f"cannot {what}: {error}") from error
