"""What a domain may use: memory, block I/O, scheduling."""

import json
from collections.abc import Sequence
from functools import partial

from insula.daemon.incomingcall import Answer, Handler, IncomingCall
from insula.daemon.wire import STRING_OKAY, counted, parameters_from_wire, shown
from insula.engine.threads import in_own_thread
from insula.model.numbers import Affect
from insula.model.sizes import KiB
from insula.model.visible import visible
from insula.rpc.codes.requestcodes import MemoryFlags
from insula.rpc.procedures import Insula, Procedure, Remote
from insula.rpc.wiretypes import TypedParameter
from insula.service.blocktuning import BLKIO
from insula.service.cputuning import CPU, SCHEDULER
from insula.service.limitoverview import limit_rows
from insula.service.managed import ManagedDomain
from insula.service.memorytuning import MEMORY
from insula.service.numatuning import NUMA
from insula.service.owntuning import OWN
from insula.service.tuning import Family, cgroup_errors

_AFFECT = Affect.LIVE | Affect.CONFIG


def _getter(family: Family) -> Handler:
    """A handler for typed parameters that are asked for twice: how many, then which."""

    def answer(request: IncomingCall, domain: ManagedDomain, nparams: int, flags: int) -> Answer:
        parameters = request.services.tuning.parameters(domain, family, Affect(flags & _AFFECT))
        return counted(shown(parameters, flags), nparams)

    return answer


def _setter(family: Family) -> Handler:
    async def answer(
        request: IncomingCall, domain: ManagedDomain, params: Sequence[TypedParameter], flags: int
    ) -> Answer:
        request.allow_flags(flags, _AFFECT | STRING_OKAY)
        affect = Affect(flags & _AFFECT)
        await request.services.tuning.set_parameters(domain, family, parameters_from_wire(params), affect)
        return None

    return answer


def _interface_parameters(
    request: IncomingCall, domain: ManagedDomain, device: str, nparams: int, flags: int
) -> Answer:
    parameters = request.services.interface_tuning.parameters(domain, device, Affect(flags & _AFFECT))
    return counted(shown(parameters, flags), nparams)


async def _set_interface_parameters(
    request: IncomingCall, domain: ManagedDomain, device: str, params: Sequence[TypedParameter], flags: int
) -> Answer:
    request.allow_flags(flags, _AFFECT | STRING_OKAY)
    verbs, affect = request.services.interface_tuning, Affect(flags & _AFFECT)
    await verbs.set_parameters(domain, device, parameters_from_wire(params), affect)
    return None


# Scheduling: the older calls have no flags, and no getter answers with a count


def _scheduler_type(request: IncomingCall, domain: ManagedDomain) -> Answer:
    return SCHEDULER, len(CPU.table)


def _scheduler(request: IncomingCall, domain: ManagedDomain, nparams: int) -> Answer:
    parameters = request.services.tuning.parameters(domain, CPU, Affect.CURRENT)
    return (shown(parameters, 0)[:nparams],)


def _scheduler_with_flags(request: IncomingCall, domain: ManagedDomain, nparams: int, flags: int) -> Answer:
    parameters = request.services.tuning.parameters(domain, CPU, Affect(flags & _AFFECT))
    return (shown(parameters, flags)[:nparams],)


async def _set_scheduler(request: IncomingCall, domain: ManagedDomain, params: Sequence[TypedParameter]) -> Answer:
    await request.services.tuning.set_parameters(domain, CPU, parameters_from_wire(params), Affect.CURRENT)
    return None


# Memory


def _maximum_memory(request: IncomingCall, domain: ManagedDomain) -> Answer:
    return (domain.current.memory,)


async def _set_maximum_memory(request: IncomingCall, domain: ManagedDomain, memory: int) -> Answer:
    await request.services.memory.set_maximum_memory(domain, KiB(memory), Affect.CURRENT)
    return None


async def _set_memory(request: IncomingCall, domain: ManagedDomain, memory: int) -> Answer:
    await request.services.memory.set_memory(domain, KiB(memory), Affect.LIVE)
    return None


async def _set_memory_with_flags(request: IncomingCall, domain: ManagedDomain, memory: int, flags: int) -> Answer:
    request.allow_flags(flags, _AFFECT | MemoryFlags.MAXIMUM)
    verbs, affect = request.services.memory, Affect(flags & _AFFECT)
    if flags & MemoryFlags.MAXIMUM:
        await verbs.set_maximum_memory(domain, KiB(memory), affect)
    else:
        await verbs.set_memory(domain, KiB(memory), affect)
    return None


# Ours


async def _limits(request: IncomingCall, domain: ManagedDomain, flags: int) -> Answer:
    request.allow_flags(flags, 0)
    async with request.client.bulk:
        with cgroup_errors(domain, "limits"):
            rows = await in_own_thread(partial(limit_rows, domain))
    return (json.dumps([each.described() for each in rows], separators=(",", ":")),)


def _control_file(request: IncomingCall, domain: ManagedDomain, key: str, flags: int) -> Answer:
    request.allow_flags(flags, 0)
    with cgroup_errors(domain, f"control file '{visible(key)}'"):
        return (domain.require_run().container.group.keys.read(key),)


HANDLERS: dict[Procedure, Handler] = {
    Remote.DOMAIN_GET_MEMORY_PARAMETERS: _getter(MEMORY),
    Remote.DOMAIN_SET_MEMORY_PARAMETERS: _setter(MEMORY),
    Remote.DOMAIN_GET_BLKIO_PARAMETERS: _getter(BLKIO),
    Remote.DOMAIN_SET_BLKIO_PARAMETERS: _setter(BLKIO),
    Remote.DOMAIN_GET_NUMA_PARAMETERS: _getter(NUMA),
    Remote.DOMAIN_SET_NUMA_PARAMETERS: _setter(NUMA),
    Remote.DOMAIN_GET_INTERFACE_PARAMETERS: _interface_parameters,
    Remote.DOMAIN_SET_INTERFACE_PARAMETERS: _set_interface_parameters,
    Insula.DOMAIN_LIMITS: _limits,
    Insula.DOMAIN_CONTROL_FILE: _control_file,
    Insula.DOMAIN_SET_LIMITS: _setter(OWN),
    Remote.DOMAIN_GET_SCHEDULER_TYPE: _scheduler_type,
    Remote.DOMAIN_GET_SCHEDULER_PARAMETERS: _scheduler,
    Remote.DOMAIN_GET_SCHEDULER_PARAMETERS_FLAGS: _scheduler_with_flags,
    Remote.DOMAIN_SET_SCHEDULER_PARAMETERS: _set_scheduler,
    Remote.DOMAIN_SET_SCHEDULER_PARAMETERS_FLAGS: _setter(CPU),
    Remote.DOMAIN_GET_MAX_MEMORY: _maximum_memory,
    Remote.DOMAIN_SET_MAX_MEMORY: _set_maximum_memory,
    Remote.DOMAIN_SET_MEMORY: _set_memory,
    Remote.DOMAIN_SET_MEMORY_FLAGS: _set_memory_with_flags,
}
