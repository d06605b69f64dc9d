"""What a domain may use: memory, block I/O, scheduling, virtual processors."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from insula.daemon.request import Answer, Handler, Request
from insula.daemon.wire import (
    STRING_OKAY,
    counted,
    cpu_maps,
    from_wire,
    parameters_from_wire,
    shown,
)
from insula.errors import OperationUnsupportedError
from insula.rpc.codes.requests import MemoryFlags, VcpuFlags
from insula.rpc.procedures import Procedure, Remote
from insula.service.domains import Domains
from insula.service.events import DomainRef
from insula.service.parameters import Parameter
from insula.service.requests import Affect

_AFFECT = Affect.LIVE | Affect.CONFIG
_Getter = Callable[[Domains, DomainRef, Affect], Sequence[Parameter]]
_Setter = Callable[[Domains, DomainRef, Sequence[Parameter], Affect], Coroutine[Any, Any, None]]


def _getter(getter: _Getter) -> Handler:
    """A handler for typed parameters that are asked for twice: how many, then which."""

    def answer(request: Request, arguments: Any) -> Answer:
        affect = Affect(arguments.flags & _AFFECT)
        parameters = getter(request.services.domains, from_wire(arguments.dom), affect)
        return counted(shown(parameters, arguments.flags), arguments.nparams)

    return answer


def _setter(setter: _Setter) -> Handler:
    async def answer(request: Request, arguments: Any) -> Answer:
        request.allow_flags(arguments.flags, _AFFECT | STRING_OKAY)
        affect = Affect(arguments.flags & _AFFECT)
        await setter(request.services.domains, from_wire(arguments.dom), parameters_from_wire(arguments.params), affect)
        return None

    return answer


# Scheduling: the older calls have no flags, and no getter answers with a count


def _scheduler_type(request: Request, arguments: Any) -> Answer:
    return request.services.domains.scheduler_type(from_wire(arguments.dom))


def _scheduler(request: Request, arguments: Any) -> Answer:
    parameters = request.services.domains.scheduler_parameters(from_wire(arguments.dom), Affect.CURRENT)
    return (shown(parameters, 0)[: arguments.nparams],)


def _scheduler_with_flags(request: Request, arguments: Any) -> Answer:
    affect = Affect(arguments.flags & _AFFECT)
    parameters = request.services.domains.scheduler_parameters(from_wire(arguments.dom), affect)
    return (shown(parameters, arguments.flags)[: arguments.nparams],)


async def _set_scheduler(request: Request, arguments: Any) -> Answer:
    parameters = parameters_from_wire(arguments.params)
    await request.services.domains.set_scheduler_parameters(from_wire(arguments.dom), parameters, Affect.CURRENT)
    return None


# Memory


def _maximum_memory(request: Request, arguments: Any) -> Answer:
    return (request.services.domains.maximum_memory(from_wire(arguments.dom)),)


async def _set_maximum_memory(request: Request, arguments: Any) -> Answer:
    await request.services.domains.set_maximum_memory(from_wire(arguments.dom), arguments.memory, Affect.CURRENT)
    return None


async def _set_memory(request: Request, arguments: Any) -> Answer:
    await request.services.domains.set_memory(from_wire(arguments.dom), arguments.memory, Affect.LIVE)
    return None


async def _set_memory_with_flags(request: Request, arguments: Any) -> Answer:
    request.allow_flags(arguments.flags, _AFFECT | MemoryFlags.MAXIMUM)
    domains, domain = request.services.domains, from_wire(arguments.dom)
    affect = Affect(arguments.flags & _AFFECT)
    if arguments.flags & MemoryFlags.MAXIMUM:
        await domains.set_maximum_memory(domain, arguments.memory, affect)
    else:
        await domains.set_memory(domain, arguments.memory, affect)
    return None


# Virtual processors: reading


def _vcpu_count(request: Request, arguments: Any) -> Answer:
    if arguments.flags & VcpuFlags.GUEST:
        raise OperationUnsupportedError("the guest is not asked for its processors: there is no agent in it")
    affect = Affect(arguments.flags & _AFFECT)
    maximum = bool(arguments.flags & VcpuFlags.MAXIMUM)
    return (request.services.domains.vcpu_count(from_wire(arguments.dom), affect, maximum=maximum),)


def _maximum_vcpus(request: Request, arguments: Any) -> Answer:
    return (request.services.domains.maximum_vcpus(from_wire(arguments.dom)),)


def _vcpus(request: Request, arguments: Any) -> Answer:
    vcpus = request.services.domains.vcpus(from_wire(arguments.dom))[: arguments.maxinfo]
    maps = cpu_maps([each.affinity for each in vcpus], arguments.maplen)
    return [(each.number, each.state, each.cpu_time, each.cpu) for each in vcpus], maps


def _vcpu_pins(request: Request, arguments: Any) -> Answer:
    affect = Affect(arguments.flags & _AFFECT)
    pins = request.services.domains.vcpu_pins(from_wire(arguments.dom), affect)[: arguments.ncpumaps]
    return cpu_maps(pins, arguments.maplen), len(pins)


HANDLERS: dict[Procedure, Handler] = {
    Remote.DOMAIN_GET_MEMORY_PARAMETERS: _getter(lambda domains, *asked: domains.memory_parameters(*asked)),
    Remote.DOMAIN_SET_MEMORY_PARAMETERS: _setter(lambda domains, *wanted: domains.set_memory_parameters(*wanted)),
    Remote.DOMAIN_GET_BLKIO_PARAMETERS: _getter(lambda domains, *asked: domains.blkio_parameters(*asked)),
    Remote.DOMAIN_SET_BLKIO_PARAMETERS: _setter(lambda domains, *wanted: domains.set_blkio_parameters(*wanted)),
    Remote.DOMAIN_GET_SCHEDULER_TYPE: _scheduler_type,
    Remote.DOMAIN_GET_SCHEDULER_PARAMETERS: _scheduler,
    Remote.DOMAIN_GET_SCHEDULER_PARAMETERS_FLAGS: _scheduler_with_flags,
    Remote.DOMAIN_SET_SCHEDULER_PARAMETERS: _set_scheduler,
    Remote.DOMAIN_SET_SCHEDULER_PARAMETERS_FLAGS: _setter(
        lambda domains, *wanted: domains.set_scheduler_parameters(*wanted)
    ),
    Remote.DOMAIN_GET_MAX_MEMORY: _maximum_memory,
    Remote.DOMAIN_SET_MAX_MEMORY: _set_maximum_memory,
    Remote.DOMAIN_SET_MEMORY: _set_memory,
    Remote.DOMAIN_SET_MEMORY_FLAGS: _set_memory_with_flags,
    Remote.DOMAIN_GET_VCPUS_FLAGS: _vcpu_count,
    Remote.DOMAIN_GET_MAX_VCPUS: _maximum_vcpus,
    Remote.DOMAIN_GET_VCPUS: _vcpus,
    Remote.DOMAIN_GET_VCPU_PIN_INFO: _vcpu_pins,
}
