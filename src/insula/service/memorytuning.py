"""How much memory a domain may use: memtune, setmem and setmaxmem.

A domain's memory is the most it can be given, its current memory what it may use now, its hard limit a further bound;
the control group is limited to the lowest of them. Source of names and checks: libvirt's LXC driver.
"""

from dataclasses import replace
from pathlib import Path

from insula.errors import InvalidArgumentError, OperationFailedError, OperationInvalidError
from insula.kernel.cgroups import UNLIMITED, Cgroup
from insula.kernel.cgroups.limits import limited
from insula.kernel.cgroups.stats import MemoryUse
from insula.model.domain import Domain
from insula.model.sizes import KiB
from insula.model.tuning import MemoryTune
from insula.service.events import BalloonChange, Events
from insula.service.impact import Changes
from insula.service.managed import ManagedDomain, Run
from insula.service.parameters import ParameterType, Value
from insula.service.requests import Affect
from insula.service.topology import read_meminfo
from insula.service.tuning import Family, Values, cgroup_errors

UNLIMITED_KIB = 9007199254740991
"""What libvirt says for no limit. Source: VIR_DOMAIN_MEMORY_PARAM_UNLIMITED in its public domain header."""

MEMINFO = Path("/proc/meminfo")


class MemoryVerbs:
    """setmem and setmaxmem."""

    def __init__(self, *, changes: Changes, events: Events) -> None:
        self._changes = changes
        self._events = events

    async def set_memory(self, managed: ManagedDomain, size: KiB, affect: Affect) -> None:
        """Let the domain use so much. Raises: InvalidArgumentError if that is more than its memory."""

        def changed(domain: Domain) -> Domain:
            if size > domain.memory:
                raise InvalidArgumentError(
                    f"cannot set memory higher than max memory: {size} KiB is more than {domain.memory} KiB"
                )
            if size == 0:
                raise InvalidArgumentError("a domain cannot do without memory")
            return replace(domain, current_memory=size)

        def apply(run: Run, domain: Domain) -> None:
            with cgroup_errors(managed, "memory"):
                _apply_limit(run.container.group, domain)

        async def work() -> None:
            before = managed.current.memory_now
            await self._changes.change(managed, affect, changed, apply=apply)
            if managed.is_active and managed.current.memory_now != before:
                self._events.publish(BalloonChange(domain=managed.ref, actual=managed.current.memory_now))

        await managed.perform("set memory", work)

    async def set_maximum_memory(self, managed: ManagedDomain, size: KiB, affect: Affect) -> None:
        """Change the most the domain can be given, for its next start."""

        def changed(domain: Domain) -> Domain:
            if size == 0:
                raise InvalidArgumentError("a domain cannot do without memory")
            return replace(domain, memory=size, current_memory=min(domain.memory_now, size))

        async def work() -> None:
            if Affect.LIVE in affect or (affect == Affect.CURRENT and managed.is_active):
                raise OperationInvalidError("cannot resize the max memory on an active domain")
            await self._changes.change(managed, affect, changed)

        await managed.perform("set maximum memory", work)


def _apply_limit(cgroup: Cgroup, domain: Domain) -> None:
    size = domain.memory_limit
    _refuse_what_cannot_be(cgroup, size)
    cgroup.memory.limit(memory=size * 1024)


def _refuse_what_cannot_be(cgroup: Cgroup, size: KiB, with_swap: int | None = None) -> None:
    """Refuse a limit below what can be neither dropped nor swapped out, before the guest loses its caches in vain.

    with_swap: bytes that memory and swap are to be limited to at the same time; None: as it is.
    A look only: whether the rest shrinks is seen when the limit is set. Raises: OperationFailedError.
    """
    use = cgroup.memory.use()
    stays = use.staying(_free_swap(cgroup, size * 1024, with_swap, use)) // 1024
    if size < stays:
        raise OperationFailedError(
            f"the guest holds {stays} KiB that can be neither dropped nor swapped out, so {size} KiB would get "
            "its programs killed; free memory inside, or choose more"
        )


def _free_swap(cgroup: Cgroup, size: int, with_swap: int | None, use: MemoryUse) -> int:
    """Return how many bytes could be swapped out under a limit of size bytes of memory.

    As groups do when with_swap says nothing else, a limit with swap stays as it is, but one without any swap, which is
    what guests have by default, goes with the memory.
    """
    memory, _, _, held = cgroup.memory.held()
    if with_swap is None and held is not None and held == memory:
        return 0
    limit = held if with_swap is None else limited(with_swap)
    free = read_meminfo(MEMINFO)["SwapFree"] * 1024
    return free if limit is None else max(0, min(free, limit - size - (use.swap or 0)))


def _defined(domain: Domain) -> Values:
    tune = domain.memory_tune or MemoryTune()
    return {
        "hard_limit": _or_unlimited(tune.hard_limit),
        "soft_limit": _or_unlimited(tune.soft_limit),
        "swap_hard_limit": _or_unlimited(tune.swap_hard_limit),
        "min_guarantee": tune.min_guarantee or 0,
    }


def _live(cgroup: Cgroup, domain: Domain) -> Values:
    memory, soft, guarantee, with_swap = cgroup.memory.held()
    return {
        "hard_limit": _or_unlimited(None if memory is None else memory // 1024),
        "soft_limit": _or_unlimited(None if soft is None else soft // 1024),
        "swap_hard_limit": _or_unlimited(None if with_swap is None else with_swap // 1024),
        "min_guarantee": (guarantee or 0) // 1024,
    }


def _changed(domain: Domain, values: Values) -> Domain:
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


def _apply(cgroup: Cgroup, domain: Domain, values: Values) -> None:
    tune = domain.memory_tune or MemoryTune()
    if "hard_limit" in values or "swap_hard_limit" in values:
        size = domain.memory_limit
        with_swap = _bytes(tune.swap_hard_limit) if "swap_hard_limit" in values else None
        _refuse_what_cannot_be(cgroup, size, with_swap)
        cgroup.memory.limit(memory=size * 1024, memory_and_swap=with_swap)
    if "soft_limit" in values:
        cgroup.memory.limit_softly(_bytes(tune.soft_limit))
    if "min_guarantee" in values:
        cgroup.memory.guarantee((tune.min_guarantee or 0) * 1024)


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


def _bytes(size: KiB | None) -> int:
    return UNLIMITED if size is None else size * 1024


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
    apply=_apply,
)
