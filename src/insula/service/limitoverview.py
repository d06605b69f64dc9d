"""Every limit of a domain in one list: what is configured, what the kernel holds, what is used, what came of it."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from insula.engine.launch.limits import SEVERAL
from insula.engine.spec import Limits
from insula.errors import InsulaError
from insula.kernel import processlimits
from insula.kernel.cgroups import UNLIMITED, Cgroup, HeldLimits, Stats, furtherlimits, limitevents
from insula.kernel.cgroups.heldlimits import BlockLimit
from insula.model.scalars import UNLIMITED as UNBOUND
from insula.model.sizes import format_cpuset
from insula.service.domainlimits import limits_of

if TYPE_CHECKING:
    from insula.model.domain import DomainDefinition
    from insula.service.managed import ManagedDomain, Run

T = TypeVar("T")
Value = int | str | bool | None


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitRow:
    """One limit.

    unit: of its numbers, `bytes`, `microseconds`, `tasks` and others, "" for a text; configured: by the definition that
    counts now; in_force: what the kernel holds, None for no limit, and for a domain that is off; used: in the same
    unit, None where nobody counts that; events: counts since the start; pressure: `some` and `full`, percent of the
    last ten seconds; lacking: why this host cannot have it, "" where it can.
    """

    name: str
    unit: str = ""
    configured: Value = None
    in_force: Value = None
    used: Value = None
    events: Mapping[str, int] = field(default_factory=dict)
    pressure: Mapping[str, float] = field(default_factory=dict)
    lacking: str = ""

    def described(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}


def limit_rows(managed: ManagedDomain) -> list[LimitRow]:
    """Return all limits of a domain; takes a few dozens of short reads of a running one. Raises: OSError if it ends."""
    said = _configured(managed.current)
    rows = [] if managed.run is None else list(_held(managed.run.container.group, said, managed))
    if managed.run is None:
        nothing = HeldLimits()
        rows = [LimitRow(name=name, unit=unit, configured=_said(said, name)) for name, unit in _UNITS.items()]
        rows += [*_several(said, nothing), *_keys(said, None)]
    return [*rows, *_resource_limits(managed.current, managed.run), *_settings(managed.current)]


def _configured(domain: DomainDefinition) -> Limits:
    """What stands in a definition; of a device that the host has not nothing can be said by its number."""
    try:
        return limits_of(domain)
    except InsulaError:
        return Limits()


_UNITS = {
    "memory": "bytes",
    "memory_soft": "bytes",
    "memory_guarantee": "bytes",
    "memory_and_swap": "bytes",
    "zswap": "bytes",
    "zswap_writeback": "",
    "cpu_shares": "shares",
    "cpu_quota": "microseconds",
    "cpu_period": "microseconds",
    "cpu_burst": "microseconds",
    "cpu_idle": "",
    "cpus": "",
    "memory_nodes": "",
    "pids": "tasks",
    "block_weight": "weight",
}
"""The limits of which there is one each, by the names of `Limits`."""


def _said(said: Limits, name: str) -> Value:
    """Return what is configured; libvirt's -1 for no quota is none."""
    value: Value = getattr(said, name)
    return None if name == "cpu_quota" and isinstance(value, int) and value < 0 else value


def _held(group: Cgroup, said: Limits, managed: ManagedDomain) -> Iterator[LimitRow]:
    held, stats = group.limits(), group.stats()
    uses, events = _uses(group, stats), _events(group, stats)
    pressures = {resource: _pressure(group, resource) for resource in ("memory", "cpu", "io")}
    for name, unit in _UNITS.items():
        wanted = _said(said, name)
        if name == "cpus" and managed.current.vcpu.cpus is not None:  # whence its seats are chosen
            wanted = format_cpuset(managed.current.vcpu.cpus)
        yield LimitRow(
            name=name,
            unit=unit,
            configured=wanted,
            in_force=_finite(getattr(held, _HELD.get(name, name))),
            used=uses.get(name),
            events=events.get(name, {}),
            pressure=pressures.get(_PRESSURES.get(name, ""), {}),
            lacking=_lacking(group, name),
        )
    yield from _several(said, held, group)
    yield from _keys(said, group)
    number, most = limitevents.groups_below(group)
    yield LimitRow(name="groups", unit="groups", in_force=most, used=number)


_HELD = {"pids": "tasks"}
_PRESSURES = {"memory": "memory", "cpu_quota": "cpu", "block_weight": "io"}
"""Which pressure is told with which limit."""


def _uses(group: Cgroup, stats: Stats) -> dict[str, Value]:
    memory, tasks = stats.memory, stats.tasks
    together = None if memory is None or memory.swap is None else memory.usage + memory.swap
    return {
        "memory": None if memory is None else memory.usage,
        "memory_and_swap": together,
        "zswap": limitevents.zswap_use(group),
        "pids": None if tasks is None else tasks.current,
    }


def _events(group: Cgroup, stats: Stats) -> dict[str, Mapping[str, int]]:
    quota, burst = limitevents.cpu_events(group)
    return {
        "memory": limitevents.memory_events(group),
        "memory_and_swap": limitevents.swap_events(group),
        "cpu_quota": quota,
        "cpu_burst": burst,
        "pids": {} if stats.tasks is None else {"max": stats.tasks.refused},
    }


def _pressure(group: Cgroup, resource: str) -> dict[str, float]:
    pressure = group.pressure(resource)
    return {} if pressure is None else {"some": pressure.some.avg10, "full": pressure.full.avg10}


_CONTROLLERS = {"block_weight": "blkio", "cpus": "cpuset", "memory_nodes": "cpuset", "pids": "pids"}
_FILES = {
    "zswap": furtherlimits.ZSWAP,
    "zswap_writeback": furtherlimits.ZSWAP_WRITEBACK,
    "cpu_burst": furtherlimits.BURST,
    "cpu_idle": furtherlimits.IDLE,
}


def _lacking(group: Cgroup, name: str) -> str:
    """Return why this host cannot have a limit."""
    controller = _CONTROLLERS.get(name, "cpu" if name.startswith("cpu") else "memory")
    if group.directory(controller) is None:
        return f"this host has no {controller} controller for control groups"
    if name in _FILES:
        return _refusal(lambda: furtherlimits.demand(group.keys, _FILES[name]))
    if name == "memory_guarantee" and group.keys.is_old("memory"):
        return "v1 memory groups cannot guarantee memory"
    if name == "memory_and_swap" and group.memory.held()[3] is None and not limitevents.accounts_swap(group):
        return "this kernel does not account swap"
    if name == "block_weight" and group.io.held()[0] is None:
        return "this kernel has no io weights"
    return ""


def _refusal(look: Callable[[], object]) -> str:
    try:
        look()
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.ENODEV):
            return error.strerror or ""
        raise
    return ""


def _finite(value: T) -> T | None:
    return None if isinstance(value, int) and not isinstance(value, bool) and value >= UNLIMITED else value


_RATES = {
    "weight": "weight",
    "read_bytes": "bytes a second",
    "write_bytes": "bytes a second",
    "read_operations": "operations a second",
    "write_operations": "operations a second",
    "latency": "microseconds",
}


def _several(said: Limits, held: HeldLimits, group: Cgroup | None = None) -> Iterator[LimitRow]:
    """Yield what has a limit by device, by page size, or by resource."""
    devices: dict[Any, tuple[BlockLimit | None, BlockLimit | None]] = {}
    for wanted, found in _paired("block_devices", said, held):
        one = wanted or found
        devices[one.number] = wanted, found
    for number, pair in devices.items():
        for rate, unit in _RATES.items():
            configured, in_force = (getattr(each, rate) if each is not None else None for each in pair)
            if configured or in_force:
                yield LimitRow(name=f"{rate} {number}", unit=unit, configured=configured, in_force=in_force)
    for wanted, found in _paired("huge_pages", said, held):
        size = (wanted or found).size
        used, events = (None, {}) if group is None else limitevents.huge_page_use(group, size)
        yield LimitRow(
            name=f"hugepages {furtherlimits.page_name(size)}",
            unit="bytes",
            configured=_limit_of(wanted),
            in_force=_limit_of(found),
            used=used,
            events=events,
        )
    current, counts = ({}, {}) if group is None else limitevents.misc_use(group)
    for wanted, found in _paired("misc", said, held):
        name = (wanted or found).name
        events = {"max": counts[f"{name}.max"]} if f"{name}.max" in counts else {}
        yield LimitRow(
            name=f"misc {name}",
            configured=_limit_of(wanted),
            in_force=_limit_of(found),
            used=current.get(name),
            events=events,
        )


def _paired(name: str, said: Limits, held: HeldLimits) -> list[tuple[Any, Any]]:
    """Return what is said and what is held of each of several limits."""
    wanted = {SEVERAL[name](each): each for each in getattr(said, name)}
    found = {SEVERAL[name](each): each for each in getattr(held, name)}
    return [(wanted.get(key), found.get(key)) for key in dict.fromkeys((*wanted, *found))]


def _limit_of(one: Any) -> int | None:
    return None if one is None else _finite(int(one.limit))


def _keys(said: Limits, group: Cgroup | None) -> Iterator[LimitRow]:
    for each in said.keys:
        text, lacking = None, ""
        if group is not None:
            try:
                text = group.keys.read(each.key)
            except OSError as error:
                lacking = error.strerror or ""
        yield LimitRow(name=f"cgroup {each.key}", configured=each.value, in_force=text, lacking=lacking)


def _resource_limits(domain: DomainDefinition, run: Run | None) -> Iterator[LimitRow]:
    """Yield the definition's rlimits; in force is what init has, which may have changed its own."""
    held: dict[str, processlimits.Bounds] = {}
    if run is not None and domain.settings.limits:
        with contextlib.suppress(ProcessLookupError):
            held = processlimits.held(run.container.pid)
    for each in domain.settings.limits:
        soft, hard = (None if bound == UNBOUND else bound for bound in each.bounds)
        found = held.get(each.name)
        yield LimitRow(
            name=f"rlimit {each.name}",
            configured=_bounds((soft, hard)),
            in_force=None if found is None else _bounds(found),
        )


def _bounds(pair: processlimits.Bounds) -> str:
    return ":".join("unlimited" if bound is None else str(bound) for bound in pair)


def _settings(domain: DomainDefinition) -> Iterator[LimitRow]:
    for each in domain.settings.kernel_settings:
        yield LimitRow(name=f"sysctl {each.name}", configured=each.value)
