"""Networks that are there on the host, though nothing written down may tell of them: known by the marks of bridges."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address
from uuid import UUID

from insula.engine.interfacespec import Address
from insula.model.interfaces import family_of
from insula.model.network import NetworkDefinition
from insula.model.networkaddresses import NetworkIp
from insula.model.networkforward import NetworkBridge
from insula.model.scalars import MacAddress, NetworkName, OnOff
from insula.network.links import all_addresses
from insula.network.rtnetlink import Rtnetlink
from insula.network.virtual.bridges import HostBridge, all_bridges
from insula.network.virtual.dnsmasqprocess import DnsmasqProcess
from insula.network.virtual.networkplan import Marks
from insula.network.virtual.networkrecord import NetworkRecord


def found_networks(
    marks: Marks, process_of: Callable[[NetworkRecord], DnsmasqProcess]
) -> tuple[tuple[NetworkDefinition, NetworkRecord], ...]:
    """Return them, as `NetworkPerformer.found`. process_of: the dnsmasq of a record's network. Raises: OSError."""
    with Rtnetlink() as kernel:
        ours = [(uuid, each) for each in all_bridges(kernel) if (uuid := _uuid(marks.uuid_in(each.alias))) is not None]
        if not ours:
            return ()
        addresses = all_addresses(kernel)
    return tuple(
        (_definition(uuid, each, [one for at, one in addresses if at == each.index]), _record(uuid, each, process_of))
        for uuid, each in ours
    )


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text is not None else None
    except ValueError:
        return None


def _definition(uuid: UUID, bridge: HostBridge, addresses: list[Address]) -> NetworkDefinition:
    return NetworkDefinition(
        name=NetworkName(bridge.name),
        uuid=uuid,
        bridge=NetworkBridge(name=bridge.name, stp=OnOff.ON if bridge.stp else OnOff.OFF, delay=bridge.delay),
        mac=MacAddress(bridge.mac),
        ips=tuple(_ip(each) for each in addresses if not each.address.startswith("fe80:")),
    )


def _ip(address: Address) -> NetworkIp:
    found = ip_address(address.address)
    return NetworkIp(family=family_of(found), address=found, prefix=address.prefix)


def _record(uuid: UUID, bridge: HostBridge, process_of: Callable[[NetworkRecord], DnsmasqProcess]) -> NetworkRecord:
    record = NetworkRecord(
        name=bridge.name, uuid=str(uuid), bridge=bridge.name, made=True, mac=bridge.mac, index=bridge.index, rules=True
    )
    running = process_of(record).running()
    return replace(record, serves=bool(running), dnsmasq=running[0] if len(running) == 1 else None)
