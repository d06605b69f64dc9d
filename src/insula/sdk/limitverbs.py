"""The verbs on limits of a domain, beside `set_memory`: conversations, as those of `verbs`."""

from collections.abc import Mapping
from typing import Any

from insula.errors import InvalidArgumentError
from insula.model.numbers import Affect, ParameterType
from insula.model.sizes import parse_cpuset
from insula.rpc.procedures import Insula, Remote
from insula.rpc.wiretypes import DomainRef, TypedParameter
from insula.sdk.conversation import Conversation, ask, ask_for
from insula.sdk.verbs import json_list

_MAXIMUM = 1 << 2
"""Of the calls on memory. Source: VIR_DOMAIN_MEM_MAXIMUM in libvirt's public domain header."""
_KINDS = {
    "cpu_shares": ParameterType.ULLONG,
    "vcpu_period": ParameterType.ULLONG,
    "vcpu_quota": ParameterType.LLONG,
    "weight": ParameterType.UINT,
    "hard_limit": ParameterType.ULLONG,
    "soft_limit": ParameterType.ULLONG,
    "swap_hard_limit": ParameterType.ULLONG,
    "min_guarantee": ParameterType.ULLONG,
    "numa_mode": ParameterType.INT,
    "pids": ParameterType.UINT,
    "cpu_burst": ParameterType.ULLONG,
    "cpu_idle": ParameterType.BOOLEAN,
    "zswap_limit": ParameterType.ULLONG,
    "zswap_writeback": ParameterType.BOOLEAN,
}
"""What is a number; all else is text."""


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


def set_block_tuning(domain: DomainRef, values: Mapping[str, int | str], flags: Affect | int = 0) -> Conversation[None]:
    """Change its share of the disks: libvirt's `weight`, and `device_weight`, `device_read_bytes_sec` and the like.

    values: what is about devices is text, such as `/dev/sda,1048576`, with 0 for none.
    """
    yield from ask(Remote.DOMAIN_SET_BLKIO_PARAMETERS, domain, _typed(values), flags)


def set_memory_tuning(domain: DomainRef, values: Mapping[str, int], flags: Affect | int = 0) -> Conversation[None]:
    """Change libvirt's `hard_limit`, `soft_limit`, `swap_hard_limit` and `min_guarantee`, in KiB.

    What libvirt says for none, `model.sizes.UNLIMITED_KIB`, takes one away, and 0 the guarantee.
    """
    yield from ask(Remote.DOMAIN_SET_MEMORY_PARAMETERS, domain, _typed(values), flags)


def set_numa_tuning(domain: DomainRef, values: Mapping[str, int | str], flags: Affect | int = 0) -> Conversation[None]:
    """Change where its memory comes from: libvirt's `numa_mode` and `numa_nodeset`.

    numa_mode: 0 (strict), 1 (preferred), 2 (interleave) or 3 (restrictive); of a guest that runs only nodes that are
    strict or restrictive change. numa_nodeset: a list such as `0-1`, "" for all.
    """
    yield from ask(Remote.DOMAIN_SET_NUMA_PARAMETERS, domain, _typed(values), flags)


def set_limits(domain: DomainRef, values: Mapping[str, int | str], flags: Affect | int = 0) -> Conversation[None]:
    """Change limits that libvirt has no call for, by the names of `docs/reference/limits.md`.

    pids: tasks, 0 for the usual number; cpu_burst: microseconds, 0 for none; cpu_idle, zswap_writeback: 0 or 1;
    zswap_limit: KiB; device_latency: `PATH,MICROSECONDS`; hugepages: `PAGE,LIMIT` in KiB; misc: `RESOURCE,LIMIT`, each
    with more pairs behind it, `max` taking a limit away; cgroup: lines of `KEY=VALUE`, with no value to take it away.

    Raises: InvalidArgumentError, and nothing is changed; OperationInvalidError for what this host has not.
    """
    yield from ask(Insula.DOMAIN_SET_LIMITS, domain, _typed(values), flags)


def set_control_file(domain: DomainRef, key: str, value: str | None, flags: Affect | int = 0) -> Conversation[None]:
    """Write a control file of its group, such as `memory.oom.group`, and keep that with its limits.

    value: None for what a new group has. Raises: as `set_limits`.
    """
    yield from set_limits(domain, {"cgroup": f"{key}={value or ''}"}, flags)


def control_file(domain: DomainRef, key: str) -> Conversation[str]:
    """Return what a control file of its group says, now that it runs.

    Raises: InvalidArgumentError for what names none; OperationInvalidError for what this host has not.
    """
    return (yield from ask_for(str, Insula.DOMAIN_CONTROL_FILE, domain, key, 0))


def limits(domain: DomainRef) -> Conversation[list[Mapping[str, Any]]]:
    """Return each limit: what is configured, what is in force, what is used of it, and what came of it.

    Each has `name`, `unit`, `configured`, `in_force`, `used`, `events` (counts by name), `pressure` (percent of the
    last ten seconds that some, and all, of its work waited for that) and `lacking`: why this host cannot have it.
    """
    return json_list((yield from ask(Insula.DOMAIN_LIMITS, domain, 0)))


def _typed(values: Mapping[str, int | str]) -> list[TypedParameter]:
    return [TypedParameter(name, _KINDS.get(name, ParameterType.STRING), value) for name, value in values.items()]
