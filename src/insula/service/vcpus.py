"""The processors a domain is said to have: told from the definition, the control group's list and its consumed time.

A container's processors are no threads that could be counted or pinned one by one, so what is told of each is what is
true of all: they run, on any processor the domain may use, and share the domain's time evenly. Where one runs at this
instant has no answer; libvirt's word for that is -2, which clients print, and take for an index. So each is said to run
on one of those where it may, in turn.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from insula.model.numbers import Affect, VcpuState
from insula.model.sizes import parse_cpuset
from insula.service.impact import definition
from insula.service.managed import ManagedDomain
from insula.service.tuning import cgroup_errors


@dataclass(frozen=True, kw_only=True, slots=True)
class VcpuInfo:
    """cpu_time: nanoseconds; cpu: one of those where it may run; affinity: all of those."""

    number: int
    state: int
    cpu_time: int
    cpu: int
    affinity: frozenset[int]


def count(managed: ManagedDomain, affect: Affect, *, maximum: bool) -> int:
    """Return how many processors the domain has, or may have."""
    domain = definition(managed, affect)
    return domain.vcpu.count if maximum else domain.vcpu.current or domain.vcpu.count


def vcpus(managed: ManagedDomain, online: frozenset[int]) -> list[VcpuInfo]:
    """Return the processors of a running domain. online: the host's."""
    run = managed.require_run()
    group = run.container.group
    with cgroup_errors(managed, "processor time"):
        total = group.cpu_time.use().total
        held = group.limits().cpus
    number = managed.current.vcpu.current or managed.current.vcpu.count
    affinity = frozenset(parse_cpuset(held)) & online if held else online
    places = sorted(affinity or online)
    return [
        VcpuInfo(
            number=each,
            state=VcpuState.RUNNING,
            cpu_time=total // number,
            cpu=places[each % len(places)],
            affinity=affinity,
        )
        for each in range(number)
    ]


def pins(managed: ManagedDomain, affect: Affect, online: frozenset[int]) -> list[AbstractSet[int]]:
    """Return on which of the host's processors each of the domain's may run."""
    domain = definition(managed, affect)
    everywhere = domain.vcpu.cpus if domain.vcpu.cpus is not None else online
    pinned: dict[int, AbstractSet[int]] = (
        {each.vcpu: each.cpus for each in domain.cpu_tune.vcpu_pins} if domain.cpu_tune else {}
    )
    return [pinned.get(number, everywhere) for number in range(domain.vcpu.count)]
