"""Virtual networks: which there are, what they are, and what becomes of them."""

from collections.abc import Callable, Coroutine
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

from insula.daemon.dispatch.networkportcalls import PORTS, cards_in
from insula.daemon.incomingcall import Answer, Handler, IncomingCall
from insula.daemon.wire import network_to_wire, wanted
from insula.errorcodes import ErrorDomain
from insula.errors import InsulaError, InternalError, InvalidArgumentError
from insula.model.network import NetworkDefinition, dump_network
from insula.model.networknumbers import ListNetworks
from insula.model.numbers import Affect, MetadataType
from insula.model.xmlmap import Part
from insula.rpc.codes.requestcodes import DefineFlags, NetworkXmlFlags
from insula.rpc.procedures import Procedure, Remote
from insula.service.managednetwork import ManagedNetwork, network_refusal
from insula.service.networkmetadata import network_metadata_of
from insula.service.networkports import connected
from insula.service.networks import chosen_networks

_FILTERS = ListNetworks(0x3F)
_AFFECT = Affect.LIVE | Affect.CONFIG


# Which there are


def _chosen(request: IncomingCall, wanted: ListNetworks) -> list[ManagedNetwork]:
    return chosen_networks(request.visible(request.services.networks), wanted)


def _list_all(request: IncomingCall, need_results: int, flags: int) -> Answer:
    request.allow_flags(flags, _FILTERS)
    found = _chosen(request, ListNetworks(flags))
    return wanted([network_to_wire(each.ref) for each in found], need_results)


def _names(chosen: ListNetworks) -> Handler:
    def names(request: IncomingCall, maxnames: int) -> Answer:
        return ([each.name for each in _chosen(request, chosen)[:maxnames]],)

    return names


def _counter(chosen: ListNetworks) -> Handler:
    def count(request: IncomingCall) -> Answer:
        return (len(_chosen(request, chosen)),)

    return count


def _by_name(request: IncomingCall, name: str) -> Answer:
    return (network_to_wire(request.services.networks.by_name(name).ref),)


def _by_uuid(request: IncomingCall, uuid: bytes) -> Answer:
    return (network_to_wire(request.services.networks.by_bytes(uuid).ref),)


# What they are


async def _xml(request: IncomingCall, network: ManagedNetwork, flags: int) -> Answer:
    request.allow_flags(flags, NetworkXmlFlags.INACTIVE)
    if flags & NetworkXmlFlags.INACTIVE:
        return (dump_network(network.config or network.current, Part.DEFINITION),)
    if network.run is None:
        return (dump_network(network.current, Part.DEFINITION),)
    cards = await cards_in(request, network)
    return (dump_network(connected(network.current, cards), Part.LIVE),)


def _is_active(request: IncomingCall, network: ManagedNetwork) -> Answer:
    return (int(network.is_active),)


def _is_persistent(request: IncomingCall, network: ManagedNetwork) -> Answer:
    return (int(network.is_persistent),)


def _autostart(request: IncomingCall, network: ManagedNetwork) -> Answer:
    return (int(network.autostart),)


def _bridge_name(request: IncomingCall, network: ManagedNetwork) -> Answer:
    name = network.current.bridge_name
    if name is None:
        raise InternalError(f"network '{network.name}' does not have a bridge name.")  # libvirt's number, and words
    return (name,)


_FAMILIES = {4: 0, 6: 1}
"""virIPAddrType by the IP version."""


async def _leases(
    request: IncomingCall, network: ManagedNetwork, mac: str | None, need_results: int, flags: int
) -> Answer:
    request.allow_flags(flags, 0)
    interface = network.current.bridge_name or ""
    found = await request.services.network_verbs.leases(network, mac)
    return wanted(
        [
            (
                interface,
                each.expiry,
                _FAMILIES[each.version],
                each.mac,
                each.iaid,
                each.address,
                each.prefix,
                each.hostname,
                each.client,
            )
            for each in found
        ],
        need_results,
    )


def _metadata(request: IncomingCall, network: ManagedNetwork, type_: int, uri: str | None, flags: int) -> Answer:
    request.allow_flags(flags, _AFFECT)
    kind, affect = _metadata_type(type_), Affect(flags)
    if affect == _AFFECT:
        raise InvalidArgumentError("affect live and affect config are mutually exclusive when asking")
    if Affect.LIVE in affect and not network.is_active:
        raise network_refusal("network is not running")
    if Affect.CONFIG in affect and not network.is_persistent:
        raise network_refusal("transient networks do not have any persistent config")
    told = network.config if Affect.CONFIG in affect else None
    return (network_metadata_of(told or network.current, kind, uri),)


def _metadata_type(number: int) -> MetadataType:
    try:
        return MetadataType(number)
    except ValueError as error:
        raise InvalidArgumentError(f"unknown metadata type {number}") from error


# What becomes of them


async def _define(request: IncomingCall, xml: str) -> Answer:
    return await _define_with_flags(request, xml, 0)


async def _define_with_flags(request: IncomingCall, xml: str, flags: int) -> Answer:
    network = await _read(request, xml, flags)
    return (network_to_wire((await request.services.network_verbs.define(network)).ref),)


async def _create_xml(request: IncomingCall, xml: str) -> Answer:
    return await _create_with_flags(request, xml, 0)


async def _create_with_flags(request: IncomingCall, xml: str, flags: int) -> Answer:
    network = await _read(request, xml, flags)
    return (network_to_wire((await request.services.network_verbs.create(network)).ref),)


async def _read(request: IncomingCall, xml: str, flags: int) -> NetworkDefinition:
    request.allow_flags(flags, DefineFlags.VALIDATE)
    return await request.services.incoming_networks.read(xml, by_schema=bool(flags & DefineFlags.VALIDATE))


async def _create(request: IncomingCall, network: ManagedNetwork) -> Answer:
    await request.services.network_verbs.start(network)
    return None


async def _destroy(request: IncomingCall, network: ManagedNetwork) -> Answer:
    await request.services.network_verbs.destroy(network)
    return None


async def _undefine(request: IncomingCall, network: ManagedNetwork) -> Answer:
    await request.services.network_verbs.undefine(network)
    return None


async def _set_autostart(request: IncomingCall, network: ManagedNetwork, autostart: int) -> Answer:
    await request.services.network_verbs.set_autostart(network, on=bool(autostart))
    return None


async def _update(
    request: IncomingCall, network: ManagedNetwork, command: int, section: int, parent_index: int, xml: str, flags: int
) -> Answer:
    request.allow_flags(flags, _AFFECT)
    await request.services.network_verbs.update(
        network, command, section, parent_index=parent_index, xml=xml, affect=Affect(flags)
    )
    return None


async def _set_metadata(
    request: IncomingCall,
    network: ManagedNetwork,
    type_: int,
    metadata: str | None,
    key: str | None,
    uri: str | None,
    flags: int,
) -> Answer:
    request.allow_flags(flags, _AFFECT)
    kind, affect = _metadata_type(type_), Affect(flags)
    await request.services.network_verbs.set_metadata(network, kind, metadata, key=key, uri=uri, affect=affect)
    return None


def _of_networks(handler: Handler) -> Handler:
    """Return handler, whose errors come from libvirt's network driver if they name no other part of it."""
    if iscoroutinefunction(handler):
        return _awaited(handler)

    @wraps(handler)
    def told(*arguments: Any) -> Any:
        try:
            return handler(*arguments)
        except InsulaError as error:
            raise _as_networks(error) from error.__cause__

    return told


def _awaited(handler: Callable[..., Coroutine[Any, Any, Answer]]) -> Handler:
    @wraps(handler)
    async def told(*arguments: Any) -> Answer:
        try:
            return await handler(*arguments)
        except InsulaError as error:
            raise _as_networks(error) from error.__cause__

    return told


def _as_networks(error: InsulaError) -> InsulaError:
    if error.domain is ErrorDomain.LXC:
        error.domain = ErrorDomain.NETWORK
    return error


_PLAIN: dict[Procedure, Handler] = {
    Remote.CONNECT_LIST_ALL_NETWORKS: _list_all,
    Remote.CONNECT_NUM_OF_NETWORKS: _counter(ListNetworks.ACTIVE),
    Remote.CONNECT_LIST_NETWORKS: _names(ListNetworks.ACTIVE),
    Remote.CONNECT_NUM_OF_DEFINED_NETWORKS: _counter(ListNetworks.INACTIVE),
    Remote.CONNECT_LIST_DEFINED_NETWORKS: _names(ListNetworks.INACTIVE),
    Remote.NETWORK_LOOKUP_BY_NAME: _by_name,
    Remote.NETWORK_LOOKUP_BY_UUID: _by_uuid,
    Remote.NETWORK_GET_XML_DESC: _xml,
    Remote.NETWORK_IS_ACTIVE: _is_active,
    Remote.NETWORK_IS_PERSISTENT: _is_persistent,
    Remote.NETWORK_GET_AUTOSTART: _autostart,
    Remote.NETWORK_GET_BRIDGE_NAME: _bridge_name,
    Remote.NETWORK_GET_DHCP_LEASES: _leases,
    Remote.NETWORK_GET_METADATA: _metadata,
    Remote.NETWORK_DEFINE_XML: _define,
    Remote.NETWORK_DEFINE_XML_FLAGS: _define_with_flags,
    Remote.NETWORK_CREATE_XML: _create_xml,
    Remote.NETWORK_CREATE_XML_FLAGS: _create_with_flags,
    Remote.NETWORK_CREATE: _create,
    Remote.NETWORK_DESTROY: _destroy,
    Remote.NETWORK_UNDEFINE: _undefine,
    Remote.NETWORK_SET_AUTOSTART: _set_autostart,
    Remote.NETWORK_UPDATE: _update,
    Remote.NETWORK_SET_METADATA: _set_metadata,
    **PORTS,
}

HANDLERS: dict[Procedure, Handler] = {row: _of_networks(handler) for row, handler in _PLAIN.items()}
