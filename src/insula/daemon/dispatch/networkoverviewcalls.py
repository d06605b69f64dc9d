"""Networks by calls of our own program: an overview of all, one of one, and a definition that is offered."""

import json
from collections.abc import Sequence

from insula.daemon.incomingcall import Answer, Handler, IncomingCall
from insula.model.network import dump_network
from insula.model.networknumbers import ListNetworks
from insula.model.xmlmap import Part
from insula.rpc.procedures import Insula, Procedure
from insula.service.jsonrequests import json_object
from insula.service.managednetwork import ManagedNetwork
from insula.service.networkoffers import wanted_network
from insula.service.networkoverview import network_overview
from insula.service.networkports import PluggedCard, cards_by_network, plugged_cards
from insula.service.networks import chosen_networks

_FILTERS = ListNetworks(0x3F)


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


async def _list(request: IncomingCall, flags: int) -> Answer:
    request.allow_flags(flags, _FILTERS)
    services = request.services
    async with request.client.bulk:
        cards = await services.documents.aside(cards_by_network, services.domains, services.networks)
        found = chosen_networks(request.visible(services.networks), ListNetworks(flags))
        return (_json([network_overview(each, _of_visible(request, cards.get(each.uuid, ()))) for each in found]),)


async def _info(request: IncomingCall, network: ManagedNetwork, flags: int) -> Answer:
    request.allow_flags(flags, 0)
    cards = await request.services.documents.aside(plugged_cards, request.services.domains, network)
    return (_json(network_overview(network, _of_visible(request, cards))),)


def _of_visible(request: IncomingCall, cards: Sequence[PluggedCard]) -> Sequence[PluggedCard]:
    """Those of guests that the client may see."""
    return cards if request.seen is None else [each for each in cards if each.owner_uuid in request.seen]


async def _offer(request: IncomingCall, name: str, wanted: str, flags: int) -> Answer:
    request.allow_flags(flags, 0)
    network = await request.services.network_offers.offer(wanted_network(name, json_object(wanted, "the request")))
    return (dump_network(network, Part.DEFINITION),)


HANDLERS: dict[Procedure, Handler] = {
    Insula.NETWORK_LIST: _list,
    Insula.NETWORK_INFO: _info,
    Insula.NETWORK_OFFER: _offer,
}
