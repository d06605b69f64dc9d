"""The networks of a rig: their documents, their verbs, and what has been told of them."""

from uuid import UUID

from insula.model.network import NetworkDefinition, load_network
from insula.model.networknumbers import NetworkEventKind
from insula.service.events import NetworkLifecycle
from insula.service.managednetwork import ManagedNetwork
from insula.service.networks import VirtualNetworks
from insula.service.networkverbs import NetworkVerbs
from tests.unit.service.fakes import Rig

LAN, WAN = UUID(int=0x10), UUID(int=0x11)
ADDRESS = "<ip address='10.9.0.1' prefix='24'/>"


def network_xml(name: str = "lan", uuid: UUID = LAN, more: str = ADDRESS) -> str:
    return f"<network><name>{name}</name><uuid>{uuid}</uuid>{more}</network>"


def network(name: str = "lan", uuid: UUID = LAN, more: str = ADDRESS) -> NetworkDefinition:
    return load_network(network_xml(name, uuid, more))


def verbs_of(rig: Rig) -> NetworkVerbs:
    return rig.domains.services.network_verbs


def registry_of(rig: Rig) -> VirtualNetworks:
    return rig.domains.services.networks


async def started(rig: Rig, *, config: bool = True) -> ManagedNetwork:
    """Return an active network, defined or transient."""
    if not config:
        return await verbs_of(rig).create(network())
    managed = await verbs_of(rig).define(network())
    await verbs_of(rig).start(managed)
    return managed


def kinds(rig: Rig) -> list[str]:
    """Return what has been told of networks' lives, in order: `lan STARTED`."""
    told = (each for each in rig.told if isinstance(each, NetworkLifecycle))
    return [f"{each.network.name} {NetworkEventKind(each.kind).name}" for each in told]
