"""Calls that answer with several things: which, and the permission that a client needs to be told of each.

As libvirt has it: what a client may not see is left out of lists, of counts and of bulk statistics. A start of several
domains is of this kind too: what it finds to be started must be among what the client may start.
Source: the annotations `aclfilter` of libvirt's remote_protocol.x.
"""

from collections.abc import Awaitable, Callable, Hashable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple
from uuid import UUID

from insula.daemon.authority.accessobjects import (
    AccessObject,
    binding_object,
    domain_object,
    filter_object,
    image_object,
    network_object,
    port_object,
)
from insula.daemon.authority.furtherneeds import START
from insula.daemon.incomingcall import Services
from insula.rpc.arrivals import Call
from insula.rpc.codes.nativecodes import ImageFlags
from insula.rpc.permissions import Permission
from insula.rpc.procedures import Insula, Procedure, Remote
from insula.service.networkports import plugged_cards
from insula.service.nwfilters import bindings


class Listed(NamedTuple):
    """One thing that an answer would name. key: what the handler knows it by."""

    key: Hashable
    need: Permission
    about: AccessObject


Lister = Callable[[Services, Sequence[Any]], Awaitable[Sequence[Listed]]]


async def listed(call: Call, services: Services) -> Sequence[Listed] | None:
    """Return what a call's answer would name; None for a call that lists nothing."""
    lister = LISTS.get(call.procedure)
    return None if lister is None else await lister(services, call.arguments)


async def _domains(services: Services, _: Sequence[Any], need: str = "getattr") -> Sequence[Listed]:
    permission = Permission("domain", need)
    return [Listed(each.uuid, permission, domain_object(each.name, each.uuid)) for each in services.domains]


async def _needed(services: Services, arguments: Sequence[Any]) -> Sequence[Listed]:
    managed = services.domains.find(UUID(bytes=arguments[0].uuid))
    if managed is None:
        return ()
    found = services.boot.with_needs(managed)
    return [Listed(each.uuid, START, domain_object(each.name, each.uuid)) for each in found]


async def _images(services: Services, arguments: Sequence[Any]) -> Sequence[Listed]:
    if arguments[0] & ImageFlags.CLONES:
        names = [str(each.uuid) for each in services.images.left_clones()]
    else:
        names = [each.name for each in services.images.list()]
    need = Permission("storage_vol", "getattr")
    return [Listed(each, need, image_object(each)) for each in names]


async def _networks(services: Services, _: Sequence[Any]) -> Sequence[Listed]:
    need = Permission("network", "getattr")
    return [Listed(each.uuid, need, network_object(each.name, each.uuid)) for each in services.networks]


async def _networks_with_guests(services: Services, _: Sequence[Any]) -> Sequence[Listed]:
    return (*await _networks(services, ()), *await _domains(services, ()))


async def _filters(services: Services, _: Sequence[Any]) -> Sequence[Listed]:
    need = Permission("nwfilter", "getattr")
    return [Listed(each.uuid, need, filter_object(each.name, each.uuid)) for each in services.filters.registry]


async def _bindings(services: Services, _: Sequence[Any]) -> Sequence[Listed]:
    need = Permission("nwfilter_binding", "getattr")
    found = await services.documents.aside(bindings, services.domains)
    return [Listed(each.port, need, binding_object(each.port)) for each in found]


async def _ports(services: Services, arguments: Sequence[Any]) -> Sequence[Listed]:
    network = services.networks.find(UUID(bytes=arguments[0].uuid))
    if network is None:
        return ()
    need, about = Permission("network_port", "getattr"), network_object(network.name, network.uuid)
    cards = await services.documents.aside(plugged_cards, services.domains, network)
    return [Listed(each.uuid, need, port_object(about, each.uuid)) for each in cards]


LISTS: Final[dict[Procedure, Lister]] = {
    Remote.CONNECT_LIST_ALL_DOMAINS: _domains,
    Remote.CONNECT_LIST_DOMAINS: _domains,
    Remote.CONNECT_NUM_OF_DOMAINS: _domains,
    Remote.CONNECT_LIST_DEFINED_DOMAINS: _domains,
    Remote.CONNECT_NUM_OF_DEFINED_DOMAINS: _domains,
    Remote.CONNECT_GET_ALL_DOMAIN_STATS: partial(_domains, need="read"),
    Insula.DOMAIN_LIST: partial(_domains, need="read"),
    Insula.DOMAIN_STOP_ORDER: _domains,
    Insula.DOMAIN_START_WITH_DEPENDENCIES: _needed,
    Insula.DAEMON_INFO: _domains,
    Insula.IMAGE_LIST: _images,
    Remote.CONNECT_LIST_ALL_NETWORKS: _networks,
    Remote.CONNECT_LIST_NETWORKS: _networks,
    Remote.CONNECT_NUM_OF_NETWORKS: _networks,
    Remote.CONNECT_LIST_DEFINED_NETWORKS: _networks,
    Remote.CONNECT_NUM_OF_DEFINED_NETWORKS: _networks,
    Insula.NETWORK_LIST: _networks_with_guests,
    Insula.NETWORK_INFO: _domains,
    Remote.CONNECT_LIST_ALL_NWFILTERS: _filters,
    Remote.CONNECT_LIST_NWFILTERS: _filters,
    Remote.CONNECT_NUM_OF_NWFILTERS: _filters,
    Remote.CONNECT_LIST_ALL_NWFILTER_BINDINGS: _bindings,
    Remote.NETWORK_LIST_ALL_PORTS: _ports,
}
"""Whatever answers with several things has a line here."""
