"""A maker of networks in memory: what it was told to make is there until it is told otherwise."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from itertools import count
from uuid import UUID

from insula.errors import OperationFailedError
from insula.kernel.processidentity import ProcessIdentity
from insula.model.network import NetworkDefinition
from insula.model.networkforward import NetworkBridge
from insula.model.scalars import NetworkName
from insula.network.virtual.guestends import GuestEnd
from insula.network.virtual.networkrecord import GuestName, Lease, NetworkRecord, Settled
from insula.network.virtual.performer import NO_PORTS


class FakeNetworkPerformer:
    """Stands in for `NetworkPerformer`.

    running: what has been made, by the network's UUID; given, named: leases and running guests, by UUID; forgotten: the
    UUIDs whose leases were removed; refusals: the name of a method → the text that it fails with; mends: what each
    `settle` says it has mended.
    """

    def __init__(self) -> None:
        self.running: dict[str, NetworkDefinition] = {}
        self.given: dict[str, tuple[Lease, ...]] = {}
        self.named: dict[str, tuple[GuestName, ...]] = {}
        self.forgotten: list[str] = []
        self.plugged: dict[str, dict[str, GuestEnd]] = {}
        self.refusals: dict[str, str] = {}
        self.mends: tuple[str, ...] = ()
        self.records: dict[str, NetworkRecord] = {}
        self._numbers = count(1)

    def found(self) -> tuple[tuple[NetworkDefinition, NetworkRecord], ...]:
        self._fail_if_told("found", "")
        return tuple(
            (
                NetworkDefinition(name=NetworkName(str(each.bridge)), uuid=UUID(uuid), ips=self.running[uuid].ips),
                replace(each, name=str(each.bridge)),
            )
            for uuid, each in self.records.items()
            if uuid in self.running and each.made
        )

    def plan(
        self, network: NetworkDefinition, taken: Collection[NetworkDefinition]
    ) -> tuple[NetworkDefinition, NetworkRecord]:
        self._fail_if_told("plan", network.name)
        record = NetworkRecord(name=network.name, uuid=str(network.uuid), bridge=network.bridge_name)
        if not network.mode.owns_bridge:
            return network, record
        names = {each.bridge_name for each in taken}
        name = network.bridge_name or next(each for number in count() if (each := f"virbr{number}") not in names)
        planned = replace(network, bridge=replace(network.bridge or NetworkBridge(), name=name))
        return planned, replace(record, bridge=name, mac=network.mac, made=True, serves=bool(network.ips))

    def start(self, network: NetworkDefinition, record: NetworkRecord) -> NetworkRecord:
        self._fail_if_told("start", network.name)
        return self._make(network, record)

    def update(self, network: NetworkDefinition, record: NetworkRecord) -> NetworkRecord:
        self._fail_if_told("update", network.name)
        self.running[record.uuid] = network
        return record

    def settle(
        self, network: NetworkDefinition, record: NetworkRecord, ports: Mapping[str, GuestEnd] = NO_PORTS
    ) -> Settled:
        self._fail_if_told("settle", network.name)
        self.plugged[record.uuid] = dict(ports)
        if self.running.get(record.uuid) == network:
            return Settled(record=record, mended=self.mends)
        return Settled(record=self._make(network, record), mended=("it was made anew", *self.mends))

    def stop(self, record: NetworkRecord) -> None:
        self._fail_if_told("stop", record.name)
        self.running.pop(record.uuid, None)

    def forget(self, record: NetworkRecord) -> None:
        self.given.pop(record.uuid, None)
        self.forgotten.append(record.uuid)

    def name_guests(self, network: NetworkDefinition, record: NetworkRecord, guests: Collection[GuestName]) -> None:
        self._fail_if_told("name_guests", network.name)
        self.named[record.uuid] = tuple(guests)

    def leases(self, network: NetworkDefinition, record: NetworkRecord) -> tuple[Lease, ...]:
        self._fail_if_told("leases", network.name)
        return self.given.get(record.uuid, ())

    def _make(self, network: NetworkDefinition, record: NetworkRecord) -> NetworkRecord:
        self.running[record.uuid] = network
        if not record.made:
            return record
        number = next(self._numbers)
        identity = ProcessIdentity(pid=10_000 + number, started=number) if record.serves else None
        made = self.records[record.uuid] = replace(record, index=100 + number, rules=True, dnsmasq=identity)
        return made

    def _fail_if_told(self, method: str, name: str) -> None:
        if method in self.refusals:
            raise OperationFailedError(f"network '{name}': {self.refusals[method]}")
