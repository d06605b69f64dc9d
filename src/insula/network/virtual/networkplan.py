"""What a network is to be on this host: what its definition left open is filled in, and what collides is told."""

from collections.abc import Collection
from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from pathlib import Path

from insula.errors import OperationFailedError
from insula.model.network import NetworkDefinition
from insula.model.networkforward import ForwardAddress, ForwardInterface, ForwardMode, NetworkBridge
from insula.model.scalars import PciBus, PciDomain, PciFunction
from insula.network.links import all_addresses
from insula.network.rtnetlink import Rtnetlink
from insula.network.virtual.bridgenames import PATTERN, free_name, was_chosen
from insula.network.virtual.bridges import HostBridge, bridge_named
from insula.network.virtual.dnsmasq import served
from insula.network.virtual.hostroutes import Subnet, host_routes
from insula.network.virtual.networkrecord import NetworkRecord
from insula.network.virtual.subnets import colliding
from insula.network.virtual.virtualfunctions import virtual_functions


class Marks:
    """How bridges of one installation are known: by a text on the link, and before it has that by its MAC address.

    installation: a word that no other installation of this host has.
    """

    def __init__(self, installation: str) -> None:
        self._installation = installation

    def of(self, record: NetworkRecord) -> str:
        return f"{self._installation} network {record.uuid}"

    def uuid_in(self, alias: str) -> str | None:
        """Return the UUID of the network that a link bears the mark of, None if it bears none of ours."""
        start = f"{self._installation} network "
        return alias.removeprefix(start) if alias.startswith(start) else None

    def is_ours(self, found: HostBridge, record: NetworkRecord) -> bool:
        """Whether a link of the host is the bridge that a record tells of, as far as it was to be made."""
        if found.kind != "bridge" or not record.made or found.name != record.bridge:
            return False
        return found.alias == self.of(record) or (not found.alias and found.mac == record.mac)


class NetworkPlanner:
    """Plans networks of one installation. sys: where the kernel tells of devices."""

    def __init__(self, marks: Marks, sys: Path = Path("/sys")) -> None:
        self._marks = marks
        self._sys = sys

    def plan(
        self, network: NetworkDefinition, taken: Collection[NetworkDefinition]
    ) -> tuple[NetworkDefinition, NetworkRecord]:
        """See `NetworkPerformer`."""
        record = NetworkRecord(name=network.name, uuid=str(network.uuid), bridge=network.bridge_name)
        if not network.mode.owns_bridge:
            return self._pooled(network), record
        with Rtnetlink() as kernel:
            name = self._bridge_name(kernel, network, record, taken)
            planned = replace(network, bridge=replace(network.bridge or NetworkBridge(), name=name))
            record = replace(record, bridge=name, made=True, mac=network.mac, serves=served(planned))
            self._refuse_collisions(kernel, planned, record)
        return planned, record

    def _bridge_name(
        self,
        kernel: Rtnetlink,
        network: NetworkDefinition,
        record: NetworkRecord,
        taken: Collection[NetworkDefinition],
    ) -> str:
        others = {each.bridge_name: each.name for each in taken if each.uuid != network.uuid and each.bridge_name}
        name = network.bridge_name
        if name is None or "%d" in name:
            return free_name(name or PATTERN, others, lambda each: bridge_named(kernel, each) is not None)
        found = bridge_named(kernel, name)
        if name not in others and (
            found is None or self._marks.is_ours(found, replace(record, made=True, mac=network.mac))
        ):
            return name
        if was_chosen(name):
            return free_name(PATTERN, others, lambda each: bridge_named(kernel, each) is not None)
        whose = f"network '{others[name]}' has it" if name in others else "another's link bears it"
        raise OperationFailedError(
            f"network '{network.name}': the bridge's name '{name}' is taken, {whose}: change <bridge name=''/>"
        )

    def _refuse_collisions(self, kernel: Rtnetlink, network: NetworkDefinition, record: NetworkRecord) -> None:
        subnets = [each.interface.network for each in network.ips if each.interface is not None]
        if not subnets:
            return
        own = bridge_named(kernel, record.bridge or "")
        index = own.index if own is not None else None
        for subnet in subnets:
            if (other := colliding(subnet, taken_subnets(kernel, but=index))) is not None:
                raise OperationFailedError(
                    f"network '{network.name}': its subnet {subnet} collides with {other}, which the host reaches"
                    " otherwise: choose another subnet"
                )

    def _pooled(self, network: NetworkDefinition) -> NetworkDefinition:
        """Return a network with the virtual functions that its physical function has now."""
        forward = network.forward
        if forward is None or forward.physical_function is None:
            return network
        found = virtual_functions(forward.physical_function.device, self._sys)
        if forward.mode is ForwardMode.HOSTDEV:
            return replace(network, forward=replace(forward, addresses=tuple(_pci(each.address) for each in found)))
        interfaces = tuple(ForwardInterface(device=each.device) for each in found if each.device is not None)
        return replace(network, forward=replace(forward, interfaces=interfaces))


def taken_subnets(kernel: Rtnetlink, *, but: int | None = None) -> tuple[Subnet, ...]:
    """Return what the host reaches by its interfaces, and the subnets of its own addresses, but those of one
    interface."""
    routes = [each.destination for each in host_routes(kernel) if each.device is None or each.device != but]
    addresses = [each.network for index, each in _interfaces(kernel) if index != but]
    return tuple(dict.fromkeys((*routes, *addresses)))


def _interfaces(kernel: Rtnetlink) -> list[tuple[int, IPv4Interface | IPv6Interface]]:
    found = [(index, ip_interface(str(each))) for index, each in all_addresses(kernel)]
    return [(index, each) for index, each in found if not each.is_loopback and not each.is_link_local]


def _pci(address: str) -> ForwardAddress:
    domain, bus, rest = address.split(":")
    slot, function = rest.split(".")
    return ForwardAddress(
        type="pci",
        domain=PciDomain(int(domain, 16)),
        bus=PciBus(int(bus, 16)),
        slot=PciBus(int(slot, 16)),
        function=PciFunction(int(function, 16)),
    )
