"""What a simulated daemon is told by its host of bridges and servers, as `NetworkWatch` and `DeviceWatch` tell it."""

from collections.abc import Callable, Collection
from uuid import UUID

from insula.network.virtual.networkrecord import NetworkRecord
from insula.network.virtual.networkwatch import NetworkEvent
from tests.simulation.fakelinks import FakeLinks
from tests.simulation.loop import SimulatedLoop
from tests.simulation.world import World

_PAUSE = 5.0
"""Seconds before it is told again that something is gone."""


class SimulatedNetworkWatch:
    """told: what is called, in the daemon's loop, with a network's UUID and what happened."""

    def __init__(
        self, world: World, loop: SimulatedLoop, links: FakeLinks, told: Callable[[str, NetworkEvent], None]
    ) -> None:
        self._world, self._loop, self._links, self._told = world, loop, links, told
        self._records: dict[str, NetworkRecord] = {}

    def follow(self, record: NetworkRecord) -> None:
        self._records[record.uuid] = record
        if not self._is_whole(record):
            self._tell(record, after=_PAUSE)

    def forget(self, uuid: str) -> None:
        self._records.pop(uuid, None)

    def changed(self) -> None:
        """Something of the host has gone."""
        for record in self._records.values():
            if not self._is_whole(record):
                self._tell(record)

    def _is_whole(self, record: NetworkRecord) -> bool:
        bridge = self._links.bridges.get(record.bridge or "")
        server = self._links.servers.get(record.uuid)
        there = bridge is not None and bridge.index == record.index
        return there and (record.dnsmasq is None or (server is not None and server[0] == record.dnsmasq))

    def _tell(self, record: NetworkRecord, *, after: float = 0.0) -> None:
        def tell() -> None:
            if self._records.get(record.uuid) is record:
                self._loop.call_soon(self._told, record.uuid, NetworkEvent.DAMAGED)

        self._world.after(after, tell, owner=self._loop) if after else self._world.soon(tell, owner=self._loop)


class SimulatedDeviceWatch:
    """told: what is called, in the daemon's loop, with who follows a device, its name, and whether it is there."""

    def __init__(
        self, world: World, loop: SimulatedLoop, links: FakeLinks, told: Callable[[UUID, str, bool], None]
    ) -> None:
        self._world, self._loop, self._links, self._told = world, loop, links, told
        self._followers: dict[UUID, frozenset[str]] = {}

    def follow(self, follower: UUID, devices: Collection[str]) -> None:
        former, self._followers[follower] = self._followers.get(follower, frozenset()), frozenset(devices)
        for each in sorted(self._followers[follower] - former - self._links.bridges.keys()):
            self._tell(follower, each, there=False)

    def forget(self, follower: UUID) -> None:
        self._followers.pop(follower, None)

    def remind(self, device: str) -> None:
        """Nothing here changes about a bridge that is there."""

    def changed(self, device: str, there: bool) -> None:
        for follower, devices in self._followers.items():
            if device in devices:
                self._tell(follower, device, there=there)

    def _tell(self, follower: UUID, device: str, *, there: bool) -> None:
        def tell() -> None:
            if device in self._followers.get(follower, ()) and there == (device in self._links.bridges):
                self._loop.call_soon(self._told, follower, device, there)

        self._world.soon(tell, owner=self._loop)
