"""How much memory a domain may use: memtune, setmem and setmaxmem.

A domain's memory is the most it can be given, its current memory what it may use now, its hard limit a further bound;
the control group is limited to the lowest of them. Source of names and checks: libvirt's LXC driver.
"""

from dataclasses import replace

from insula.engine.launch.limits import only
from insula.engine.spec import Limits
from insula.errors import InvalidArgumentError, OperationInvalidError
from insula.kernel.cgroups import Cgroup
from insula.model.domain import DomainDefinition
from insula.model.numbers import Affect, ParameterType
from insula.model.resourcetuning import MemoryTune
from insula.model.sizes import UNLIMITED_KIB, KiB
from insula.service.domainlimits import limits_of
from insula.service.events import BalloonChange, Events, LimitChangeFailed
from insula.service.impact import Changes, impact
from insula.service.jobs import OperationKind
from insula.service.managed import ManagedDomain
from insula.service.memoryjobs import MemoryJobs
from insula.service.parameters import Value
from insula.service.tuning import Family, Values

_FIELDS = {
    "hard_limit": ("memory",),
    "soft_limit": ("memory_soft",),
    "swap_hard_limit": ("memory", "memory_and_swap"),
    "min_guarantee": ("memory_guarantee",),
}
"""The limits that a parameter is about; swap is what a sum leaves beside the memory."""


class MemoryVerbs:
    """setmem and setmaxmem."""

    def __init__(self, *, changes: Changes, events: Events, jobs: MemoryJobs) -> None:
        self._changes = changes
        self._events = events
        self._jobs = jobs

    async def set_memory(self, managed: ManagedDomain, size: KiB, affect: Affect) -> None:
        """Let the domain use so much; a guest that holds more is made to give it back, as a job.

        A job that is under way is given up for it. Raises: InvalidArgumentError if that is more than its memory; as
        `MemoryJobs.take`.
        """

        def changed(domain: DomainDefinition) -> DomainDefinition:
            if size > domain.memory:
                raise InvalidArgumentError(
                    f"cannot set memory higher than max memory: {size} KiB is more than {domain.memory} KiB"
                )
            if size == 0:
                raise InvalidArgumentError("a domain cannot do without memory")
            return replace(domain, current_memory=size)

        async def work() -> bool:
            """Return whether the domain can use no more than that now: what is in use fits."""
            if impact(managed, affect).run is not None and _holds_more(managed, changed(managed.current)):
                return False
            before = managed.current.memory_now
            effect = self._changes.limiting(lambda domain: only(limits_of(domain), {"memory"}))
            try:
                await self._changes.change(managed, affect, changed, apply=effect)
            except Exception:
                if managed.is_active and affect != Affect.CONFIG:
                    self._events.publish(LimitChangeFailed(domain=managed.ref, resource="mem", wanted=size))
                raise
            if managed.is_active and managed.current.memory_now != before:
                self._events.publish(BalloonChange(domain=managed.ref, actual=managed.current.memory_now))
            return True

        if managed.is_active and affect != Affect.CONFIG:
            changed(managed.current)  # what is refused ends no job
            await self._jobs.give_up(managed, "another set memory")
        if not await managed.lock.perform("set memory", work, change=OperationKind.MEMORY):
            await self._jobs.take(managed, affect, changed)

    async def set_maximum_memory(self, managed: ManagedDomain, size: KiB, affect: Affect) -> None:
        """Change the most the domain can be given, for its next start."""

        def changed(domain: DomainDefinition) -> DomainDefinition:
            if size == 0:
                raise InvalidArgumentError("a domain cannot do without memory")
            return replace(domain, memory=size, current_memory=min(domain.memory_now, size))

        async def work() -> None:
            if Affect.LIVE in affect or (affect == Affect.CURRENT and managed.is_active):
                raise OperationInvalidError("cannot resize the max memory on an active domain")
            await self._changes.change(managed, affect, changed)

        await managed.lock.perform("set maximum memory", work, change=OperationKind.MEMORY)


def _holds_more(managed: ManagedDomain, domain: DomainDefinition) -> bool:
    """Whether the guest uses more than the limit that a definition has; not where nobody can tell."""
    limit = domain.memory_limit
    try:
        used = managed.require_run().container.group.memory.use(summary=True).usage
    except OSError:
        return False
    return limit is not None and used > limit * 1024


def _defined(domain: DomainDefinition) -> Values:
    tune = domain.memory_tune or MemoryTune()
    return {
        "hard_limit": _or_unlimited(tune.hard_limit),
        "soft_limit": _or_unlimited(tune.soft_limit),
        "swap_hard_limit": _or_unlimited(tune.swap_hard_limit),
        "min_guarantee": tune.min_guarantee or 0,
    }


def _live(cgroup: Cgroup, domain: DomainDefinition) -> Values:
    memory, soft, guarantee, with_swap = cgroup.memory.held()
    return {
        "hard_limit": _or_unlimited(None if memory is None else memory // 1024),
        "soft_limit": _or_unlimited(None if soft is None else soft // 1024),
        "swap_hard_limit": _or_unlimited(None if with_swap is None else with_swap // 1024),
        "min_guarantee": (guarantee or 0) // 1024,
    }


def _changed(domain: DomainDefinition, values: Values) -> DomainDefinition:
    limits = {name: _limit(name, value) for name, value in values.items()}
    tune = domain.memory_tune or MemoryTune()
    tune = replace(
        tune,
        hard_limit=limits.get("hard_limit", tune.hard_limit),
        soft_limit=limits.get("soft_limit", tune.soft_limit),
        swap_hard_limit=limits.get("swap_hard_limit", tune.swap_hard_limit),
        min_guarantee=limits.get("min_guarantee", tune.min_guarantee),
    )
    if tune.swap_hard_limit is not None and (tune.hard_limit or domain.memory_now) > tune.swap_hard_limit:
        raise InvalidArgumentError(
            "memory hard_limit tunable value must be lower than or equal to swap_hard_limit, which is memory and swap"
        )
    return replace(domain, memory_tune=None if tune == MemoryTune() else tune)


def _limits(domain: DomainDefinition, values: Values) -> Limits:
    return only(limits_of(domain), {field for name in values for field in _FIELDS[name]})


def _limit(name: str, value: Value) -> KiB | None:
    size = int(value)
    if size > UNLIMITED_KIB:
        raise InvalidArgumentError(f"memory {size} KiB must be less than {UNLIMITED_KIB}")
    if name == "min_guarantee":
        return KiB(size) or None
    if size == 0:
        raise InvalidArgumentError(f"a {name} of 0 leaves the domain no memory; -1 takes the limit away")
    return None if size == UNLIMITED_KIB else KiB(size)


def _or_unlimited(size: int | None) -> int:
    return UNLIMITED_KIB if size is None else min(size, UNLIMITED_KIB)


MEMORY = Family(
    name="memory parameters",
    table={
        "hard_limit": ParameterType.ULLONG,
        "soft_limit": ParameterType.ULLONG,
        "swap_hard_limit": ParameterType.ULLONG,
        "min_guarantee": ParameterType.ULLONG,
    },
    defined=_defined,
    live=_live,
    changed=_changed,
    limits=_limits,
    kind=OperationKind.MEMORY,
)
