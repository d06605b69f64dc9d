"""The table of an Incus or LXD instance's keys. Source: Incus's documentation, instance options."""

import shlex
from collections.abc import Iterator
from dataclasses import replace

from insula.conversion.amounts import read_limit, read_rlimit
from insula.conversion.domaindraft import NO_LIMIT, DomainDraft
from insula.conversion.foreigndocument import ForeignEntry, quoted
from insula.conversion.keytable import ForeignKey, KeyTable, anyway
from insula.conversion.lxclimits import read_kernel_setting
from insula.conversion.lxcsettings import ARCHITECTURES
from insula.conversion.plainvalues import read_directory, read_group, read_nodes, read_user, read_uuid
from insula.engine.policy.resourcelimits import ENOUGH
from insula.model.boot import DEFAULT_INIT
from insula.model.commandwords import words_of
from insula.model.domain import DomainDefinition
from insula.model.extensions import PIDS_MAX, DefinedLimit
from insula.model.resourcetuning import PERIOD, SHARES, VCPU_MAX
from insula.model.scalars import read_integer, write_bound
from insula.model.sizes import Bytes, format_cpuset, parse_cpuset

Pairs = Iterator[tuple[str, str]]
_NO = ("false", "0", "no", "off", "")


def _name(draft: DomainDraft, entry: ForeignEntry) -> None:
    draft.name = draft.name or entry.value


def _names(domain: DomainDefinition) -> Pairs:
    yield "name", domain.name


def _description(draft: DomainDraft, entry: ForeignEntry) -> None:
    draft.description = entry.value or None


def _descriptions(domain: DomainDefinition) -> Pairs:
    yield "description", domain.description or ""


def _architecture(draft: DomainDraft, entry: ForeignEntry) -> None:
    draft.arch = ARCHITECTURES.get(entry.value)
    if draft.arch is None:
        draft.unknown(entry, f"no architecture {quoted(entry.value)} is known")


def _architectures(domain: DomainDefinition) -> Pairs:
    if domain.os.type.arch is not None:
        yield "architecture", domain.os.type.arch


def _processors(draft: DomainDraft, entry: ForeignEntry) -> None:
    try:
        if entry.value.isdigit():
            draft.vcpu_count = read_integer(entry.value, 1, VCPU_MAX)
        else:
            draft.cpus = parse_cpuset(entry.value)
    except ValueError:
        draft.lost(entry, f"{quoted(entry.value)} is neither a number nor a list of processors")


def _processor_keys(domain: DomainDefinition) -> Pairs:
    cpus, tune = domain.vcpu.cpus, domain.cpu_tune
    ranges = format_cpuset(cpus) if cpus is not None else str(domain.vcpu.count)
    yield "config.limits.cpu", f"{ranges}-{ranges}" if cpus is not None and ranges.isdigit() else ranges
    memory = domain.numa_tune.memory if domain.numa_tune is not None else None
    if memory is not None and memory.nodes is not None:
        yield "config.limits.cpu.nodes", format_cpuset(memory.nodes)
    if tune is not None and tune.quota is not None and tune.quota > 0 and tune.period is not None:
        if not tune.quota % 1000 and not tune.period % 1000:
            yield "config.limits.cpu.allowance", f"{tune.quota // 1000}ms/{tune.period // 1000}ms"
    elif tune is not None and tune.shares is not None:
        yield "config.limits.cpu.allowance", f"{round(tune.shares * 100 / 1024)}%"


def _allowance(draft: DomainDraft, entry: ForeignEntry) -> None:
    """Read `50%`, which counts while others want it too, or `25ms/100ms`, which always does."""
    quota, slash, period = entry.value.partition("/")
    try:
        if slash:
            used, whole = (read_integer(each.strip().removesuffix("ms"), 1) * 1000 for each in (quota, period))
            read_integer(str(whole), *PERIOD)
            draft.cpu = replace(draft.cpu, quota=used, period=whole)
        else:
            shares = round(read_integer(entry.value.removesuffix("%"), 1, 10_000) * 1024 / 100)
            draft.cpu = replace(draft.cpu, shares=max(SHARES[0], min(SHARES[1], shares)))
    except ValueError:
        draft.lost(entry, f"{quoted(entry.value)} is neither a percentage nor a time such as 25ms/100ms")


def _memory(draft: DomainDraft, entry: ForeignEntry) -> None:
    try:
        draft.memory = read_limit(entry.value)
    except ValueError:
        draft.lost(entry, f"{quoted(entry.value)} is no amount of memory", "write one instead of a percentage")


def _swap(draft: DomainDraft, entry: ForeignEntry) -> None:
    if entry.value in ("true", "false"):
        draft.swap = NO_LIMIT if entry.value == "true" else Bytes(0)
        return
    try:
        draft.swap = read_limit(entry.value)
    except ValueError:
        draft.lost(entry, f"{quoted(entry.value)} is neither true, false nor an amount")


def _memories(domain: DomainDefinition) -> Pairs:
    limit = domain.memory_limit
    total = domain.memory_tune.swap_hard_limit if domain.memory_tune is not None else None
    if limit is not None:
        yield "config.limits.memory", f"{limit}KiB"
        if total is None:
            yield "config.limits.memory.swap", "false"
        else:
            yield "config.limits.memory.swap", "true" if total * 1024 >= NO_LIMIT else f"{total - limit}KiB"


def _processes(draft: DomainDraft, entry: ForeignEntry) -> None:
    try:
        draft.pids = read_integer(entry.value, 1, PIDS_MAX)
    except ValueError:
        draft.lost(entry, f"{quoted(entry.value)} is no number of processes")


def _process_keys(domain: DomainDefinition) -> Pairs:
    if domain.settings.pids_limit is not None:
        yield "config.limits.processes", str(domain.settings.pids_limit)


def _kernel_limit(draft: DomainDraft, entry: ForeignEntry) -> None:
    name = entry.key.removeprefix("config.limits.kernel.")
    try:
        soft, hard = read_rlimit(entry.value)
    except ValueError:
        draft.lost(entry, f"{quoted(entry.value)} is no limit such as 1024:4096")
        return
    if name.upper() not in ENOUGH:
        draft.unknown(entry, f"there is no resource limit {quoted(name)}", "see getrlimit(2)")
        return
    draft.limit(name, DefinedLimit(name=name, soft=soft, hard=hard))


def _kernel_limits(domain: DomainDefinition) -> Pairs:
    for each in domain.settings.limits:
        given = each.bounds if each.soft is not None and each.hard is not None else each.bounds[:1]
        yield f"config.limits.kernel.{each.name}", ":".join(map(write_bound, given))


def _setting(draft: DomainDraft, entry: ForeignEntry) -> None:
    read_kernel_setting(
        draft, replace(entry, key=entry.key.removeprefix("config.linux.").replace("sysctl", "lxc.sysctl", 1))
    )


def _settings(domain: DomainDefinition) -> Pairs:
    for each in domain.settings.kernel_settings:
        yield f"config.linux.sysctl.{each.name}", each.value


def _variable(draft: DomainDraft, entry: ForeignEntry) -> None:
    draft.environment[entry.key.removeprefix("config.environment.")] = entry.value


def _variables(domain: DomainDefinition) -> Pairs:
    for each in domain.os.environment:
        if not each.is_hidden:
            yield f"config.environment.{each.name}", each.value


def _entrypoint(draft: DomainDraft, entry: ForeignEntry) -> None:
    try:
        draft.command(entry, words_of(entry.value))
    except ValueError as error:
        draft.lost(entry, f"{quoted(entry.value)} cannot be taken apart: {error}")


def _entrypoints(domain: DomainDefinition) -> Pairs:
    if domain.os.init != DEFAULT_INIT or domain.os.arguments:
        yield "config.oci.entrypoint", shlex.join((str(domain.os.init), *domain.os.arguments))
    if domain.os.directory is not None:
        yield "config.oci.cwd", str(domain.os.directory)
    for key, who in (("config.oci.uid", domain.os.user), ("config.oci.gid", domain.os.group)):
        if who is not None and who.isdigit():
            yield key, who


def _uuids(domain: DomainDefinition) -> Pairs:
    yield "config.volatile.uuid", str(domain.uuid)


def _privileged(draft: DomainDraft, entry: ForeignEntry) -> None:
    if entry.value in _NO:
        return
    draft.has_hosts_ids = True
    draft.changed(
        entry,
        "the instance was privileged; the domain has ids of its own",
        "<insula:privileged/> makes it privileged, too; security.md tells what that gives away",
    )


def _privileges(domain: DomainDefinition) -> Pairs:
    if domain.settings.privileged:
        yield "config.security.privileged", "true"


def _onboot(draft: DomainDraft, entry: ForeignEntry) -> None:
    if entry.value not in _NO:
        draft.lost(entry, "a definition does not say that it starts with the host", "insula autostart DOMAIN")


def _lost(name: str, why: str, advice: str = "") -> ForeignKey:
    return ForeignKey(name=name, why=why, advice=advice)


_BOOT, _BOOT_ADVICE = "it is said in other words", "<insula:autostart order='' delay=''>"
_OTHERS = "it is of its own server"
_NO_MACHINE = "it is of virtual machines"
_CONFINED = "who confines a guest is not chosen: id map, capabilities, Landlock and a filter of system calls are"
_GROUP, _GROUP_ADVICE = "definitions do not say it", "set it on the guest's group on the host"
_OF_THE_SERVER = ("created_at", "last_used_at", "location", "project", "status", "status_code")
INCUS_KEYS = KeyTable(
    (
        ForeignKey(name="name", becomes="name", read=_name, write=_names),
        ForeignKey(name="description", becomes="description", read=_description, write=_descriptions),
        ForeignKey(name="architecture", becomes="os/type/@arch", read=_architecture, write=_architectures),
        ForeignKey(name="type", becomes="nothing: containers are read"),
        ForeignKey(
            name="ephemeral", read=anyway(*_NO, why="a definition outlives its runs", advice="start it by virsh create")
        ),
        ForeignKey(name="stateful", read=anyway(*_NO, why="the state of memory is not carried over")),
        ForeignKey(name="profiles", becomes="what they say, where they are there or expanded"),
        *(
            _lost(each, _OTHERS)
            for each in ("created_at", "last_used_at", "location", "project", "status", "status_code")
        ),
        ForeignKey(name="config.limits.cpu", becomes="vcpu, vcpu/@cpuset", read=_processors, write=_processor_keys),
        ForeignKey(name="config.limits.cpu.allowance", becomes="cputune", read=_allowance),
        ForeignKey(name="config.limits.cpu.nodes", becomes="numatune/memory/@nodeset", read=read_nodes),
        ForeignKey(name="config.limits.memory", becomes="memory", read=_memory, write=_memories),
        ForeignKey(
            name="config.limits.memory.enforce",
            read=anyway("hard", why="memory is a limit", advice="<memtune><soft_limit>"),
        ),
        ForeignKey(name="config.limits.memory.swap", becomes="memtune/swap_hard_limit", read=_swap),
        ForeignKey(name="config.limits.processes", becomes="insula:pids", read=_processes, write=_process_keys),
        ForeignKey(name="config.limits.kernel.*", becomes="insula:rlimit", read=_kernel_limit, write=_kernel_limits),
        _lost("config.limits.disk.priority", "it has no equivalent weight", "<blkiotune><weight>"),
        _lost("config.limits.*", _GROUP, _GROUP_ADVICE),
        ForeignKey(name="config.linux.sysctl.*", becomes="insula:sysctl", read=_setting, write=_settings),
        _lost("config.linux.kernel_modules", "modules are the host's", "load them there"),
        _lost("config.linux.kernel_modules.load", "modules are the host's", "load them there"),
        ForeignKey(name="config.environment.*", becomes="os/initenv", read=_variable, write=_variables),
        ForeignKey(name="config.oci.entrypoint", becomes="os/init, os/initarg", read=_entrypoint, write=_entrypoints),
        ForeignKey(name="config.oci.cwd", becomes="os/initdir", read=read_directory),
        ForeignKey(name="config.oci.uid", becomes="os/inituser", read=read_user),
        ForeignKey(name="config.oci.gid", becomes="os/initgroup", read=read_group),
        ForeignKey(name="config.volatile.uuid", becomes="uuid", read=read_uuid, write=_uuids),
        _lost("config.volatile.*", "it is of a run, or of how its files are kept"),
        _lost("config.image.*", "what a tree was made from is not remembered", "insula label keeps notes"),
        _lost("config.user.*", "notes are not carried along", "insula label keeps them"),
        _lost("config.cloud-init.*", "no program of ours sets a guest up at its first boot", "build an image"),
        ForeignKey(
            name="config.security.privileged",
            becomes="insula:privileged is yours to write",
            read=_privileged,
            write=_privileges,
        ),
        ForeignKey(
            name="config.security.nesting",
            read=anyway(*_NO, why="engines run inside without a word of it", advice="guests.md tells what they need"),
        ),
        ForeignKey(name="config.security.protection.*", read=anyway(*_NO, why="definitions are not locked")),
        _lost("config.security.idmap.*", "a domain has ids of its own"),
        _lost("config.security.syscalls.*", _CONFINED, "<insula:allow> lets more through"),
        _lost("config.security.guestapi*", "a guest is given no API of ours"),
        _lost("config.security.devlxd*", "a guest is given no API of ours"),
        _lost("config.security.*", _NO_MACHINE),
        _lost("config.raw.idmap", "a domain has ids of its own", "<idmap> chooses them"),
        _lost("config.raw.lxc", "lines of LXC's configuration are another format", "insula config import lxc-tools"),
        _lost("config.raw.*", _CONFINED),
        ForeignKey(name="config.boot.autostart", becomes="nothing; see insula autostart", read=_onboot),
        _lost("config.boot.autorestart", "what follows a crash is on_crash", "<on_crash>restart</on_crash>"),
        _lost("config.boot.host_shutdown_*", "how long a guest may take to stop holds for all", "insulad.toml"),
        _lost("config.boot.*", _BOOT, _BOOT_ADVICE),
        _lost("config.cluster.*", "there is no cluster"),
        _lost("config.placement.*", "there is no cluster"),
        _lost("config.migration.*", "running guests are not moved that way"),
        _lost("config.nvidia.*", "libraries of the host are not put into a guest", "give the device's nodes"),
        _lost("config.snapshots.*", "snapshots are not made by themselves"),
        _lost("config.agent.*", _NO_MACHINE),
        _lost("config.systemd.credential*", "credentials are not handed to init"),
        ForeignKey(name="devices.*", becomes="filesystem, interface, hostdev"),
    ),
    unknown="Incus's documentation",
)
