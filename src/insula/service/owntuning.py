"""Limits of a domain that libvirt has no call for, so the call is ours: tasks, bursts, zswap, huge pages, raw keys."""

import contextlib
import errno
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from insula.engine.launch.limits import SEVERAL, only
from insula.engine.spec import Limits
from insula.errors import InvalidArgumentError
from insula.kernel.cgroups import UNLIMITED, Cgroup, GroupKey, HeldLimits, HugePageLimit, MiscLimit
from insula.model.domain import DomainDefinition
from insula.model.extensions import PIDS_MAX, InsulaSettings, Metadata
from insula.model.guestlimits import (
    BURST,
    COUNT_MAX,
    LATENCY,
    CompressedSwap,
    ControlFile,
    CountedResource,
    CpuClass,
    DeviceLatency,
    HugePages,
)
from insula.model.numbers import ParameterType
from insula.model.scalars import YesNo
from insula.model.settingchecks import control_file_problems
from insula.model.sizes import UNLIMITED_KIB
from insula.service.domainlimits import latency_limit, limits_of
from insula.service.parameters import Value
from insula.service.tuning import Family, Values

_NONE = "max"
"""What stands for no limit in a list of several."""


def _defined(domain: DomainDefinition) -> Values:
    settings = domain.settings
    cpu, zswap = settings.cpu or CpuClass(), settings.zswap or CompressedSwap()
    return _without_none(
        pids=settings.pids_limit,
        cpu_burst=cpu.burst,
        cpu_idle=_number(cpu.idle),
        zswap_limit=zswap.limit,
        zswap_writeback=_number(zswap.writeback),
        device_latency=_pairs_of((str(each.device), each.target) for each in settings.latencies),
        hugepages=_pairs_of((each.size, each.limit) for each in settings.huge_pages),
        misc=_pairs_of((each.resource, each.limit) for each in settings.misc),
        cgroup="\n".join(f"{each.key}={each.value}" for each in settings.control_files) or None,
    )


def _live(cgroup: Cgroup, domain: DomainDefinition) -> Values:
    held = cgroup.limits()
    return _without_none(
        pids=_unless_unlimited(held.tasks),
        cpu_burst=held.cpu_burst or None,
        cpu_idle=None if held.cpu_idle is None else int(held.cpu_idle),
        zswap_limit=None if held.zswap is None else held.zswap // 1024,
        zswap_writeback=None if held.zswap_writeback is None else int(held.zswap_writeback),
        device_latency=_live_latencies(held, domain),
        hugepages=_pairs_of((each.size // 1024, each.limit // 1024) for each in held.huge_pages),
        misc=_pairs_of((each.name, each.limit) for each in held.misc),
        cgroup="\n".join(_live_keys(cgroup, domain)) or None,
    )


def _live_latencies(held: HeldLimits, domain: DomainDefinition) -> str | None:
    """Devices are told by their paths, which only the definition knows."""
    targets = {each.number: each.latency for each in held.block_devices}
    found = []
    for each in domain.settings.latencies:
        with contextlib.suppress(InvalidArgumentError):  # a device that has gone has no latency
            target = targets.get(latency_limit(str(each.device), each.target).number)
            if target:
                found.append((str(each.device), target))
    return _pairs_of(found)


def _live_keys(cgroup: Cgroup, domain: DomainDefinition) -> Iterable[str]:
    for each in domain.settings.control_files:
        try:
            yield f"{each.key}={' '.join(cgroup.keys.read(each.key).split())}"
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EACCES):  # some can only be written
                raise


def _changed(domain: DomainDefinition, values: Values) -> DomainDefinition:
    settings = domain.settings
    for name, value in values.items():
        settings = _CHANGES[name](settings, value)
    burst = settings.cpu.burst if settings.cpu is not None else None
    quota = domain.cpu_tune.quota if domain.cpu_tune is not None else None
    if "cpu_burst" in values and burst is not None and quota is not None and 0 < quota < burst:
        raise InvalidArgumentError(f"a burst of {burst} is above the domain's quota of {quota}: raise that first")
    metadata = domain.metadata or Metadata()
    return replace(domain, metadata=replace(metadata, settings=settings))


def _with_pids(settings: InsulaSettings, value: Value) -> InsulaSettings:
    limit = int(value)
    if not 0 <= limit <= PIDS_MAX:
        raise InvalidArgumentError(
            f"a domain can have 1 to {PIDS_MAX} processes and threads, not {limit}; 0 is the usual number"
        )
    return replace(settings, pids_limit=limit or None)


def _with_burst(settings: InsulaSettings, value: Value) -> InsulaSettings:
    burst = int(value)
    if burst and not BURST[0] <= burst <= BURST[1]:
        raise InvalidArgumentError(f"a burst is of {BURST[0]} to {BURST[1]} microseconds, not {burst}; 0 is none")
    return _with_cpu(settings, burst=burst or None)


def _with_idle(settings: InsulaSettings, value: Value) -> InsulaSettings:
    return _with_cpu(settings, idle=YesNo.YES if int(value) else None)


def _with_cpu(settings: InsulaSettings, **changed: Any) -> InsulaSettings:
    cpu = replace(settings.cpu or CpuClass(), **changed)
    return replace(settings, cpu=None if cpu == CpuClass() else cpu)


def _with_zswap_limit(settings: InsulaSettings, value: Value) -> InsulaSettings:
    limit = int(value)
    if limit > UNLIMITED_KIB:
        raise InvalidArgumentError(f"a limit of zswap is at most {UNLIMITED_KIB} KiB, which is none, not {limit}")
    return _with_zswap(settings, limit=None if limit == UNLIMITED_KIB else limit)


def _with_writeback(settings: InsulaSettings, value: Value) -> InsulaSettings:
    return _with_zswap(settings, writeback=None if int(value) else YesNo.NO)


def _with_zswap(settings: InsulaSettings, **changed: Any) -> InsulaSettings:
    zswap = replace(settings.zswap or CompressedSwap(), **changed)
    return replace(settings, zswap=None if zswap == CompressedSwap() else zswap)


def _with_latencies(settings: InsulaSettings, value: Value) -> InsulaSettings:
    devices = {each.device: each for each in settings.latencies}
    for path, target in _pairs("device_latency", value, "/dev/sda,5000"):
        if not path.startswith("/") or (target and not LATENCY[0] <= target <= LATENCY[1]):
            raise InvalidArgumentError(
                f"a latency is of a device such as /dev/sda, and {LATENCY[0]} to {LATENCY[1]} microseconds, 0 for none"
            )
        device = PurePosixPath(path)
        devices.pop(device, None)
        if target:
            devices[device] = DeviceLatency(device=device, target=target)
    return replace(settings, latencies=tuple(devices.values()))


def _with_huge_pages(settings: InsulaSettings, value: Value) -> InsulaSettings:
    sizes = {each.size: each for each in settings.huge_pages}
    for word, limit in _pairs("hugepages", value, "2048,65536"):
        if not word.isdecimal() or not int(word):
            raise InvalidArgumentError(f"'{word}' is no size of huge pages in KiB, such as 2048")
        sizes.pop(int(word), None)
        if limit is not None:
            sizes[int(word)] = HugePages(size=int(word), limit=min(limit, UNLIMITED_KIB - 1))
    return replace(settings, huge_pages=tuple(sizes.values()))


def _with_misc(settings: InsulaSettings, value: Value) -> InsulaSettings:
    known = {each.resource: each for each in settings.misc}
    for name, limit in _pairs("misc", value, "sev,4"):
        known.pop(name, None)
        if limit is not None:
            known[name] = CountedResource(resource=name, limit=limit)
    return replace(settings, misc=tuple(known.values()))


def _with_keys(settings: InsulaSettings, value: Value) -> InsulaSettings:
    known = {each.key: each for each in settings.control_files}
    for key, text in _lines(value):
        known.pop(key, None)
        wanted = ControlFile(key=key, value=text)
        for problem in control_file_problems(replace(wanted, value=text or "0")):
            raise InvalidArgumentError(problem)
        if text:
            known[key] = wanted
    return replace(settings, control_files=tuple(known.values()))


_CHANGES: Mapping[str, Callable[[InsulaSettings, Value], InsulaSettings]] = {
    "pids": _with_pids,
    "cpu_burst": _with_burst,
    "cpu_idle": _with_idle,
    "zswap_limit": _with_zswap_limit,
    "zswap_writeback": _with_writeback,
    "device_latency": _with_latencies,
    "hugepages": _with_huge_pages,
    "misc": _with_misc,
    "cgroup": _with_keys,
}

_FIELDS = {
    "pids": ("pids",),
    "cpu_burst": ("cpu_burst", "cpu_quota", "cpu_period"),
    "cpu_idle": ("cpu_idle", "cpu_shares"),
    "zswap_limit": ("zswap",),
    "zswap_writeback": ("zswap_writeback",),
}
"""The limits that a parameter is about: no burst is above its quota, and who is idle no more has shares again."""


def _limits(domain: DomainDefinition, values: Values) -> Limits:
    """Those of several that the values name, and what takes away what is none any more."""
    said = limits_of(domain)
    put = only(said, {field for name in values for field in _FIELDS.get(name, ())})
    several: dict[str, Any] = {}
    for name, known_by in SEVERAL.items():
        known = {known_by(each): each for each in getattr(said, name)}
        several[name] = tuple(known.get(known_by(each), each) for each in _named(name, values))
    several["block_devices"] = tuple(replace(each, **_ONLY_LATENCY) for each in several["block_devices"])
    return replace(put, **several)


_ONLY_LATENCY: dict[str, Any] = dict.fromkeys(
    ("weight", "read_bytes", "write_bytes", "read_operations", "write_operations")
)


def _named(name: str, values: Values) -> Iterable[Any]:
    """Yield what takes away each of several limits that values name."""
    match name:
        case "block_devices" if "device_latency" in values:
            for path, _ in _pairs("device_latency", values["device_latency"], ""):
                yield latency_limit(path, 0)
        case "huge_pages" if "hugepages" in values:
            for size, _ in _pairs("hugepages", values["hugepages"], ""):
                yield HugePageLimit(size=int(size) * 1024, limit=UNLIMITED)
        case "misc" if "misc" in values:
            for resource, _ in _pairs("misc", values["misc"], ""):
                yield MiscLimit(name=resource, limit=UNLIMITED)
        case "keys" if "cgroup" in values:
            for key, _ in _lines(values["cgroup"]):
                yield GroupKey(key=key, value=None)


def _pairs(name: str, value: Value, example: str) -> list[tuple[str, int | None]]:
    """Read `WHAT,NUMBER,WHAT,NUMBER`; `max` is None. Raises: InvalidArgumentError."""
    words = str(value).split(",")
    pairs = list(zip(words[::2], words[1::2], strict=False))
    for what, number in pairs:
        if not what or not (number == _NONE or (number.isdecimal() and int(number) <= COUNT_MAX)):
            pairs = []
    if not pairs or len(words) % 2:
        raise InvalidArgumentError(f"'{value}' is no value of {name}, such as {example}; {_NONE} takes one away")
    return [(what, None if number == _NONE else int(number)) for what, number in pairs]


def _lines(value: Value) -> list[tuple[str, str]]:
    """Read lines of `KEY=VALUE`. Raises: InvalidArgumentError for one without."""
    pairs = [line.partition("=") for line in str(value).splitlines()]
    if not pairs or any(not equals for _, equals, _ in pairs):
        raise InvalidArgumentError(f"'{value}' is no value of cgroup, such as memory.oom.group=1; KEY= takes it away")
    return [(key.strip(), text.strip()) for key, _, text in pairs]


def _pairs_of(pairs: Iterable[tuple[object, object]]) -> str | None:
    return ",".join(f"{what},{value}" for what, value in pairs) or None


def _without_none(**values: Value | None) -> Values:
    return {name: value for name, value in values.items() if value is not None}


def _number(word: YesNo | None) -> int | None:
    return None if word is None else int(word is YesNo.YES)


def _unless_unlimited(limit: int | None) -> int | None:
    return None if limit is None or limit >= UNLIMITED else limit


OWN = Family(
    name="limits",
    table={
        "pids": ParameterType.UINT,
        "cpu_burst": ParameterType.ULLONG,
        "cpu_idle": ParameterType.BOOLEAN,
        "zswap_limit": ParameterType.ULLONG,
        "zswap_writeback": ParameterType.BOOLEAN,
        "device_latency": ParameterType.STRING,
        "hugepages": ParameterType.STRING,
        "misc": ParameterType.STRING,
        "cgroup": ParameterType.STRING,
    },
    defined=_defined,
    live=_live,
    changed=_changed,
    limits=_limits,
)
