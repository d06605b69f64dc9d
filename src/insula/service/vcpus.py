"""A domain's virtual processors, told: from the definition, the run's seats and the control group's consumed time.

Where each virtual processor is one of the host's, that is told of each: where it is, and what ran there. Elsewhere they
are no threads that could be told apart: all run where the domain may, and share its time evenly. Where one runs at this
instant has no answer then; libvirt's word for that is -2, which clients print, and take for an index. So each is said
to run on one of those where it may, in turn.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from insula.errors import OperationInvalidError
from insula.kernel.cgroups.stats import CpuUse
from insula.model.domain import DomainDefinition
from insula.model.numbers import Affect, ParameterType, VcpuState
from insula.model.sizes import format_cpuset, parse_cpuset
from insula.service.claims import allowed_of, pins_of
from insula.service.impact import definition
from insula.service.managed import ManagedDomain, Run
from insula.service.parameters import Parameter
from insula.service.seats import Processors, places
from insula.service.tuning import cgroup_errors

NOWHERE = -1
"""What is said of the processor of a virtual one that is not at work. Source: VIR_VCPU_INFO_CPU_OFFLINE."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VcpuInfo:
    """cpu_time: nanoseconds; cpu: the host's processor that it is, else one of those where it may run; affinity: all of
    those."""

    number: int
    state: int
    cpu_time: int
    cpu: int
    affinity: AbstractSet[int]


def count(managed: ManagedDomain, affect: Affect, *, maximum: bool) -> int:
    """Return how many processors the domain has, or may have."""
    domain = definition(managed, affect)
    return domain.vcpu.count if maximum else len(domain.vcpus_in_use)


def seen_inside(managed: ManagedDomain) -> tuple[int, ...]:
    """Return the numbers of the virtual processors that programs in the guest count.

    Raises: OperationInvalidError if it is off.
    """
    placed = seats_of(managed, managed.require_run())
    return managed.current.vcpus_in_use if placed is None else tuple(sorted(placed))


def guest_vcpus(managed: ManagedDomain) -> list[Parameter]:
    """Return which virtual processors the guest may have, has, and can do without, in libvirt's words.

    Raises: OperationInvalidError if it is off.
    """
    numbers = range(managed.current.vcpu.count)
    lists = {"vcpus": numbers, "online": seen_inside(managed), "offlinable": numbers[1:]}
    return [Parameter(name, ParameterType.STRING, format_cpuset(each)) for name, each in lists.items()]


def seats_of(managed: ManagedDomain, run: Run) -> dict[int, int] | None:
    """Return which of the host's processors each virtual one is; None where it is not one of its own."""
    seated = run.record.seated
    if seated is None or seated.claim.whole:
        return None
    return places(Processors.bare(seated.cpus), seated.claim, managed.current.vcpus_in_use, seated.cpus)


def vcpus(managed: ManagedDomain, online: frozenset[int]) -> list[VcpuInfo]:
    """Return the virtual processors in use of a running domain. online: the host's."""
    run = managed.require_run()
    group = run.container.group
    with cgroup_errors(managed, "processor time"):
        use = group.cpu_time.use()
        held = group.limits().cpus
    used = managed.current.vcpus_in_use
    affinity = frozenset(parse_cpuset(held)) & online if held else online
    placed = seats_of(managed, run)
    times = _times(use, used, placed)
    if placed is None or not affinity.issuperset(placed.values()):  # it is not on what was chosen: it is told as it is
        everywhere = sorted(affinity or online)
        placed = {each: everywhere[place % len(everywhere)] for place, each in enumerate(used)}
    else:
        affinity = frozenset()
    return [
        VcpuInfo(
            number=each,
            state=VcpuState.RUNNING if each in placed else VcpuState.OFFLINE,
            cpu_time=times[each],
            cpu=placed.get(each, NOWHERE),
            affinity=affinity or frozenset({placed[each]} if each in placed else online),
        )
        for each in used
    ]


def times(managed: ManagedDomain, run: Run, use: CpuUse) -> dict[int, int]:
    """Return the nanoseconds of each virtual processor in use, which are what the domain used in all."""
    return _times(use, managed.current.vcpus_in_use, seats_of(managed, run))


def _times(use: CpuUse, used: tuple[int, ...], placed: dict[int, int] | None) -> dict[int, int]:
    """What ran on a processor is its virtual one's, if the kernel tells that (v1); the rest is everybody's."""
    at_work = used if placed is None else tuple(placed)
    own = {each: use.per_cpu[cpu] for each, cpu in (placed or {}).items() if cpu < len(use.per_cpu)}
    share = max(0, use.total - sum(own.values())) // max(1, len(at_work))
    return {each: own.get(each, 0) + (share if each in at_work else 0) for each in used}


def pins(managed: ManagedDomain, affect: Affect, online: frozenset[int]) -> list[AbstractSet[int]]:
    """Return on which of the host's processors each of the domain's may be."""
    domain = definition(managed, affect)
    allowed, pinned = allowed_of(domain), pins_of(domain)
    everywhere = online if allowed is None else allowed
    return [pinned.get(number, everywhere) for number in range(domain.vcpu.count)]


def emulator_pin(managed: ManagedDomain, affect: Affect, online: frozenset[int]) -> AbstractSet[int]:
    """Return where an emulator would run: as it is pinned, else where the domain's processors may be."""
    domain = definition(managed, affect)
    pin = domain.cpu_tune.emulator_pin if domain.cpu_tune is not None else None
    allowed = allowed_of(domain)
    return pin if pin is not None else online if allowed is None else allowed


def refuse_unless_there(domain: DomainDefinition, vcpu: int) -> None:
    """Raises: OperationInvalidError if a domain cannot have a virtual processor of this number."""
    if vcpu >= domain.vcpu.count:
        raise OperationInvalidError(f"vcpu {vcpu} is out of range: the domain has {domain.vcpu.count}, from 0 on")
