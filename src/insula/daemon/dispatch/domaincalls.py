"""Domains: which there are, and what they are."""

from uuid import UUID

from insula.daemon.incomingcall import Answer, Handler, IncomingCall, Work
from insula.daemon.wire import text, to_wire, wanted
from insula.engine.securitymodule import UNCONFINED
from insula.errors import InvalidArgumentError
from insula.model.boot import CrashAction
from insula.model.numbers import Affect, LifecycleType, ListDomains, MetadataType, XmlFlags
from insula.rpc.codes.domaincodes import ControlState
from insula.rpc.codes.requestcodes import LifecycleAction
from insula.rpc.procedures import Procedure, Remote
from insula.service import describing, listing
from insula.service.managed import ManagedDomain

_FILTERS = 0xFFFF
_AFFECT = Affect.LIVE | Affect.CONFIG


# Which there are


def _chosen(request: IncomingCall, wanted: ListDomains) -> list[ManagedDomain]:
    return listing.chosen(request.visible(request.services.domains), wanted)


def _list_all(request: IncomingCall, need_results: int, flags: int) -> Answer:
    found = _chosen(request, ListDomains(flags & _FILTERS))
    return wanted([to_wire(each.ref) for each in found], need_results)


def _ids(request: IncomingCall, maxids: int) -> Answer:
    return ([each.id for each in _chosen(request, ListDomains.ACTIVE)[:maxids]],)


def _defined_names(request: IncomingCall, maxnames: int) -> Answer:
    return ([each.name for each in _chosen(request, ListDomains.INACTIVE)[:maxnames]],)


def _counter(chosen: ListDomains) -> Handler:
    def count(request: IncomingCall) -> Answer:
        return (len(_chosen(request, chosen)),)

    return count


def _by_id(request: IncomingCall, id_: int) -> Answer:
    return (to_wire(request.services.domains.by_id(id_).ref),)


def _by_name(request: IncomingCall, name: str) -> Answer:
    return (to_wire(request.services.domains.by_name(name).ref),)


def _by_uuid(request: IncomingCall, uuid: bytes) -> Answer:
    return (to_wire(request.services.domains.by_uuid(UUID(bytes=uuid)).ref),)


# What they are


def _state(request: IncomingCall, domain: ManagedDomain, flags: int) -> Answer:
    state = domain.state
    return state.state, state.reason


def _info(request: IncomingCall, domain: ManagedDomain) -> Answer:
    info = describing.info(domain)
    return info.state, info.maximum_memory, info.memory, info.vcpus, info.cpu_time


def _xml(request: IncomingCall, domain: ManagedDomain, flags: int) -> Answer | Work:
    wished = XmlFlags(flags & 0xF)
    inactive, secure = XmlFlags.INACTIVE in wished, XmlFlags.SECURE in wished
    known = describing.written_xml(domain, inactive=inactive, secure=secure)
    return (known,) if known is not None else _written(request, domain, inactive=inactive, secure=secure)


async def _written(request: IncomingCall, domain: ManagedDomain, *, inactive: bool, secure: bool) -> Answer:
    aside = request.services.documents.aside
    return (await aside(describing.xml, domain, inactive=inactive, secure=secure),)


def _os_type(request: IncomingCall, domain: ManagedDomain) -> Answer:
    return (describing.OS_TYPE,)


def _is_active(request: IncomingCall, domain: ManagedDomain) -> Answer:
    return (int(domain.is_shown_active),)


def _is_persistent(request: IncomingCall, domain: ManagedDomain) -> Answer:
    return (int(domain.is_persistent),)


def _is_updated(request: IncomingCall, domain: ManagedDomain) -> Answer:
    return (int(domain.updated),)


def _autostart(request: IncomingCall, domain: ManagedDomain) -> Answer:
    return (int(domain.autostart),)


def _autostart_once(request: IncomingCall, domain: ManagedDomain) -> Answer:
    return (int(domain.autostart_once),)


def _has_managed_save(request: IncomingCall, domain: ManagedDomain, flags: int) -> Answer:
    """Saved images: there are none."""
    return (0,)


async def _metadata(request: IncomingCall, domain: ManagedDomain, type_: int, uri: str | None, flags: int) -> Answer:
    kind, affect = _metadata_type(type_), Affect(flags & _AFFECT)
    metadata = request.services.metadata.metadata
    return (await request.services.documents.aside(metadata, domain, kind, uri, affect),)


async def _set_metadata(
    request: IncomingCall,
    domain: ManagedDomain,
    type_: int,
    metadata: str | None,
    key: str | None,
    uri: str | None,
    flags: int,
) -> Answer:
    request.allow_flags(flags, _AFFECT)
    kind, affect = _metadata_type(type_), Affect(flags)
    await request.services.metadata.set_metadata(domain, kind, metadata, key=key, uri=uri, affect=affect)
    return None


def _metadata_type(number: int) -> MetadataType:
    try:
        return MetadataType(number)
    except ValueError as error:
        raise InvalidArgumentError(f"unknown metadata type {number}") from error


async def _set_lifecycle_action(
    request: IncomingCall, domain: ManagedDomain, type_: int, action: int, flags: int
) -> Answer:
    request.allow_flags(flags, _AFFECT)
    try:
        occasion, wanted = LifecycleType(type_), _ACTIONS[LifecycleAction(action)]
    except ValueError as error:
        raise InvalidArgumentError(f"unknown lifecycle type {type_} or action {action}") from error
    await request.services.lifecycle_actions.set_action(domain, occasion, wanted, Affect(flags))
    return None


_ACTIONS = {
    LifecycleAction.DESTROY: CrashAction.DESTROY,
    LifecycleAction.RESTART: CrashAction.RESTART,
    LifecycleAction.RESTART_RENAME: CrashAction.RENAME_RESTART,
    LifecycleAction.PRESERVE: CrashAction.PRESERVE,
    LifecycleAction.COREDUMP_DESTROY: CrashAction.COREDUMP_DESTROY,
    LifecycleAction.COREDUMP_RESTART: CrashAction.COREDUMP_RESTART,
}


def _label(request: IncomingCall, domain: ManagedDomain) -> Answer:
    """The security label, and whether it is enforced: none, where the host has no security model."""
    label = describing.security_label(domain)
    return text(label or ""), int(label is not None and label != UNCONFINED)


def _labels(request: IncomingCall, domain: ManagedDomain) -> Answer:
    label = describing.security_label(domain)
    return ((), 0) if label is None else ((_label(request, domain),), 1)


def _control(request: IncomingCall, domain: ManagedDomain, flags: int) -> Answer:
    lock = domain.lock
    state = ControlState.OK if lock.holder is None else ControlState.JOB
    return state, 0, int(lock.held_for * 1000)


def _messages(request: IncomingCall, domain: ManagedDomain, flags: int) -> Answer:
    """What an administrator should know about the present run."""
    return (list(domain.notices),)


HANDLERS: dict[Procedure, Handler] = {
    Remote.CONNECT_LIST_ALL_DOMAINS: _list_all,
    Remote.CONNECT_LIST_DOMAINS: _ids,
    Remote.CONNECT_NUM_OF_DOMAINS: _counter(ListDomains.ACTIVE),
    Remote.CONNECT_LIST_DEFINED_DOMAINS: _defined_names,
    Remote.CONNECT_NUM_OF_DEFINED_DOMAINS: _counter(ListDomains.INACTIVE),
    Remote.DOMAIN_LOOKUP_BY_ID: _by_id,
    Remote.DOMAIN_LOOKUP_BY_NAME: _by_name,
    Remote.DOMAIN_LOOKUP_BY_UUID: _by_uuid,
    Remote.DOMAIN_GET_STATE: _state,
    Remote.DOMAIN_GET_INFO: _info,
    Remote.DOMAIN_GET_XML_DESC: _xml,
    Remote.DOMAIN_GET_OS_TYPE: _os_type,
    Remote.DOMAIN_IS_ACTIVE: _is_active,
    Remote.DOMAIN_IS_PERSISTENT: _is_persistent,
    Remote.DOMAIN_IS_UPDATED: _is_updated,
    Remote.DOMAIN_GET_AUTOSTART: _autostart,
    Remote.DOMAIN_GET_AUTOSTART_ONCE: _autostart_once,
    Remote.DOMAIN_HAS_MANAGED_SAVE_IMAGE: _has_managed_save,
    Remote.DOMAIN_GET_METADATA: _metadata,
    Remote.DOMAIN_SET_METADATA: _set_metadata,
    Remote.DOMAIN_SET_LIFECYCLE_ACTION: _set_lifecycle_action,
    Remote.DOMAIN_GET_SECURITY_LABEL: _label,
    Remote.DOMAIN_GET_SECURITY_LABEL_LIST: _labels,
    Remote.DOMAIN_GET_CONTROL_INFO: _control,
    Remote.DOMAIN_GET_MESSAGES: _messages,
}
