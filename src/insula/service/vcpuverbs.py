"""Changes of a domain's virtual processors: how many, which, and where. Source of names and checks: libvirt's drivers.

A change of what runs is a change of its seats, so it is felt at once and needs nothing of the guest: its programs count
what their control group has.
"""

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import replace

from insula.errors import InsulaError, InvalidArgumentError, OperationInvalidError
from insula.model.domain import DomainDefinition
from insula.model.numbers import Affect, ParameterType
from insula.model.resourcetuning import VCPU_MAX, CpuTune, OneVcpu, SingleVcpus, VcpuPin
from insula.model.scalars import YesNo
from insula.model.sizes import CpuSet, format_cpuset
from insula.service.events import Events, LimitChangeFailed, Tunable, VcpuRemoved, VcpusChanged
from insula.service.impact import Changes, Effect
from insula.service.jobs import OperationKind
from insula.service.managed import ManagedDomain
from insula.service.parameters import Parameter
from insula.service.reseating import Reseating
from insula.service.vcpus import refuse_unless_there


class VcpuVerbs:
    """setvcpus, setvcpu, guestvcpus, vcpupin and emulatorpin."""

    def __init__(self, *, changes: Changes, reseating: Reseating, events: Events) -> None:
        self._changes = changes
        self._reseating = reseating
        self._events = events

    async def set_count(self, managed: ManagedDomain, number: int, affect: Affect) -> None:
        """Let so many virtual processors be in use.

        Raises: InvalidArgumentError for none, or more than the domain may have.
        """

        def changed(domain: DomainDefinition) -> DomainDefinition:
            if number > domain.vcpu.count:
                raise InvalidArgumentError(
                    f"requested vcpus is greater than max allowable vcpus for the domain: {number} > "
                    f"{domain.vcpu.count}"
                )
            used = domain.vcpus_in_use
            idle = (each for each in range(domain.vcpu.count) if each not in used)
            return _using(domain, frozenset((*used, *idle)[:number]))

        await self._change(managed, affect, _some(number, changed))

    async def set_maximum(self, managed: ManagedDomain, number: int, affect: Affect) -> None:
        """Change how many virtual processors the domain may have from its next start on.

        Raises: InvalidArgumentError for none, or too many; OperationInvalidError for that of what runs.
        """

        def changed(domain: DomainDefinition) -> DomainDefinition:
            if number > VCPU_MAX:
                raise InvalidArgumentError(f"a domain has at most {VCPU_MAX} vcpus, not {number}")
            used = {each for each in domain.vcpus_in_use if each < number}
            tune = domain.cpu_tune
            if tune is not None:
                tune = replace(tune, vcpu_pins=tuple(each for each in tune.vcpu_pins if each.vcpu < number))
            domain = replace(domain, vcpu=replace(domain.vcpu, count=number), cpu_tune=_something(tune))
            return _using(domain, used or {0})

        if Affect.LIVE in affect or (affect == Affect.CURRENT and managed.is_active):
            raise OperationInvalidError("maximum vcpu count of a live domain can't be modified")
        await self._change(managed, affect, _some(number, changed))

    async def enable(self, managed: ManagedDomain, vcpus: Iterable[int], affect: Affect, *, enabled: bool) -> None:
        """Let single virtual processors be in use or not; those that are already stay so.

        Raises: OperationInvalidError for one that the domain cannot have; InvalidArgumentError for one that every guest
        needs.
        """
        meant = set(vcpus)

        def changed(domain: DomainDefinition) -> DomainDefinition:
            for each in sorted(meant):
                refuse_unless_there(domain, each)
            if 0 in meant and not enabled:
                raise InvalidArgumentError("vCPU '0' can't be modified: no guest does without it")
            used = set(domain.vcpus_in_use)
            return _using(domain, used | meant if enabled else used - meant)

        await self._change(managed, affect, changed)

    async def pin(self, managed: ManagedDomain, vcpu: int, cpus: CpuSet, affect: Affect) -> None:
        """Let one virtual processor be one of these of the host's.

        Raises: InvalidArgumentError where there is none; OperationInvalidError for one that the domain cannot have.
        """

        def changed(domain: DomainDefinition) -> DomainDefinition:
            refuse_unless_there(domain, vcpu)
            tune = domain.cpu_tune or CpuTune()
            others = [each for each in tune.vcpu_pins if each.vcpu != vcpu]
            pins = sorted((*others, VcpuPin(vcpu=vcpu, cpus=cpus)), key=lambda each: each.vcpu)
            return replace(domain, cpu_tune=replace(tune, vcpu_pins=tuple(pins)))

        _refuse_none(cpus)
        await self._change(managed, affect, changed, told={f"cputune.vcpupin{vcpu}": cpus})

    async def pin_emulator(self, managed: ManagedDomain, cpus: CpuSet, affect: Affect) -> None:
        """Keep where an emulator would run, which no container has. Raises: InvalidArgumentError for nowhere."""

        def changed(domain: DomainDefinition) -> DomainDefinition:
            return replace(domain, cpu_tune=replace(domain.cpu_tune or CpuTune(), emulator_pin=cpus))

        _refuse_none(cpus)
        await self._change(managed, affect, changed, told={"cputune.emulatorpin": cpus}, apply=_nowhere)

    async def _change(
        self,
        managed: ManagedDomain,
        affect: Affect,
        changed: Callable[[DomainDefinition], DomainDefinition],
        *,
        told: dict[str, CpuSet] | None = None,
        apply: Effect | None = None,
    ) -> None:
        async def work() -> None:
            before = managed.current.vcpus_in_use if managed.is_active else ()
            try:
                await self._changes.change(managed, affect, changed, apply=apply or self._reseating.claim)
            except Exception:
                if managed.is_active and affect != Affect.CONFIG:
                    self._tell_failed(managed, changed)
                raise
            now = managed.current.vcpus_in_use
            for each in sorted({*before} - {*now}):
                self._events.publish(VcpuRemoved(domain=managed.ref, vcpu=each))
            if managed.is_active and {*before} != {*now}:
                self._events.publish(VcpusChanged(domain=managed.ref))
            if told and managed.is_active and affect != Affect.CONFIG:
                parameters = tuple(
                    Parameter(name, ParameterType.STRING, format_cpuset(cpus)) for name, cpus in told.items()
                )
                self._events.publish(Tunable(domain=managed.ref, parameters=parameters))

        await managed.lock.perform("set vcpus", work, change=OperationKind.LIMITS)

    def _tell_failed(self, managed: ManagedDomain, changed: Callable[[DomainDefinition], DomainDefinition]) -> None:
        """Tell which number of processors the guest could not be given, if that was wanted and could be."""
        with suppress(InsulaError):
            wanted = len(changed(managed.current).vcpus_in_use)
            if wanted != len(managed.current.vcpus_in_use):
                self._events.publish(LimitChangeFailed(domain=managed.ref, resource="vcpu", wanted=wanted))


async def _nowhere(managed: ManagedDomain, domain: DomainDefinition) -> None:
    """What nothing that runs is concerned by."""


def _some(
    number: int, changed: Callable[[DomainDefinition], DomainDefinition]
) -> Callable[[DomainDefinition], DomainDefinition]:
    """Raises: InvalidArgumentError for no processors at all."""
    if number < 1:
        raise InvalidArgumentError("a domain cannot do without vcpus: give one or more")
    return changed


def _refuse_none(cpus: CpuSet) -> None:
    if not cpus:
        raise InvalidArgumentError("Empty cpu list for pinning")


def _using(domain: DomainDefinition, numbers: AbstractSet[int]) -> DomainDefinition:
    """Return domain with these virtual processors in use; named one by one only where they are not the first ones."""
    total = domain.vcpu.count
    vcpu = replace(domain.vcpu, current=None if len(numbers) == total else len(numbers))
    if numbers == set(range(len(numbers))):
        return replace(domain, vcpu=vcpu, single_vcpus=None)
    known = {each.number: each for each in domain.single_vcpus.each} if domain.single_vcpus is not None else {}
    single = tuple(
        replace(known.get(each, OneVcpu(number=each)), enabled=YesNo.YES if each in numbers else YesNo.NO)
        for each in range(total)
    )
    return replace(domain, vcpu=vcpu, single_vcpus=SingleVcpus(each=single))


def _something(tune: CpuTune | None) -> CpuTune | None:
    return None if tune == CpuTune() else tune
