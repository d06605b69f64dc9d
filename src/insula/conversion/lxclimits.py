"""Limits of LXC's configuration: control groups' files of both versions, resource limits, kernel settings, clocks."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from insula.conversion.amounts import read_limit, read_nanoseconds, read_rlimit
from insula.conversion.domaindraft import NO_LIMIT, DomainDraft
from insula.conversion.foreigndocument import ForeignEntry, quoted
from insula.engine.fragments.speccheck import namespace_of_setting, setting_path
from insula.engine.policy.resourcelimits import ENOUGH
from insula.kernel.cgroups.heldlimits import shares_of, weight_of
from insula.model.domain import DomainDefinition
from insula.model.extensions import PIDS_MAX, ClockShift, DefinedLimit, KernelSetting, TimeNamespace
from insula.model.resourcetuning import PERIOD, SHARES, WEIGHT
from insula.model.scalars import read_integer, write_bound
from insula.model.sizes import UNLIMITED_KIB, Bytes, KiB, format_cpuset, parse_cpuset

Pairs = Iterator[tuple[str, str]]
PLAIN_DEVICES = (
    "c 1:3 rwm",  # null
    "c 1:5 rwm",  # zero
    "c 1:7 rwm",  # full
    "c 1:8 rwm",  # random
    "c 1:9 rwm",  # urandom
    "c 5:0 rwm",  # tty
    "c 5:1 rwm",  # console
    "c 5:2 rwm",  # ptmx
    "c 136:* rwm",  # terminals
)
"""Nodes that a guest may open anyway. Source: Documentation/admin-guide/devices.txt."""
KNOWN_NODES = {"/dev/net/tun": "c 10:200 rwm", "/dev/fuse": "c 10:229 rwm", "/dev/kvm": "c 10:232 rwm"}
"""Nodes whose numbers are the same on every host, and how they are allowed."""
_HARMLESS_RULES = frozenset(
    {
        *PLAIN_DEVICES,
        *KNOWN_NODES.values(),
        "c *:* m",
        "b *:* m",
        "c 4:0 rwm",
        "c 4:1 rwm",
        "c 254:0 rm",
        "c 10:228 rwm",
    }
)


def amount(take: Callable[[DomainDraft, Bytes | None], None]) -> Callable[[DomainDraft, ForeignEntry], None]:
    """Return the reader of a limit in bytes."""

    def read(draft: DomainDraft, entry: ForeignEntry) -> None:
        try:
            limit = read_limit(entry.value)
        except ValueError:
            draft.lost(entry, f"{quoted(entry.value)} is no limit in bytes")
        else:
            take(draft, limit)

    return read


def take_memory(draft: DomainDraft, limit: Bytes | None) -> None:
    draft.memory = limit


def take_soft_memory(draft: DomainDraft, limit: Bytes | None) -> None:
    draft.memory_soft = limit


def take_guarantee(draft: DomainDraft, limit: Bytes | None) -> None:
    draft.memory_guarantee = limit or None


def take_total(draft: DomainDraft, limit: Bytes | None) -> None:
    draft.swap_total = NO_LIMIT if limit is None else limit


def take_swap(draft: DomainDraft, limit: Bytes | None) -> None:
    draft.swap = NO_LIMIT if limit is None else limit


def whole(
    take: Callable[[DomainDraft, int], None], lowest: int, highest: int, *, none: str = ""
) -> Callable[[DomainDraft, ForeignEntry], None]:
    """Return the reader of a number within a range. none: the word for no limit."""

    def read(draft: DomainDraft, entry: ForeignEntry) -> None:
        if none and entry.value == none:
            return
        try:
            number = read_integer(entry.value, lowest, highest)
        except ValueError:
            draft.lost(entry, f"{quoted(entry.value)} is no number from {lowest} to {highest}")
        else:
            take(draft, number)

    return read


def _shares(draft: DomainDraft, number: int) -> None:
    draft.cpu = replace(draft.cpu, shares=number)


def _weigh(draft: DomainDraft, number: int) -> None:
    """A weight of v2; shares of v1 that mean the same say it more finely."""
    if draft.cpu.shares is None or weight_of(draft.cpu.shares) != number:
        draft.cpu = replace(draft.cpu, shares=shares_of(number))


def _quota(draft: DomainDraft, number: int) -> None:
    draft.cpu = replace(draft.cpu, quota=number)


def _period(draft: DomainDraft, number: int) -> None:
    draft.cpu = replace(draft.cpu, period=number)


def _block_weight(draft: DomainDraft, number: int) -> None:
    draft.weight = number


def _pids(draft: DomainDraft, number: int) -> None:
    draft.pids = number


read_shares = whole(_shares, *SHARES)
read_weight = whole(_weigh, 1, 10_000)
read_quota = whole(_quota, -1, 2**44 - 1)
read_period = whole(_period, *PERIOD)
read_block_weight = whole(_block_weight, *WEIGHT)
read_pids = whole(_pids, 1, PIDS_MAX, none="max")


def read_cpu_max(draft: DomainDraft, entry: ForeignEntry) -> None:
    """Read `QUOTA PERIOD`, or `max`."""
    quota, _, period = entry.value.partition(" ")
    if quota != "max":
        read_quota(draft, replace(entry, value=quota))
    elif draft.cpu.quota != -1:
        draft.cpu = replace(draft.cpu, quota=None)
    if period.strip():
        read_period(draft, replace(entry, value=period.strip()))


def read_cpus(draft: DomainDraft, entry: ForeignEntry) -> None:
    try:
        draft.cpus = parse_cpuset(entry.value)
    except ValueError:
        draft.lost(entry, f"{quoted(entry.value)} is no list of processors")


def read_device_rule(draft: DomainDraft, entry: ForeignEntry) -> None:
    """Read a rule of the device controller: those that a guest has anyway say nothing new."""
    rule = " ".join(entry.value.split())
    denies_all = entry.key.endswith("deny") and rule in ("a", "a *:* rwm")
    if not denies_all and not (entry.key.endswith("allow") and rule in _HARMLESS_RULES):
        draft.lost(entry, "devices are given by node, not by number", "give each by a <hostdev mode='capabilities'>")


def read_resource_limit(draft: DomainDraft, entry: ForeignEntry) -> None:
    name = entry.key.rpartition(".")[2]
    if name.upper() not in ENOUGH:
        draft.unknown(entry, f"there is no resource limit {quoted(name)}", "see getrlimit(2)")
        return
    try:
        soft, hard = read_rlimit(entry.value)
    except ValueError:
        draft.lost(entry, f"{quoted(entry.value)} is no limit such as 1024:4096")
        return
    draft.limit(name, DefinedLimit(name=name, soft=soft, hard=hard))


def read_kernel_setting(draft: DomainDraft, entry: ForeignEntry) -> None:
    name = entry.key.removeprefix("lxc.sysctl.")
    path = setting_path(name)
    if path is None or namespace_of_setting(path) is None:
        draft.lost(entry, f"the kernel setting {quoted(name)} is the whole host's", "set it on the host: sysctl(8)")
        return
    draft.kernel_setting(KernelSetting(name=name, value=entry.value))


def read_clock(draft: DomainDraft, entry: ForeignEntry) -> None:
    try:
        shift = read_nanoseconds(entry.value)
    except ValueError:
        draft.lost(entry, f"{quoted(entry.value)} is no time such as 10h or -30s")
        return
    if shift % 10**9:
        draft.changed(entry, "a clock is shifted by whole seconds")
    seconds = ClockShift(seconds=max(-(2**31), min(2**31 - 1, shift // 10**9)))
    wanted = draft.settings.time_namespace or TimeNamespace()
    boot = entry.key.endswith("boot")
    draft.time_namespace(replace(wanted, boot_time=seconds) if boot else replace(wanted, monotonic=seconds))


# Written


def _bytes(limit: KiB) -> str:
    return str(limit * 1024)


def memory_keys(domain: DomainDefinition) -> Pairs:
    """Yield limits of memory for both versions of control groups; LXC takes those of the host's."""
    tune = domain.memory_tune
    limit = domain.memory_limit
    if limit is not None:
        yield "lxc.cgroup2.memory.max", _bytes(limit)
        yield "lxc.cgroup.memory.limit_in_bytes", _bytes(limit)
    if tune is not None and tune.soft_limit is not None:
        yield "lxc.cgroup2.memory.high", _bytes(tune.soft_limit)
        yield "lxc.cgroup.memory.soft_limit_in_bytes", _bytes(tune.soft_limit)
    if tune is not None and tune.min_guarantee is not None:
        yield "lxc.cgroup2.memory.min", _bytes(tune.min_guarantee)
    total = tune.swap_hard_limit if tune is not None else None
    if total is not None and limit is not None and total < UNLIMITED_KIB:
        yield "lxc.cgroup2.memory.swap.max", _bytes(KiB(total - limit))
        yield "lxc.cgroup.memory.memsw.limit_in_bytes", _bytes(total)
    elif total is None and limit is not None:
        # What has no word for it has no swap here.
        yield "lxc.cgroup2.memory.swap.max", "0"
        yield "lxc.cgroup.memory.memsw.limit_in_bytes", _bytes(limit)


def cpu_keys(domain: DomainDefinition) -> Pairs:
    tune = domain.cpu_tune
    if domain.vcpu.cpus is not None:
        cpus = format_cpuset(domain.vcpu.cpus)
        yield "lxc.cgroup2.cpuset.cpus", cpus
        yield "lxc.cgroup.cpuset.cpus", cpus
    memory = domain.numa_tune.memory if domain.numa_tune is not None else None
    if memory is not None and memory.nodes is not None:
        nodes = format_cpuset(memory.nodes)
        yield "lxc.cgroup2.cpuset.mems", nodes
        yield "lxc.cgroup.cpuset.mems", nodes
    if tune is None:
        return
    if tune.shares is not None:
        yield "lxc.cgroup.cpu.shares", str(tune.shares)
        yield "lxc.cgroup2.cpu.weight", str(weight_of(tune.shares))
    quota = tune.quota if tune.quota is not None else tune.global_quota
    period = tune.period if tune.period is not None else tune.global_period
    if period is not None:
        yield "lxc.cgroup.cpu.cfs_period_us", str(period)
    if quota is not None:
        yield "lxc.cgroup.cpu.cfs_quota_us", str(quota)
        yield "lxc.cgroup2.cpu.max", f"{'max' if quota < 0 else quota} {period or 100_000}"


def weight_keys(domain: DomainDefinition) -> Pairs:
    weight = domain.blkio_tune.weight if domain.blkio_tune is not None else None
    if weight is not None:
        yield "lxc.cgroup2.io.weight", str(weight)
        yield "lxc.cgroup.blkio.weight", str(weight)


def pids_keys(domain: DomainDefinition) -> Pairs:
    limit = domain.settings.pids_limit
    if limit is not None:
        yield "lxc.cgroup2.pids.max", str(limit)
        yield "lxc.cgroup.pids.max", str(limit)


def device_keys(domain: DomainDefinition) -> Pairs:
    """Yield the rules for what a guest may open: nothing but what every one has, and nodes with numbers known here."""
    nodes = (str(each.source.character) for each in domain.devices.host_devices if each.source.character)
    for version in ("cgroup2", "cgroup"):
        yield f"lxc.{version}.devices.deny", "a"
        for rule in PLAIN_DEVICES:
            yield f"lxc.{version}.devices.allow", rule
    for node in nodes:
        if node in KNOWN_NODES:
            yield "lxc.cgroup2.devices.allow", KNOWN_NODES[node]
            yield "lxc.cgroup.devices.allow", KNOWN_NODES[node]


def resource_limit_keys(domain: DomainDefinition) -> Pairs:
    for each in domain.settings.limits:
        given = each.bounds if each.soft is not None and each.hard is not None else each.bounds[:1]
        yield f"lxc.prlimit.{each.name}", ":".join(map(write_bound, given))


def kernel_setting_keys(domain: DomainDefinition) -> Pairs:
    for each in domain.settings.kernel_settings:
        yield f"lxc.sysctl.{each.name}", each.value


def clock_keys(domain: DomainDefinition) -> Pairs:
    wanted = domain.settings.time_namespace or TimeNamespace()
    for name, shift in (("boot", wanted.boot_time), ("monotonic", wanted.monotonic)):
        if shift is not None:
            yield f"lxc.time.offset.{name}", f"{shift.seconds}s"
