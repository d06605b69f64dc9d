"""The verbs on limits of a domain, beside `set_memory`: conversations, as those of `verbs`."""

from collections.abc import Mapping

from insula.model.numbers import Affect, ParameterType
from insula.rpc.procedures import Remote
from insula.rpc.wiretypes import DomainRef, TypedParameter
from insula.sdk.conversation import Conversation, ask

_MAXIMUM = 1 << 2
"""Of the calls on memory. Source: VIR_DOMAIN_MEM_MAXIMUM in libvirt's public domain header."""
_KINDS = {
    "cpu_shares": ParameterType.ULLONG,
    "vcpu_period": ParameterType.ULLONG,
    "vcpu_quota": ParameterType.LLONG,
    "weight": ParameterType.UINT,
}


def set_maximum_memory(domain: DomainRef, kib: int, flags: Affect | int = 0) -> Conversation[None]:
    """Change the most it can be given, from its next start on. kib: KiB."""
    yield from ask(Remote.DOMAIN_SET_MEMORY_FLAGS, domain, kib, flags | _MAXIMUM)


def set_scheduling(domain: DomainRef, values: Mapping[str, int], flags: Affect | int = 0) -> Conversation[None]:
    """Change its share of the processors: libvirt's `cpu_shares`, `vcpu_period` and `vcpu_quota`, -1 for no quota."""
    yield from ask(Remote.DOMAIN_SET_SCHEDULER_PARAMETERS_FLAGS, domain, _typed(values), flags)


def set_block_tuning(domain: DomainRef, values: Mapping[str, int], flags: Affect | int = 0) -> Conversation[None]:
    """Change its share of the disks: libvirt's `weight`."""
    yield from ask(Remote.DOMAIN_SET_BLKIO_PARAMETERS, domain, _typed(values), flags)


def _typed(values: Mapping[str, int]) -> list[TypedParameter]:
    return [TypedParameter(name, _KINDS[name], value) for name, value in values.items()]
