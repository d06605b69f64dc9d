"""The verbs on limits of a domain, beside `set_memory`: conversations, as those of `verbs`."""

from collections.abc import Mapping

from insula.errors import InvalidArgumentError
from insula.model.numbers import Affect, ParameterType
from insula.model.sizes import parse_cpuset
from insula.rpc.procedures import Insula, Remote
from insula.rpc.wiretypes import DomainRef, TypedParameter
from insula.sdk.conversation import Conversation, ask, ask_for

_MAXIMUM = 1 << 2
"""Of the calls on memory. Source: VIR_DOMAIN_MEM_MAXIMUM in libvirt's public domain header."""
_KINDS = {
    "cpu_shares": ParameterType.ULLONG,
    "vcpu_period": ParameterType.ULLONG,
    "vcpu_quota": ParameterType.LLONG,
    "weight": ParameterType.UINT,
    "pids": ParameterType.UINT,
}


def set_maximum_memory(domain: DomainRef, kib: int, flags: Affect | int = 0) -> Conversation[None]:
    """Change the most it can be given, from its next start on. kib: KiB."""
    yield from ask(Remote.DOMAIN_SET_MEMORY_FLAGS, domain, kib, flags | _MAXIMUM)


def vcpus(domain: DomainRef, flags: int = 0) -> Conversation[int]:
    """How many virtual processors it has; flags: libvirt's `VIR_DOMAIN_VCPU_…`, such as 4 for the most it may have."""
    return (yield from ask_for(int, Remote.DOMAIN_GET_VCPUS_FLAGS, domain, flags))


def set_vcpus(domain: DomainRef, number: int, flags: Affect | int = 0) -> Conversation[None]:
    """Let it have so many virtual processors, each one of the host's. flags: with 4 the most it may have."""
    yield from ask(Remote.DOMAIN_SET_VCPUS_FLAGS, domain, number, flags)


def pin_vcpu(domain: DomainRef, vcpu: int, cpus: str, flags: Affect | int = 0) -> Conversation[None]:
    """Let one of its virtual processors be one of these of the host's. cpus: a list such as `0-3,8`.

    Raises: InvalidArgumentError for what is no such list.
    """
    try:
        wanted = parse_cpuset(cpus)
    except ValueError as error:
        raise InvalidArgumentError(f"'{cpus}' is no list of processors: {error}") from error
    cpumap = wanted.bitmap(-(-wanted.mask.bit_length() // 8))
    yield from ask(Remote.DOMAIN_PIN_VCPU_FLAGS, domain, vcpu, cpumap, flags)


def set_scheduling(domain: DomainRef, values: Mapping[str, int], flags: Affect | int = 0) -> Conversation[None]:
    """Change its share of the processors: libvirt's `cpu_shares`, `vcpu_period` and `vcpu_quota`, -1 for no quota."""
    yield from ask(Remote.DOMAIN_SET_SCHEDULER_PARAMETERS_FLAGS, domain, _typed(values), flags)


def set_block_tuning(domain: DomainRef, values: Mapping[str, int], flags: Affect | int = 0) -> Conversation[None]:
    """Change its share of the disks: libvirt's `weight`."""
    yield from ask(Remote.DOMAIN_SET_BLKIO_PARAMETERS, domain, _typed(values), flags)


def set_process_limits(domain: DomainRef, values: Mapping[str, int], flags: Affect | int = 0) -> Conversation[None]:
    """Change how many processes and threads there may be (`pids`)."""
    yield from ask(Insula.DOMAIN_SET_PROCESS_LIMITS, domain, _typed(values), flags)


def _typed(values: Mapping[str, int]) -> list[TypedParameter]:
    return [TypedParameter(name, _KINDS[name], value) for name, value in values.items()]
