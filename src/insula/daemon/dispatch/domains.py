"""Domains: which there are, what they are, and their life."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any
from uuid import UUID

from insula.daemon.partings import part_with
from insula.daemon.request import Answer, Handler, Request
from insula.daemon.streams import console_job
from insula.daemon.wire import from_wire, text, to_wire, wanted
from insula.errors import InvalidArgumentError
from insula.rpc.codes.domain import ControlState, JobType
from insula.rpc.codes.requests import (
    AddressType,
    ConsoleFlags,
    DefineFlags,
    DeviceFlags,
    ShutdownFlags,
    StartFlags,
    UndefineFlags,
    XmlFlags,
)
from insula.rpc.procedures import Lxc, Procedure, Remote
from insula.service.events import DomainRef, MetadataType
from insula.service.jobs import outlived
from insula.service.requests import AddressSource, Affect, Filter, ShutdownMode, Storage

_FILTERS = 0xFFFF
_AFFECT = Affect.LIVE | Affect.CONFIG
_HARMLESS_AT_START = StartFlags.BYPASS_CACHE | StartFlags.FORCE_BOOT | StartFlags.VALIDATE | StartFlags.RESET_NVRAM
"""They speak of saved images, which there are none of, and of checks that are always made."""
_START = StartFlags.PAUSED | StartFlags.AUTODESTROY | _HARMLESS_AT_START
_EVERY_UNDEFINE = (
    UndefineFlags.MANAGED_SAVE
    | UndefineFlags.SNAPSHOTS_METADATA
    | UndefineFlags.CHECKPOINTS_METADATA
    | UndefineFlags.NVRAM
    | UndefineFlags.KEEP_NVRAM
    | UndefineFlags.TPM
    | UndefineFlags.KEEP_TPM
)
"""What may go with the definition. NVRAM, libvirt's word for the private copy of a template, is the domain's clone; of
the rest a container has none, and clients ask for all of it by habit."""
_EVERY_SHUTDOWN = (
    ShutdownFlags.ACPI_POWER_BTN
    | ShutdownFlags.GUEST_AGENT
    | ShutdownFlags.INITCTL
    | ShutdownFlags.SIGNAL
    | ShutdownFlags.PARAVIRT
)


def _dom(arguments: Any) -> DomainRef:
    return from_wire(arguments.dom)


# Which there are


def _list_all(request: Request, arguments: Any) -> Answer:
    found = request.services.domains.list(Filter(arguments.flags & _FILTERS))
    return wanted([to_wire(each) for each in found], arguments.need_results)


def _ids(request: Request, arguments: Any) -> Answer:
    return ([each.id for each in request.services.domains.list(Filter.ACTIVE)][: arguments.maxids],)


def _defined_names(request: Request, arguments: Any) -> Answer:
    return ([each.name for each in request.services.domains.list(Filter.INACTIVE)][: arguments.maxnames],)


def _by_uuid(request: Request, arguments: Any) -> Answer:
    return (to_wire(request.services.domains.lookup_by_uuid(UUID(bytes=arguments.uuid))),)


# What they are


def _state(request: Request, arguments: Any) -> Answer:
    state = request.services.domains.state(_dom(arguments))
    return state.state, state.reason


def _info(request: Request, arguments: Any) -> Answer:
    info = request.services.domains.info(_dom(arguments))
    return info.state, info.maximum_memory, info.memory, info.vcpus, info.cpu_time


async def _xml(request: Request, arguments: Any) -> Answer:
    flags = XmlFlags(arguments.flags & 0xF)
    inactive, secure = XmlFlags.INACTIVE in flags, XmlFlags.SECURE in flags
    domains, domain = request.services.domains, _dom(arguments)
    return (await domains.aside(lambda: domains.dump_xml(domain, inactive=inactive, secure=secure)),)


async def _metadata(request: Request, arguments: Any) -> Answer:
    kind, affect = _metadata_type(arguments.type), Affect(arguments.flags & _AFFECT)
    domains, domain = request.services.domains, _dom(arguments)
    return (await domains.aside(lambda: domains.metadata(domain, kind, arguments.uri, affect)),)


async def _set_metadata(request: Request, arguments: Any) -> Answer:
    request.allow_flags(arguments.flags, _AFFECT)
    await request.services.domains.set_metadata(
        _dom(arguments),
        _metadata_type(arguments.type),
        arguments.metadata,
        arguments.key,
        arguments.uri,
        Affect(arguments.flags),
    )
    return None


def _metadata_type(number: int) -> MetadataType:
    try:
        return MetadataType(number)
    except ValueError as error:
        raise InvalidArgumentError(f"unknown metadata type {number}") from error


async def _hostname(request: Request, arguments: Any) -> Answer:
    return (await request.services.domains.hostname(_dom(arguments)),)


async def _addresses(request: Request, arguments: Any) -> Answer:
    request.allow_flags(arguments.flags, 0)
    try:
        source = AddressSource(arguments.source)
    except ValueError as error:
        raise InvalidArgumentError(f"unknown source {arguments.source} of interface addresses") from error
    interfaces = await request.services.domains.interface_addresses(_dom(arguments), source)
    return (
        [
            (each.name, each.mac or None, [(_family(one.address), one.address, one.prefix) for one in each.addresses])
            for each in interfaces
        ],
    )


def _family(address: str) -> AddressType:
    return AddressType.IPV6 if ":" in address else AddressType.IPV4


def _label(request: Request, arguments: Any) -> Answer:
    label = request.services.domains.security_label(_dom(arguments))
    return text(label.label), int(label.enforcing)


def _labels(request: Request, arguments: Any) -> Answer:
    label = request.services.domains.security_label(_dom(arguments))
    labels = [(text(label.label), int(label.enforcing))] if label.label else []
    return labels, len(labels)


def _control(request: Request, arguments: Any) -> Answer:
    control = request.services.domains.control(_dom(arguments))
    state = ControlState.OK if control.verb is None else ControlState.JOB
    return state, 0, int(control.seconds * 1000)


def _messages(request: Request, arguments: Any) -> Answer:
    return (request.services.domains.messages(_dom(arguments)),)


def _no_job(request: Request, arguments: Any) -> Answer:
    request.services.domains.ref(_dom(arguments))
    return (JobType.NONE, *(0,) * 11)


def _no_job_stats(request: Request, arguments: Any) -> Answer:
    request.services.domains.ref(_dom(arguments))
    return JobType.NONE, ()


# Their life


async def _define(request: Request, arguments: Any) -> Answer:
    return (to_wire(await request.services.domains.define(arguments.xml)),)


async def _define_with_flags(request: Request, arguments: Any) -> Answer:
    request.allow_flags(arguments.flags, DefineFlags.VALIDATE)
    return await _define(request, arguments)


async def _undefine(request: Request, arguments: Any) -> Answer:
    await request.services.domains.undefine(_dom(arguments))
    return None


async def _undefine_with_flags(request: Request, arguments: Any) -> Answer:
    request.allow_flags(arguments.flags, _EVERY_UNDEFINE)
    storage = Storage.DISCARD if arguments.flags & UndefineFlags.NVRAM else Storage.KEEP
    await request.services.domains.undefine(_dom(arguments), storage=storage)
    return None


async def _create(request: Request, arguments: Any) -> Answer:
    await request.services.domains.start(_dom(arguments))
    return None


async def _create_with_flags(request: Request, arguments: Any) -> Answer:
    request.allow_flags(arguments.flags, _START)
    domain = _dom(arguments)
    paused, owner = bool(arguments.flags & StartFlags.PAUSED), _owner(request, arguments.flags)
    start = request.services.domains.start
    return await _begun(request, lambda fds: start(domain, paused=paused, owner=owner, fds=fds))


async def _create_xml(request: Request, arguments: Any) -> Answer:
    request.allow_flags(arguments.flags, _START)
    paused, owner = bool(arguments.flags & StartFlags.PAUSED), _owner(request, arguments.flags)
    create = request.services.domains.create_xml
    return await _begun(request, lambda fds: create(arguments.xml_desc, paused=paused, owner=owner, fds=fds))


async def _begun(request: Request, begin: Callable[[Sequence[int]], Coroutine[Any, Any, DomainRef]]) -> Answer:
    """Begin with the call's descriptors: open until that is over, which may be long after the client has gone."""
    fds = request.take_fds()
    task = asyncio.create_task(begin(fds), name=f"{request.call.procedure.name} of {request.client}")
    task.add_done_callback(lambda _: part_with(fds))
    return (to_wire(await outlived(task)),)


def _owner(request: Request, flags: int) -> object | None:
    """Whose connection's end ends the domain."""
    return request.client if flags & StartFlags.AUTODESTROY else None


async def _destroy(request: Request, arguments: Any) -> Answer:
    await request.services.domains.destroy(_dom(arguments))
    return None


async def _destroy_with_flags(request: Request, arguments: Any) -> Answer:
    request.allow_flags(arguments.flags, 0)
    return await _destroy(request, arguments)


async def _shutdown(request: Request, arguments: Any) -> Answer:
    await request.services.domains.shutdown(_dom(arguments))
    return None


async def _shutdown_with_flags(request: Request, arguments: Any) -> Answer:
    request.allow_flags(arguments.flags, _EVERY_SHUTDOWN)
    await request.services.domains.shutdown(_dom(arguments), ShutdownMode(arguments.flags))
    return None


async def _reboot(request: Request, arguments: Any) -> Answer:
    request.allow_flags(arguments.flags, _EVERY_SHUTDOWN)
    await request.services.domains.reboot(_dom(arguments), ShutdownMode(arguments.flags))
    return None


async def _suspend(request: Request, arguments: Any) -> Answer:
    await request.services.domains.suspend(_dom(arguments))
    return None


async def _resume(request: Request, arguments: Any) -> Answer:
    await request.services.domains.resume(_dom(arguments))
    return None


async def _set_autostart(request: Request, arguments: Any) -> Answer:
    await request.services.domains.set_autostart(_dom(arguments), bool(arguments.autostart))
    return None


async def _send_signal(request: Request, arguments: Any) -> Answer:
    request.allow_flags(arguments.flags, 0)
    await request.services.domains.send_signal(_dom(arguments), arguments.pid_value, arguments.signum)
    return None


# Their devices


async def _attach(request: Request, arguments: Any) -> Answer:
    await request.services.domains.attach_device(_dom(arguments), arguments.xml, Affect.LIVE)
    return None


async def _attach_with_flags(request: Request, arguments: Any) -> Answer:
    request.allow_flags(arguments.flags, _AFFECT)
    await request.services.domains.attach_device(_dom(arguments), arguments.xml, Affect(arguments.flags))
    return None


async def _detach(request: Request, arguments: Any) -> Answer:
    await request.services.domains.detach_device(_dom(arguments), arguments.xml, Affect.LIVE)
    return None


async def _detach_with_flags(request: Request, arguments: Any) -> Answer:
    request.allow_flags(arguments.flags, _AFFECT)
    await request.services.domains.detach_device(_dom(arguments), arguments.xml, Affect(arguments.flags))
    return None


async def _update_device(request: Request, arguments: Any) -> Answer:
    request.allow_flags(arguments.flags, _AFFECT | DeviceFlags.FORCE)
    affect = Affect(arguments.flags & _AFFECT)
    await request.services.domains.update_device(_dom(arguments), arguments.xml, affect)
    return None


# Their insides


def _open_console(request: Request, arguments: Any) -> Answer:
    request.allow_flags(arguments.flags, ConsoleFlags.FORCE | ConsoleFlags.SAFE)
    # SAFE asks that only one client may have the console: here that is always so
    channel = request.services.domains.console(
        _dom(arguments), arguments.dev_name, force=bool(arguments.flags & ConsoleFlags.FORCE)
    )
    request.job = console_job(channel)
    return None


async def _open_namespace(request: Request, arguments: Any) -> Answer:
    """Descriptors of the guest's namespaces, in the order user, ipc, uts, net, pid, mnt: the client enters in that."""
    request.allow_flags(arguments.flags, 0)
    request.reply_fds = list(await request.services.domains.namespaces(_dom(arguments)))
    return None


HANDLERS: dict[Procedure, Handler] = {
    Remote.CONNECT_LIST_ALL_DOMAINS: _list_all,
    Remote.CONNECT_LIST_DOMAINS: _ids,
    Remote.CONNECT_NUM_OF_DOMAINS: lambda request, arguments: (len(request.services.domains.list(Filter.ACTIVE)),),
    Remote.CONNECT_LIST_DEFINED_DOMAINS: _defined_names,
    Remote.CONNECT_NUM_OF_DEFINED_DOMAINS: lambda request, arguments: (
        len(request.services.domains.list(Filter.INACTIVE)),
    ),
    Remote.DOMAIN_LOOKUP_BY_ID: lambda request, arguments: (
        to_wire(request.services.domains.lookup_by_id(arguments.id)),
    ),
    Remote.DOMAIN_LOOKUP_BY_NAME: lambda request, arguments: (
        to_wire(request.services.domains.lookup_by_name(arguments.name)),
    ),
    Remote.DOMAIN_LOOKUP_BY_UUID: _by_uuid,
    Remote.DOMAIN_GET_STATE: _state,
    Remote.DOMAIN_GET_INFO: _info,
    Remote.DOMAIN_GET_XML_DESC: _xml,
    Remote.DOMAIN_GET_OS_TYPE: lambda request, arguments: (request.services.domains.os_type(_dom(arguments)),),
    Remote.DOMAIN_IS_ACTIVE: lambda request, arguments: (int(request.services.domains.is_active(_dom(arguments))),),
    Remote.DOMAIN_IS_PERSISTENT: lambda request, arguments: (
        int(request.services.domains.is_persistent(_dom(arguments))),
    ),
    Remote.DOMAIN_IS_UPDATED: lambda request, arguments: (int(request.services.domains.is_updated(_dom(arguments))),),
    Remote.DOMAIN_GET_AUTOSTART: lambda request, arguments: (int(request.services.domains.autostart(_dom(arguments))),),
    Remote.DOMAIN_HAS_MANAGED_SAVE_IMAGE: lambda request, arguments: (
        int(request.services.domains.has_managed_save(_dom(arguments))),
    ),
    Remote.DOMAIN_GET_METADATA: _metadata,
    Remote.DOMAIN_SET_METADATA: _set_metadata,
    Remote.DOMAIN_GET_HOSTNAME: _hostname,
    Remote.DOMAIN_INTERFACE_ADDRESSES: _addresses,
    Remote.DOMAIN_GET_SECURITY_LABEL: _label,
    Remote.DOMAIN_GET_SECURITY_LABEL_LIST: _labels,
    Remote.DOMAIN_GET_CONTROL_INFO: _control,
    Remote.DOMAIN_GET_MESSAGES: _messages,
    Remote.DOMAIN_GET_JOB_INFO: _no_job,
    Remote.DOMAIN_GET_JOB_STATS: _no_job_stats,
    Remote.DOMAIN_DEFINE_XML: _define,
    Remote.DOMAIN_DEFINE_XML_FLAGS: _define_with_flags,
    Remote.DOMAIN_UNDEFINE: _undefine,
    Remote.DOMAIN_UNDEFINE_FLAGS: _undefine_with_flags,
    Remote.DOMAIN_CREATE: _create,
    Remote.DOMAIN_CREATE_WITH_FLAGS: _create_with_flags,
    Remote.DOMAIN_CREATE_WITH_FILES: _create_with_flags,
    Remote.DOMAIN_CREATE_XML: _create_xml,
    Remote.DOMAIN_CREATE_XML_WITH_FILES: _create_xml,
    Remote.DOMAIN_DESTROY: _destroy,
    Remote.DOMAIN_DESTROY_FLAGS: _destroy_with_flags,
    Remote.DOMAIN_SHUTDOWN: _shutdown,
    Remote.DOMAIN_SHUTDOWN_FLAGS: _shutdown_with_flags,
    Remote.DOMAIN_REBOOT: _reboot,
    Remote.DOMAIN_SUSPEND: _suspend,
    Remote.DOMAIN_RESUME: _resume,
    Remote.DOMAIN_SET_AUTOSTART: _set_autostart,
    Remote.DOMAIN_SEND_PROCESS_SIGNAL: _send_signal,
    Remote.DOMAIN_ATTACH_DEVICE: _attach,
    Remote.DOMAIN_ATTACH_DEVICE_FLAGS: _attach_with_flags,
    Remote.DOMAIN_DETACH_DEVICE: _detach,
    Remote.DOMAIN_DETACH_DEVICE_FLAGS: _detach_with_flags,
    Remote.DOMAIN_UPDATE_DEVICE_FLAGS: _update_device,
    Remote.DOMAIN_OPEN_CONSOLE: _open_console,
    Lxc.DOMAIN_OPEN_NAMESPACE: _open_namespace,
}
