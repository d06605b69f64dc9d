"""The life of domains: defined, started, ended."""

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

from insula.daemon.incomingcall import Answer, Handler, IncomingCall
from insula.daemon.partings import part_with
from insula.daemon.wire import to_wire
from insula.errors import InvalidArgumentError
from insula.model.numbers import ShutdownMode
from insula.rpc.codes.requestcodes import DefineFlags, StartFlags, UndefineFlags
from insula.rpc.procedures import Insula, Procedure, Remote
from insula.service.managed import ManagedDomain
from insula.service.startoptions import Launch, Storage
from insula.service.tasks import outlived

_HARMLESS_AT_START = StartFlags.BYPASS_CACHE | StartFlags.FORCE_BOOT | StartFlags.VALIDATE | StartFlags.RESET_NVRAM
"""They speak of saved images, which there are none of; VALIDATE, of a document that may come along."""
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
"""What may go with the definition. A container has none of it, and clients ask for all of it by habit: so none of it
touches the domain's clone, which goes by our own DOMAIN_REMOVE."""
_EXCLUSIVE = (
    (UndefineFlags.NVRAM, UndefineFlags.KEEP_NVRAM),
    (UndefineFlags.TPM, UndefineFlags.KEEP_TPM),
)
_EVERY_SHUTDOWN = (
    ShutdownMode.ACPI | ShutdownMode.AGENT | ShutdownMode.INITCTL | ShutdownMode.SIGNAL | ShutdownMode.PARAVIRT
)


async def _define(request: IncomingCall, xml: str) -> Answer:
    return await _define_with_flags(request, xml, 0)


async def _define_with_flags(request: IncomingCall, xml: str, flags: int) -> Answer:
    request.allow_flags(flags, DefineFlags.VALIDATE)
    config = await request.services.incoming.read(xml, by_schema=bool(flags & DefineFlags.VALIDATE))
    return (to_wire((await request.services.definitions.define(config)).ref),)


async def _undefine(request: IncomingCall, domain: ManagedDomain) -> Answer:
    await request.services.definitions.undefine(domain, Storage.KEEP)
    return None


async def _undefine_with_flags(request: IncomingCall, domain: ManagedDomain, flags: int) -> Answer:
    request.allow_flags(flags, _EVERY_UNDEFINE)
    for removed, kept in _EXCLUSIVE:
        request.exclusive_flags(flags, removed, kept)
    await request.services.definitions.undefine(domain, Storage.KEEP)
    return None


async def _create(request: IncomingCall, domain: ManagedDomain) -> Answer:
    await request.services.lifecycle.start(domain, Launch())
    return None


async def _create_with_flags(request: IncomingCall, domain: ManagedDomain, flags: int) -> Answer:
    launch = _launch(request, flags)
    return await _begun(request, launch, request.services.lifecycle.start(domain, launch))


async def _create_xml(request: IncomingCall, xml_desc: str, flags: int) -> Answer:
    launch = _launch(request, flags)

    async def create() -> ManagedDomain:
        domain = await request.services.incoming.read(xml_desc, by_schema=bool(flags & StartFlags.VALIDATE))
        return await request.services.lifecycle.create(domain, launch)

    return await _begun(request, launch, create())


def _launch(request: IncomingCall, flags: int) -> Launch:
    """How the caller wants a domain started: with the descriptors that came, whose closing is ours from now on."""
    request.allow_flags(flags, _START)
    return Launch(
        paused=bool(flags & StartFlags.PAUSED),
        owner=request.client if flags & StartFlags.AUTODESTROY else None,
        fds=request.take_fds(),
    )


async def _begun(request: IncomingCall, launch: Launch, begin: Coroutine[Any, Any, ManagedDomain]) -> Answer:
    """Begin with the call's descriptors: open until that is over, which may be long after the client has gone."""
    task = asyncio.create_task(begin, name=f"{request.call.procedure.name} of {request.client}")
    task.add_done_callback(lambda _: part_with(launch.fds))
    return (to_wire((await outlived(task)).ref),)


async def _destroy(request: IncomingCall, domain: ManagedDomain) -> Answer:
    await request.services.lifecycle.destroy(domain)
    return None


async def _destroy_with_flags(request: IncomingCall, domain: ManagedDomain, flags: int) -> Answer:
    request.allow_flags(flags, 0)
    return await _destroy(request, domain)


async def _shutdown(request: IncomingCall, domain: ManagedDomain) -> Answer:
    await request.services.shutdown.shutdown(domain, ShutdownMode.DEFAULT)
    return None


async def _shutdown_with_flags(request: IncomingCall, domain: ManagedDomain, flags: int) -> Answer:
    request.allow_flags(flags, _EVERY_SHUTDOWN)
    await request.services.shutdown.shutdown(domain, ShutdownMode(flags))
    return None


async def _reboot(request: IncomingCall, domain: ManagedDomain, flags: int) -> Answer:
    request.allow_flags(flags, _EVERY_SHUTDOWN)
    await request.services.shutdown.reboot(domain, ShutdownMode(flags))
    return None


async def _reset(request: IncomingCall, domain: ManagedDomain, flags: int) -> Answer:
    request.allow_flags(flags, 0)
    await request.services.lifecycle.reset(domain)
    return None


async def _suspend(request: IncomingCall, domain: ManagedDomain) -> Answer:
    await request.services.lifecycle.suspend(domain)
    return None


async def _resume(request: IncomingCall, domain: ManagedDomain) -> Answer:
    await request.services.lifecycle.resume(domain)
    return None


async def _rename(request: IncomingCall, domain: ManagedDomain, new_name: str | None, flags: int) -> Answer:
    request.allow_flags(flags, 0)
    if new_name is None:
        raise InvalidArgumentError("a domain cannot be renamed to nothing")
    await request.services.definitions.rename(domain, new_name)
    return (0,)


async def _set_autostart(request: IncomingCall, domain: ManagedDomain, autostart: int) -> Answer:
    await request.services.definitions.set_autostart(domain, on=bool(autostart))
    return None


async def _set_autostart_once(request: IncomingCall, domain: ManagedDomain, autostart: int) -> Answer:
    await request.services.definitions.set_autostart_once(domain, on=bool(autostart))
    return None


async def _start_with_dependencies(request: IncomingCall, domain: ManagedDomain, flags: int) -> Answer:
    request.allow_flags(flags, 0)
    await request.services.boot.start_with_needs(domain, permitted=request.seen)
    return (to_wire(domain.ref),)


async def _wait_ready(request: IncomingCall, domain: ManagedDomain, flags: int) -> Answer:
    request.allow_flags(flags, 0)
    await request.services.readiness.wait(domain)
    return None


def _stop_order(request: IncomingCall, flags: int) -> Answer:
    request.allow_flags(flags, 0)
    stages = request.services.boot.stop_stages(request.visible(request.services.domains))
    return (json.dumps(stages, separators=(",", ":")),)


HANDLERS: dict[Procedure, Handler] = {
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
    Remote.DOMAIN_RESET: _reset,
    Remote.DOMAIN_SUSPEND: _suspend,
    Remote.DOMAIN_RESUME: _resume,
    Remote.DOMAIN_SET_AUTOSTART: _set_autostart,
    Remote.DOMAIN_SET_AUTOSTART_ONCE: _set_autostart_once,
    Remote.DOMAIN_RENAME: _rename,
    Insula.DOMAIN_START_WITH_DEPENDENCIES: _start_with_dependencies,
    Insula.DOMAIN_WAIT_READY: _wait_ready,
    Insula.DOMAIN_STOP_ORDER: _stop_order,
}
