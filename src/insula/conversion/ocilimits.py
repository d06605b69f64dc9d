"""Limits of an OCI bundle: `linux.resources`, `process.rlimits`, `linux.sysctl`, `linux.timeOffsets`.

Source: the OCI runtime specification, config-linux.md and config.md.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from insula.conversion.amounts import read_limit
from insula.conversion.domaindraft import NO_LIMIT, DomainDraft
from insula.conversion.foreigndocument import ForeignEntry, quoted
from insula.conversion.jsontree import mapping_at, number_at, objects_at, text_at
from insula.conversion.keytable import Reader
from insula.conversion.lxclimits import (
    KNOWN_NODES,
    amount,
    read_block_weight,
    read_cpu_max,
    read_kernel_setting,
    read_pids,
    read_weight,
    take_guarantee,
    take_memory,
    take_soft_memory,
    take_swap,
)
from insula.engine.policy.resourcelimits import ENOUGH
from insula.model.domain import DomainDefinition
from insula.model.extensions import PIDS_MAX, ClockShift, DefinedLimit, TimeNamespace
from insula.model.resourcetuning import PERIOD, SHARES, WEIGHT
from insula.model.scalars import UNLIMITED, Bound
from insula.model.sizes import UNLIMITED_KIB, Bytes, format_cpuset, parse_cpuset

Pairs = Iterator[tuple[str, str]]
_ENDLESS = 2**64 - 1
_UNIFIED: Mapping[str, Reader] = {
    "memory.max": amount(take_memory),
    "memory.high": amount(take_soft_memory),
    "memory.min": amount(take_guarantee),
    "memory.swap.max": amount(take_swap),
    "cpu.max": read_cpu_max,
    "cpu.weight": read_weight,
    "pids.max": read_pids,
    "io.weight": read_block_weight,
}


def valued(take: Callable[[DomainDraft, Any], None]) -> Reader:
    """Return the reader of a value, which take may refuse by ValueError."""

    def read(draft: DomainDraft, entry: ForeignEntry) -> None:
        try:
            take(draft, json.loads(entry.value))
        except (ValueError, KeyError, TypeError) as error:
            draft.lost(entry, f"{quoted(entry.value)} cannot be: {str(error)[:80]}")

    return read


def _memory(draft: DomainDraft, value: object) -> None:
    draft.memory = read_limit(str(number_at(value)))


def _soft(draft: DomainDraft, value: object) -> None:
    draft.memory_soft = read_limit(str(number_at(value)))


def _total(draft: DomainDraft, value: object) -> None:
    limit = read_limit(str(number_at(value)))
    draft.swap_total = NO_LIMIT if limit is None else Bytes(limit)


def _shares(draft: DomainDraft, value: object) -> None:
    shares = number_at(value, 0)
    if shares:
        draft.cpu = replace(draft.cpu, shares=number_at(shares, *SHARES))


def _quota(draft: DomainDraft, value: object) -> None:
    quota = number_at(value, -1, 2**44 - 1)
    draft.cpu = replace(draft.cpu, quota=quota or None)


def _period(draft: DomainDraft, value: object) -> None:
    if number_at(value):
        draft.cpu = replace(draft.cpu, period=number_at(value, *PERIOD))


def _cpus(draft: DomainDraft, value: object) -> None:
    draft.cpus = parse_cpuset(text_at(value)) if value else None


def _mems(draft: DomainDraft, value: object) -> None:
    draft.nodes = parse_cpuset(text_at(value)) if value else None


def _pids(draft: DomainDraft, value: object) -> None:
    limit = number_at(value, -1)
    draft.pids = limit if 0 < limit <= PIDS_MAX else None


def _weight(draft: DomainDraft, value: object) -> None:
    draft.weight = number_at(value, *WEIGHT) if value else None


read_memory, read_soft, read_total = valued(_memory), valued(_soft), valued(_total)
read_shares, read_quota, read_period = valued(_shares), valued(_quota), valued(_period)
read_cpus, read_mems = valued(_cpus), valued(_mems)
read_pids_limit, read_io_weight = valued(_pids), valued(_weight)


def read_unified(draft: DomainDraft, entry: ForeignEntry) -> None:
    """Read files of the unified hierarchy, by their names."""
    try:
        files = mapping_at(json.loads(entry.value))
    except ValueError:
        draft.lost(entry, f"{quoted(entry.value)} is no object of texts")
        return
    for name, value in files.items():
        found = ForeignEntry(key=f"{entry.key}.{name}", value=value.strip())
        read = _UNIFIED.get(name)
        if read is None:
            draft.lost(found, "definitions do not say it", "set it on the guest's group on the host")
        else:
            read(draft, found)


def read_rlimits(draft: DomainDraft, entry: ForeignEntry) -> None:
    try:
        for each in objects_at(json.loads(entry.value)):
            name = text_at(each.get("type")).removeprefix("RLIMIT_")
            if name not in ENOUGH:
                draft.lost(entry, f"there is no resource limit {quoted(name)}", "see getrlimit(2)")
                continue
            soft, hard = (_bound(number_at(each.get(key), 0)) for key in ("soft", "hard"))
            draft.limit(name.lower(), DefinedLimit(name=name.lower(), soft=soft, hard=hard))
    except ValueError as error:
        draft.lost(entry, f"{quoted(entry.value)} are no resource limits: {error}")


def _bound(number: int) -> Bound:
    return UNLIMITED if number >= 2**63 - 1 else Bound(number)


def read_sysctls(draft: DomainDraft, entry: ForeignEntry) -> None:
    try:
        settings = mapping_at(json.loads(entry.value))
    except ValueError:
        draft.lost(entry, f"{quoted(entry.value)} is no object of texts")
        return
    for name, value in settings.items():
        read_kernel_setting(draft, ForeignEntry(key=f"lxc.sysctl.{name}", value=value))


def _clocks(draft: DomainDraft, value: object) -> None:
    if not isinstance(value, dict):
        raise ValueError("no object")
    shifts = {
        name: ClockShift(seconds=number_at(each.get("secs", 0), -(2**31), 2**31 - 1)) for name, each in value.items()
    }
    wanted = TimeNamespace(monotonic=shifts.get("monotonic"), boot_time=shifts.get("boottime"))
    if any(each.get("nanosecs") for each in value.values()) or shifts.keys() - {"monotonic", "boottime"}:
        raise ValueError("clocks are monotonic and boottime, and shifted by whole seconds")
    draft.time_namespace(wanted)


read_clocks = valued(_clocks)


# Written


def resource_keys(domain: DomainDefinition) -> Pairs:
    tune, cpu, limit = domain.memory_tune, domain.cpu_tune, domain.memory_limit
    numbers: dict[str, object] = {}
    if limit is not None:
        total = tune.swap_hard_limit if tune is not None else None
        numbers["memory.limit"] = limit * 1024
        numbers["memory.swap"] = -1 if total is not None and total >= UNLIMITED_KIB else (total or limit) * 1024
    if tune is not None and tune.soft_limit is not None:
        numbers["memory.reservation"] = tune.soft_limit * 1024
    if cpu is not None:
        numbers |= {"cpu.shares": cpu.shares, "cpu.quota": cpu.quota, "cpu.period": cpu.period}
    numbers["cpu.cpus"] = format_cpuset(domain.vcpu.cpus) if domain.vcpu.cpus is not None else None
    memory = domain.numa_tune.memory if domain.numa_tune is not None else None
    numbers["cpu.mems"] = format_cpuset(memory.nodes) if memory is not None and memory.nodes is not None else None
    numbers["pids.limit"] = domain.settings.pids_limit
    numbers["blockIO.weight"] = domain.blkio_tune.weight if domain.blkio_tune is not None else None
    for place, number in numbers.items():
        if number is not None:
            yield f"linux.resources.{place}", json.dumps(number)
    if tune is not None and tune.min_guarantee is not None:
        yield "linux.resources.unified", json.dumps({"memory.min": str(tune.min_guarantee * 1024)})
    yield "linux.resources.devices", json.dumps(list(_rules(domain)))


def _rules(domain: DomainDefinition) -> Iterator[dict[str, object]]:
    yield {"allow": False, "access": "rwm"}
    for device in domain.devices.host_devices:
        rule = KNOWN_NODES.get(str(device.source.character))
        if rule is not None:
            kind, numbers, access = rule.split()
            major, _, minor = numbers.partition(":")
            yield {"allow": True, "type": kind, "major": int(major), "minor": int(minor), "access": access}


def rlimit_keys(domain: DomainDefinition) -> Pairs:
    if domain.settings.limits:
        limits = [
            {
                "type": f"RLIMIT_{each.name.upper()}",
                **{
                    key: _ENDLESS if bound == UNLIMITED else bound
                    for key, bound in zip(("soft", "hard"), each.bounds, strict=True)
                },
            }
            for each in domain.settings.limits
        ]
        yield "process.rlimits", json.dumps(limits)


def sysctl_keys(domain: DomainDefinition) -> Pairs:
    settings = {each.name: each.value for each in domain.settings.kernel_settings}
    if settings:
        yield "linux.sysctl", json.dumps(settings)


def clock_offsets(domain: DomainDefinition) -> Pairs:
    wanted = domain.settings.time_namespace or TimeNamespace()
    clocks = {"monotonic": wanted.monotonic, "boottime": wanted.boot_time}
    offsets = {name: {"secs": shift.seconds, "nanosecs": 0} for name, shift in clocks.items() if shift is not None}
    if offsets:
        yield "linux.timeOffsets", json.dumps(offsets)
