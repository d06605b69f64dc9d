"""What makes networks on a walk's host, step by step, as `network.virtual.hostnetworks` does on a real one."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from itertools import count
from uuid import UUID

from insula.engine.interfacespec import BridgePort
from insula.errors import InsulaError, OperationFailedError
from insula.model.network import NetworkDefinition
from insula.model.networkforward import NetworkBridge
from insula.model.scalars import NetworkName
from insula.network.guestports import RefusedPort
from insula.network.virtual.guestends import GuestEnd
from insula.network.virtual.networkrecord import GuestName, Lease, NetworkRecord, Settled
from insula.network.virtual.performer import NO_PORTS
from tests.simulation.fakelinks import FakeLinks


class SimulatedNetworkPerformer:
    """See `NetworkPerformer`."""

    def __init__(self, links: FakeLinks) -> None:
        self._links = links

    def found(self) -> tuple[tuple[NetworkDefinition, NetworkRecord], ...]:
        found = []
        for name, bridge in self._links.bridges.items():
            if bridge.network is not None:
                server = self._links.servers.get(bridge.network)
                record = NetworkRecord(name=name, uuid=bridge.network, bridge=name, made=True, index=bridge.index)
                record = replace(record, rules=True, serves=server is not None, dnsmasq=server and server[0])
                found.append((NetworkDefinition(name=NetworkName(name), uuid=UUID(bridge.network)), record))
        return tuple(found)

    def plan(
        self, network: NetworkDefinition, taken: Collection[NetworkDefinition]
    ) -> tuple[NetworkDefinition, NetworkRecord]:
        self._links.before(f"plan {network.name}")
        others = {each.bridge_name for each in taken} | {
            name for name, each in self._links.bridges.items() if each.network != str(network.uuid)
        }
        name = network.bridge_name
        if name is None or name in others:
            name = next(each for at in count() if (each := f"virbr{at}") not in others)
        planned = replace(network, bridge=replace(network.bridge or NetworkBridge(), name=name))
        record = NetworkRecord(name=network.name, uuid=str(network.uuid), bridge=name, made=True, serves=True)
        return planned, replace(record, mac=network.mac)

    def start(self, network: NetworkDefinition, record: NetworkRecord) -> NetworkRecord:
        try:
            return self._made(network, record, {})
        except (OSError, InsulaError):
            self.stop(record)
            raise

    def update(self, network: NetworkDefinition, record: NetworkRecord) -> NetworkRecord:
        return self._made(network, record, {})

    def settle(
        self, network: NetworkDefinition, record: NetworkRecord, ports: Mapping[str, GuestEnd] = NO_PORTS
    ) -> Settled:
        after = self._made(network, record, ports)
        return Settled(record=after, mended=("something was made anew",) if after != record else ())

    def stop(self, record: NetworkRecord) -> None:
        self._links.end_server(record.uuid)
        bridge = self._links.bridges.get(record.bridge or "")
        if bridge is not None and bridge.network == record.uuid:
            self._links.delete_bridge(record.bridge or "")
        self._links.remove_rules(record.name)

    def forget(self, record: NetworkRecord) -> None:
        """Nothing outlives a stop here."""

    def name_guests(self, network: NetworkDefinition, record: NetworkRecord, guests: Collection[GuestName]) -> None:
        """Names are not looked at."""

    def leases(self, network: NetworkDefinition, record: NetworkRecord) -> tuple[Lease, ...]:
        return ()

    def _made(self, network: NetworkDefinition, record: NetworkRecord, ends: Mapping[str, GuestEnd]) -> NetworkRecord:
        links, name = self._links, record.bridge or ""
        if name not in links.bridges:
            links.add_bridge(name, record.uuid)
        if links.bridges[name].network != record.uuid:
            raise OperationFailedError(f"network '{network.name}': another's link bears the name {name}")
        for end in ends:
            if end in links.ends and links.ends[end].bridge != name:
                links.plug(end, name)
        if links.rules.get(record.name) != name:
            links.set_rules(record.name, name)
        identity, told = links.servers.get(record.uuid, (None, None))
        if identity is None or told != served(network) or identity != record.dnsmasq:
            identity = links.serve(record.uuid, served(network))
        return replace(record, index=links.bridges[name].index, rules=True, serves=True, dnsmasq=identity)


def served(network: NetworkDefinition) -> str:
    """Return what a server is told of a network: its title, and the hosts that it knows."""
    hosts = [str(host.mac) for ip in network.ips if ip.dhcp is not None for host in ip.dhcp.hosts]
    return f"{network.title}: {' '.join(hosts)}"


class SimulatedCardPorts:
    """See `network.guestports.GuestPorts`."""

    def __init__(self, links: FakeLinks) -> None:
        self._links = links

    def unplugged(self, ends: Collection[str]) -> frozenset[str]:
        return frozenset(each for each in ends if each in self._links.ends and self._links.ends[each].bridge is None)

    def plug(self, bridge: str, ends: Mapping[str, BridgePort]) -> dict[str, RefusedPort]:
        refused = {}
        for each in sorted(self.unplugged(ends)):
            try:
                self._links.plug(each, bridge)
            except OSError as error:
                refused[each] = RefusedPort(reason=str(error), tried=True)
        return refused
