"""Ports of virtual networks: the cards of running guests. None is made or taken away from outside."""

from collections.abc import Sequence
from uuid import UUID

from insula.daemon.incomingcall import Answer, Handler, IncomingCall
from insula.daemon.wire import STRING_OKAY, network_to_wire, parameters_from_wire, shown, wanted
from insula.errors import NetworkPortNotFoundError
from insula.model.networkport import NetworkPort, dump_port
from insula.model.numbers import Affect
from insula.rpc.procedures import Procedure, Remote
from insula.rpc.wiretypes import NetworkPortRef, TypedParameter
from insula.service.interfacetuning import bandwidth_parameters
from insula.service.managednetwork import ManagedNetwork
from insula.service.networkports import PluggedCard, plugged_card, plugged_cards, port_of


async def cards_in(request: IncomingCall, network: ManagedNetwork) -> tuple[PluggedCard, ...]:
    """Return the cards of running guests that are plugged into a network."""
    return await request.services.documents.aside(plugged_cards, request.services.domains, network)


async def _card(request: IncomingCall, port: NetworkPortRef) -> tuple[PluggedCard, NetworkPort]:
    network = request.services.networks.by_bytes(port.net.uuid)
    aside = request.services.documents.aside
    found = await aside(plugged_card, request.services.domains, network, UUID(bytes=port.uuid))
    made = port_of(found, network.current)
    if made is None:
        raise NetworkPortNotFoundError(f"no network port with matching UUID '{found.uuid}'")
    return found, made


async def _list_all(request: IncomingCall, network: ManagedNetwork, need_results: int, flags: int) -> Answer:
    request.allow_flags(flags, 0)
    ref = network_to_wire(network.ref)
    return wanted(
        [NetworkPortRef(ref, each.uuid.bytes) for each in request.visible(await cards_in(request, network))],
        need_results,
    )


async def _by_uuid(request: IncomingCall, network: ManagedNetwork, uuid: bytes) -> Answer:
    aside = request.services.documents.aside
    found = await aside(plugged_card, request.services.domains, network, UUID(bytes=uuid))
    return (NetworkPortRef(network_to_wire(network.ref), found.uuid.bytes),)


async def _xml(request: IncomingCall, port: NetworkPortRef, flags: int) -> Answer:
    request.allow_flags(flags, 0)
    _, made = await _card(request, port)
    return (dump_port(made),)


async def _parameters(request: IncomingCall, port: NetworkPortRef, unset: int, flags: int) -> Answer:
    """All are told at once: libvirt's client has nothing to say about their number, and sends whatever stood there."""
    request.allow_flags(flags, STRING_OKAY)
    _, made = await _card(request, port)
    parameters = shown(bandwidth_parameters(made.bandwidth), flags)
    return parameters, len(parameters)


async def _set_parameters(
    request: IncomingCall, port: NetworkPortRef, params: Sequence[TypedParameter], flags: int
) -> Answer:
    """A port lasts as long as its guest's run, and so does what is said of it."""
    request.allow_flags(flags, STRING_OKAY)
    found, _ = await _card(request, port)
    domain = request.services.domains.by_uuid(found.owner_uuid)
    parameters = parameters_from_wire(params)
    await request.services.interface_tuning.set_parameters(domain, str(found.card.mac), parameters, Affect.LIVE)
    return None


PORTS: dict[Procedure, Handler] = {
    Remote.NETWORK_LIST_ALL_PORTS: _list_all,
    Remote.NETWORK_PORT_LOOKUP_BY_UUID: _by_uuid,
    Remote.NETWORK_PORT_GET_XML_DESC: _xml,
    Remote.NETWORK_PORT_GET_PARAMETERS: _parameters,
    Remote.NETWORK_PORT_SET_PARAMETERS: _set_parameters,
}
