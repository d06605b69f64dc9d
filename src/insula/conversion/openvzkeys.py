"""The table of OpenVZ's keys. Source: ctid.conf(5), vzctl(8)."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from insula.conversion.amounts import NOTHING, read_size
from insula.conversion.domaindraft import NO_LIMIT, DomainDraft
from insula.conversion.foreigndocument import ForeignEntry, quoted
from insula.conversion.fstabs import device_node
from insula.conversion.keytable import ForeignKey, KeyTable, Reader, anyway
from insula.conversion.openvznetworks import address_keys, netif_keys, read_addresses, read_moved, read_netif
from insula.conversion.plainvalues import read_uuid
from insula.engine.policy.capabilities import CapabilityPolicy
from insula.model.domain import DomainDefinition
from insula.model.extensions import PIDS_MAX
from insula.model.filesystems import (
    ROOT,
    Filesystem,
    FilesystemDriver,
    FilesystemDriverType,
    FilesystemSource,
    FilesystemType,
)
from insula.model.resourcetuning import SHARES, VCPU_MAX
from insula.model.scalars import OnOff, read_integer, read_ip_address
from insula.model.security import Capability
from insula.model.sizes import Bytes, format_cpuset, parse_cpuset

Pairs = Iterator[tuple[str, str]]
PAGE = 4096
"""Bytes of a page of x86, by which limits of memory are counted."""
UNITS, SHARES_OF_UNITS = 1000, 1024
"""What a container has of processors if nobody says: cpuunits there, shares here."""
_PERIOD = 100_000
_ENDLESS = 2**31 - 1
"""Pages or things: what limits said for none on machines of old; on those of today it is 2**63 - 1."""


def barrier_and_limit(text: str) -> tuple[int | None, int | None]:
    """Return both numbers of `BARRIER:LIMIT`, in pages or with a unit in bytes as pages; None for unlimited.

    Raises: ValueError.
    """
    first, colon, second = text.partition(":")
    barrier = _pages(first)
    return barrier, _pages(second) if colon else barrier


def _pages(text: str) -> int | None:
    text = text.strip()
    if text.lower() in NOTHING:
        return None
    if text[-1:] in "pP":
        text = text[:-1]
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 21 else -(-read_size(text) // PAGE)
    return None if number >= _ENDLESS else number


def _bounds(draft: DomainDraft, entry: ForeignEntry) -> tuple[int | None, int | None] | None:
    """Return barrier and limit in pages, None for what is none, which is told."""
    try:
        return barrier_and_limit(entry.value)
    except ValueError:
        draft.lost(entry, f"{quoted(entry.value)} is no BARRIER:LIMIT in pages, or a size")
        return None


def _memory(draft: DomainDraft, entry: ForeignEntry) -> None:
    if (bounds := _bounds(draft, entry)) is not None:
        draft.memory = None if bounds[1] is None else Bytes(bounds[1] * PAGE)


def _swap(draft: DomainDraft, entry: ForeignEntry) -> None:
    if (bounds := _bounds(draft, entry)) is not None:
        draft.swap = NO_LIMIT if bounds[1] is None else Bytes(bounds[1] * PAGE)


def _guarantee(draft: DomainDraft, entry: ForeignEntry) -> None:
    if (bounds := _bounds(draft, entry)) is not None:
        draft.memory_guarantee = Bytes(bounds[0] * PAGE) if bounds[0] else None


def _memories(domain: DomainDefinition) -> Pairs:
    limit, tune = domain.memory_limit, domain.memory_tune
    yield "PHYSPAGES", "unlimited" if limit is None else f"0:{-(-limit * 1024 // PAGE)}"
    total = tune.swap_hard_limit if tune is not None else None
    if limit is not None and (total is None or total < NO_LIMIT // 1024):
        yield "SWAPPAGES", f"0:{-(-(total - limit) * 1024 // PAGE) if total is not None else 0}"
    if tune is not None and tune.min_guarantee is not None:
        yield "VMGUARPAGES", f"{-(-tune.min_guarantee * 1024 // PAGE)}:unlimited"


def _processes(draft: DomainDraft, entry: ForeignEntry) -> None:
    try:
        _, limit = barrier_and_limit(entry.value)
        draft.pids = None if limit is None or limit > PIDS_MAX else read_integer(str(limit), 1, PIDS_MAX)
    except ValueError:
        draft.lost(entry, f"{quoted(entry.value)} is no BARRIER:LIMIT of processes")


def _process_keys(domain: DomainDefinition) -> Pairs:
    if domain.settings.pids_limit is not None:
        yield "NUMPROC", f"{domain.settings.pids_limit}:{domain.settings.pids_limit}"


def _number(take: Callable[[DomainDraft, int], None], lowest: int, highest: int) -> Reader:
    """Return the reader of a number within a range; 0 is no limit."""

    def read(draft: DomainDraft, entry: ForeignEntry) -> None:
        try:
            value = read_integer(entry.value.rstrip("%"), 0, highest)
            if value:
                take(draft, max(lowest, value))
        except ValueError:
            draft.lost(entry, f"{quoted(entry.value)} is no number up to {highest}")

    return read


def _units(draft: DomainDraft, value: int) -> None:
    shares = round(value * SHARES_OF_UNITS / UNITS)
    draft.cpu = replace(draft.cpu, shares=max(SHARES[0], min(SHARES[1], shares)))


def _percent(draft: DomainDraft, value: int) -> None:
    draft.cpu = replace(draft.cpu, quota=value * _PERIOD // 100, period=_PERIOD)


def _count(draft: DomainDraft, value: int) -> None:
    draft.vcpu_count = value


def _mask(draft: DomainDraft, entry: ForeignEntry) -> None:
    if entry.value in ("auto", "all"):
        return
    try:
        chosen = parse_cpuset(entry.value)
    except ValueError:
        draft.lost(entry, f"{quoted(entry.value)} is no list of numbers")
        return
    if entry.key == "CPUMASK":
        draft.cpus = chosen
    else:
        draft.nodes = chosen


def _processors(domain: DomainDefinition) -> Pairs:
    tune = domain.cpu_tune
    if tune is not None and tune.shares is not None:
        yield "CPUUNITS", str(round(tune.shares * UNITS / SHARES_OF_UNITS))
    quota = tune.quota if tune is not None else None
    if tune is not None and quota is not None and quota > 0:
        yield "CPULIMIT", str(max(1, quota * 100 // (tune.period or _PERIOD)))
    yield "CPUS", str(domain.vcpu.count)
    if domain.vcpu.cpus is not None:
        yield "CPUMASK", format_cpuset(domain.vcpu.cpus)
    memory = domain.numa_tune.memory if domain.numa_tune is not None else None
    if memory is not None and memory.nodes is not None:
        yield "NODEMASK", format_cpuset(memory.nodes)


def _hostname(draft: DomainDraft, entry: ForeignEntry) -> None:
    draft.hostname = entry.value


def _name(draft: DomainDraft, entry: ForeignEntry) -> None:
    draft.name = draft.name or entry.value


def _names(domain: DomainDefinition) -> Pairs:
    yield "NAME", domain.name
    yield "HOSTNAME", domain.settings.hostname or domain.name


def _description(draft: DomainDraft, entry: ForeignEntry) -> None:
    draft.description = entry.value


def _descriptions(domain: DomainDefinition) -> Pairs:
    if domain.description is not None:
        yield "DESCRIPTION", domain.description


def _uuids(domain: DomainDefinition) -> Pairs:
    yield "UUID", str(domain.uuid)


def _private(draft: DomainDraft, entry: ForeignEntry) -> None:
    """The container's number stands for $VEID here already."""
    path = draft.path(entry, entry.value)
    if path == ROOT:
        draft.lost(entry, "the host's own root is no guest's")
    elif path is not None:
        draft.root = Filesystem(source=FilesystemSource(directory=path), target=ROOT)


def _privates(domain: DomainDefinition) -> Pairs:
    root = domain.root
    if root is not None and root.type is FilesystemType.MOUNT and root.source.directory is not None:
        yield "VE_PRIVATE", str(root.source.directory)
        yield "VE_LAYOUT", "simfs"


def _layout(draft: DomainDraft, entry: ForeignEntry) -> None:
    kind = entry.value.partition(":")[0]
    directory = draft.root.source.directory if draft.root is not None else None
    if kind == "ploop" and directory is not None:
        draft.changed(entry, "a ploop image is not mounted as a root yet", "copy its files into a directory")
        draft.root = Filesystem(
            type=FilesystemType.FILE,
            driver=FilesystemDriver(type=FilesystemDriverType.PLOOP),
            source=FilesystemSource(file=directory / "root.hdd"),
            target=ROOT,
        )
    elif kind not in ("simfs", "ploop"):
        draft.unknown(entry, f"no layout {quoted(kind)} is known")


def _resolvers(draft: DomainDraft, entry: ForeignEntry) -> None:
    for word in entry.value.split():
        try:
            draft.nameserver(read_ip_address(word))
        except ValueError:
            draft.lost(entry, f"{quoted(word)} is no address of a name server", "write its address")


def _searches(draft: DomainDraft, entry: ForeignEntry) -> None:
    for word in entry.value.split():
        draft.search_domain(word)


def _resolver_keys(domain: DomainDefinition) -> Pairs:
    yield "NAMESERVER", " ".join(map(str, domain.settings.nameservers))
    yield "SEARCHDOMAIN", " ".join(domain.settings.search_domains)


def _capabilities(draft: DomainDraft, entry: ForeignEntry) -> None:
    for word in entry.value.replace(",", " ").split():
        name, _, state = word.partition(":")
        draft.drop_capability(entry, name, on=state == "on")


def _capability_keys(domain: DomainDefinition) -> Pairs:
    features = domain.features.capabilities if domain.features is not None else None
    states = {each.capability: each.state is OnOff.ON for each in features.states} if features is not None else {}
    if features is not None and features.policy is CapabilityPolicy.DENY:
        states = {each: states.get(each, False) for each in Capability}
    words = (f"{each.value.upper()}:{'on' if on else 'off'}" for each, on in states.items())
    yield "CAPABILITY", " ".join(words)


def _nodes(draft: DomainDraft, entry: ForeignEntry) -> None:
    for word in entry.value.split():
        name, _, access = word.partition(":")
        path = PurePosixPath("/dev") / name
        if ".." in path.parts or not name or name.startswith("/"):
            draft.lost(entry, f"{quoted(name)} is no name below /dev")
        elif access != "none":
            draft.host_devices.append(device_node(path))


def _node_keys(domain: DomainDefinition) -> Pairs:
    nodes = (each.source.character or each.source.block for each in domain.devices.host_devices)
    names = (str(each.relative_to("/dev")) for each in nodes if each is not None and each.is_relative_to("/dev"))
    yield "DEVNODES", " ".join(f"{each}:rw" for each in names if " " not in each and ":" not in each)


def _features(draft: DomainDraft, entry: ForeignEntry) -> None:
    for word in entry.value.replace(",", " ").split():
        name, _, state = word.partition(":")
        if state == "on":
            draft.lost(entry, f"the feature {quoted(name)} is not switched on by name", _FEATURES.get(name, ""))


_FEATURES = {
    "nfs": "mount it on the host, and show it as a file system",
    "nfsd": "serve it from the host",
    "ppp": "give /dev/ppp by a <hostdev mode='capabilities'>",
}


def _onboot(draft: DomainDraft, entry: ForeignEntry) -> None:
    if entry.value.lower() in ("yes", "auto"):
        draft.lost(entry, "a definition does not say that it starts with the host", "insula autostart DOMAIN")


_COUNTED = "control groups do not count it by itself: memory holds it, and is limited"
_COUNTERS = (
    *("KMEMSIZE", "LOCKEDPAGES", "PRIVVMPAGES", "SHMPAGES", "OOMGUARPAGES", "NUMTCPSOCK", "NUMFLOCK", "NUMPTY"),
    *("NUMSIGINFO", "TCPSNDBUF", "TCPRCVBUF", "OTHERSOCKBUF", "DGRAMRCVBUF", "NUMOTHERSOCK", "DCACHESIZE"),
    *("NUMFILE", "AVNUMPROC", "NUMIPTENT", "VM_OVERCOMMIT"),
)
_SPACE = "space on a disk is not limited for a directory"
_SPACE_ADVICE = "put the tree on a file system of that size, or use project quotas of the host"


def _unlimited(draft: DomainDraft, entry: ForeignEntry) -> None:
    try:
        barrier, limit = barrier_and_limit(entry.value)
    except ValueError:
        barrier = limit = 0
    if barrier is not None or limit is not None:
        draft.lost(entry, _COUNTED)


def _lost(name: str, why: str, advice: str = "") -> ForeignKey:
    return ForeignKey(name=name, why=why, advice=advice)


OPENVZ_KEYS = KeyTable(
    (
        ForeignKey(name="NAME", becomes="name", read=_name, write=_names),
        ForeignKey(name="HOSTNAME", becomes="name, insula:hostname", read=_hostname),
        ForeignKey(name="DESCRIPTION", becomes="description", read=_description, write=_descriptions),
        ForeignKey(name="UUID", becomes="uuid", read=read_uuid, write=_uuids),
        ForeignKey(name="VE_PRIVATE", becomes="filesystem with the target /", read=_private, write=_privates),
        ForeignKey(name="VE_LAYOUT", becomes="filesystem/@type", read=_layout),
        _lost("VE_ROOT", "where the root is put together concerns nobody"),
        ForeignKey(name="PHYSPAGES", becomes="memory", read=_memory, write=_memories),
        ForeignKey(name="SWAPPAGES", becomes="memtune/swap_hard_limit", read=_swap),
        ForeignKey(name="VMGUARPAGES", becomes="memtune/min_guarantee", read=_guarantee),
        ForeignKey(name="NUMPROC", becomes="insula:pids", read=_processes, write=_process_keys),
        ForeignKey(name="CPUUNITS", becomes="cputune/shares", read=_number(_units, 1, 500_000), write=_processors),
        ForeignKey(name="CPULIMIT", becomes="cputune/quota", read=_number(_percent, 1, 100 * VCPU_MAX)),
        ForeignKey(name="CPUS", becomes="vcpu", read=_number(_count, 1, VCPU_MAX)),
        ForeignKey(name="CPUMASK", becomes="vcpu/@cpuset", read=_mask),
        ForeignKey(name="NODEMASK", becomes="numatune/memory/@nodeset", read=_mask),
        ForeignKey(name="IP_ADDRESS", becomes="interface of type ethernet", read=read_addresses, write=address_keys),
        ForeignKey(name="NETIF", becomes="interface", read=read_netif, write=netif_keys),
        ForeignKey(name="NETDEV", becomes="hostdev of type net", read=read_moved),
        ForeignKey(name="NAMESERVER", becomes="insula:nameserver", read=_resolvers, write=_resolver_keys),
        ForeignKey(name="SEARCHDOMAIN", becomes="insula:search", read=_searches),
        ForeignKey(name="CAPABILITY", becomes="features/capabilities", read=_capabilities, write=_capability_keys),
        ForeignKey(name="DEVNODES", becomes="hostdev", read=_nodes, write=_node_keys),
        _lost("DEVICES", "devices are given by node, not by number", "give each by a <hostdev mode='capabilities'>"),
        _lost("PCI", "no PCI device is given", "give its network device, or its nodes"),
        ForeignKey(name="FEATURES", becomes="what each feature is, or nothing", read=_features),
        _lost("NETFILTER", "every guest has the packet filter of its own network"),
        _lost("IPTABLES", "every guest has the packet filter of its own network"),
        ForeignKey(name="ONBOOT", becomes="nothing; see insula autostart", read=_onboot),
        ForeignKey(name="DISABLED", read=anyway("no", why="a definition can always be started", advice="undefine it")),
        _lost("BOOTORDER", "it is said in other words", "<insula:autostart order=''>"),
        _lost("STOP_TIMEOUT", "how long a guest may take to stop holds for all", "shutdown_timeout in insulad.toml"),
        _lost("DISKSPACE", _SPACE, _SPACE_ADVICE),
        _lost("DISKINODES", _SPACE, _SPACE_ADVICE),
        _lost("DISK_QUOTA", _SPACE, _SPACE_ADVICE),
        _lost("QUOTATIME", _SPACE, _SPACE_ADVICE),
        _lost("QUOTAUGIDLIMIT", "quotas of users are the file system's"),
        _lost("MOUNT_OPTS", "a root is mounted without options"),
        _lost("IOPRIO", "it has no equivalent weight", "<blkiotune><weight>"),
        _lost("IOLIMIT", "limits of block devices are by device", "<blkiotune><device>"),
        _lost("IOPSLIMIT", "limits of block devices are by device", "<blkiotune><device>"),
        _lost("OSTEMPLATE", "what a tree was made from is not remembered", "insula label keeps notes"),
        _lost("ORIGIN_SAMPLE", "what a configuration was made from is not remembered", "insula label keeps notes"),
        _lost("CONFIG_CUSTOMIZED", "what a configuration was made from is not remembered"),
        _lost("DISTRIBUTION", "it is read from the tree itself"),
        _lost("TECHNOLOGIES", "it is found out by itself"),
        _lost("RATE", "traffic is limited by card", "<bandwidth> of a card on a bridge"),
        _lost("RATEBOUND", "traffic is limited by card", "<bandwidth> of a card on a bridge"),
        _lost("SLMMODE", "memory is limited by control groups"),
        _lost("AUTOCOMPACT", "no image is compacted"),
        _lost("HA_ENABLE", "no cluster of ours starts it elsewhere"),
        _lost("HA_PRIO", "no cluster of ours starts it elsewhere"),
        _lost("VEID", "domains have names and UUIDs"),
        *(
            ForeignKey(name=each, becomes="nothing where it is unlimited", read=_unlimited, why=_COUNTED)
            for each in _COUNTERS
        ),
    ),
    unknown="ctid.conf(5)",
)
