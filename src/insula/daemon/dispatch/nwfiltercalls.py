"""Network filters: which there are, what they say, and where they stand."""

from collections.abc import Sequence

from insula.daemon.incomingcall import Answer, Handler, IncomingCall
from insula.daemon.wire import wanted
from insula.model.filterbinding import FilterBinding, dump_binding
from insula.model.nwfilter import dump_filter
from insula.rpc import wiretypes
from insula.rpc.codes.requestcodes import DefineFlags
from insula.rpc.procedures import Procedure, Remote
from insula.service.nwfilters import FilterVerbs, ManagedFilter, binding_at, bindings


def _filters(request: IncomingCall) -> FilterVerbs:
    return request.services.filters


def _to_wire(managed: ManagedFilter) -> wiretypes.FilterRef:
    return wiretypes.FilterRef(managed.name, managed.uuid.bytes)


def _sorted(request: IncomingCall) -> list[ManagedFilter]:
    return sorted(request.visible(_filters(request).registry), key=lambda each: each.name)


def _found(request: IncomingCall, nwfilter: wiretypes.FilterRef) -> ManagedFilter:
    return _filters(request).registry.by_bytes(nwfilter.uuid)


def _count(request: IncomingCall) -> Answer:
    return (len(_sorted(request)),)


def _names(request: IncomingCall, maxnames: int) -> Answer:
    return ([each.name for each in _sorted(request)[:maxnames]],)


def _list_all(request: IncomingCall, need_results: int, flags: int) -> Answer:
    request.allow_flags(flags, 0)
    return wanted([_to_wire(each) for each in _sorted(request)], need_results)


def _by_name(request: IncomingCall, name: str) -> Answer:
    return (_to_wire(_filters(request).registry.by_name(name)),)


def _by_uuid(request: IncomingCall, uuid: bytes) -> Answer:
    return (_to_wire(_filters(request).registry.by_bytes(uuid)),)


def _xml(request: IncomingCall, nwfilter: wiretypes.FilterRef, flags: int) -> Answer:
    request.allow_flags(flags, 0)
    return (dump_filter(_found(request, nwfilter).definition),)


async def _define(request: IncomingCall, xml: str) -> Answer:
    return (_to_wire(await _filters(request).define(xml)),)


async def _define_with_flags(request: IncomingCall, xml: str, flags: int) -> Answer:
    request.allow_flags(flags, DefineFlags.VALIDATE)
    by_schema = bool(flags & DefineFlags.VALIDATE)
    return (_to_wire(await _filters(request).define(xml, by_schema=by_schema)),)


async def _undefine(request: IncomingCall, nwfilter: wiretypes.FilterRef) -> Answer:
    await _filters(request).undefine(_found(request, nwfilter))
    return ()


async def _bindings(request: IncomingCall) -> Sequence[FilterBinding]:
    return await request.services.documents.aside(bindings, request.services.domains)


async def _list_all_bindings(request: IncomingCall, need_results: int, flags: int) -> Answer:
    request.allow_flags(flags, 0)
    seen = request.seen
    found = [_binding_to_wire(each) for each in await _bindings(request) if seen is None or each.port in seen]
    return wanted(found, need_results)


async def _binding_by_port(request: IncomingCall, name: str) -> Answer:
    return (_binding_to_wire(binding_at(name, await _bindings(request))),)


async def _binding_xml(request: IncomingCall, nwfilter: wiretypes.FilterBindingRef, flags: int) -> Answer:
    request.allow_flags(flags, 0)
    return (dump_binding(binding_at(nwfilter.portdev, await _bindings(request))),)


def _binding_to_wire(binding: FilterBinding) -> wiretypes.FilterBindingRef:
    return wiretypes.FilterBindingRef(binding.port, binding.reference.filter)


HANDLERS: dict[Procedure, Handler] = {
    Remote.CONNECT_NUM_OF_NWFILTERS: _count,
    Remote.CONNECT_LIST_NWFILTERS: _names,
    Remote.CONNECT_LIST_ALL_NWFILTERS: _list_all,
    Remote.NWFILTER_LOOKUP_BY_NAME: _by_name,
    Remote.NWFILTER_LOOKUP_BY_UUID: _by_uuid,
    Remote.NWFILTER_GET_XML_DESC: _xml,
    Remote.NWFILTER_DEFINE_XML: _define,
    Remote.NWFILTER_DEFINE_XML_FLAGS: _define_with_flags,
    Remote.NWFILTER_UNDEFINE: _undefine,
    Remote.CONNECT_LIST_ALL_NWFILTER_BINDINGS: _list_all_bindings,
    Remote.NWFILTER_BINDING_LOOKUP_BY_PORT_DEV: _binding_by_port,
    Remote.NWFILTER_BINDING_GET_XML_DESC: _binding_xml,
}
