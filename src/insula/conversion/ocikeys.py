"""The table of what an OCI bundle's config.json says, of versions 1.0 to 1.2. Source: the OCI runtime specification."""

import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

from insula.conversion.domaindraft import HOST, DomainDraft
from insula.conversion.foreigndocument import ForeignEntry, quoted
from insula.conversion.jsontree import mapping_at, number_at, objects_at, text_at, texts_at
from insula.conversion.keytable import ForeignKey, KeyTable, Reader
from insula.conversion.lxcsettings import IDS
from insula.conversion.ocilimits import (
    clock_offsets,
    read_clocks,
    read_cpus,
    read_io_weight,
    read_memory,
    read_mems,
    read_period,
    read_pids_limit,
    read_quota,
    read_rlimits,
    read_shares,
    read_soft,
    read_sysctls,
    read_total,
    read_unified,
    resource_keys,
    rlimit_keys,
    sysctl_keys,
    valued,
)
from insula.conversion.ocimounts import (
    MASKED,
    READ_ONLY,
    mount_keys,
    read_covered,
    read_device_rules,
    read_devices,
    read_mounts,
)
from insula.engine.policy.capabilities import HOST_ONLY, CapabilityPolicy, default_kept, kept
from insula.kernel.privileges import CAPABILITIES
from insula.model.domain import DomainDefinition
from insula.model.extensions import DefinedShare, KernelSetting, ShareType
from insula.model.scalars import OnOff
from insula.model.security import ID_MAX, Capability, DefinedIdRange

Pairs = Iterator[tuple[str, str]]
VERSION = "1.0.2"
ANNOTATION = "dev.insula."
"""How annotations of ours begin, which carry what the specification has no place for."""
FOUND = f"{ANNOTATION}finding."
_OWN_NAMESPACES = ("pid", "mount", "cgroup")
_SHARED = {"network": "network_share", "ipc": "ipc_share", "uts": "uts_share"}
_SETS = ("bounding", "effective", "permitted")
_CONFINED = "who confines a guest is not chosen: id map, capabilities, Landlock and a filter of system calls are"


def _arguments(draft: DomainDraft, entry: ForeignEntry) -> None:
    try:
        draft.command(entry, texts_at(json.loads(entry.value)))
    except ValueError:
        draft.lost(entry, f"{quoted(entry.value)} is no list of texts")


def _processes(domain: DomainDefinition) -> Pairs:
    yield "process.terminal", "false"
    yield "process.user", json.dumps({"uid": _id(domain.os.user), "gid": _id(domain.os.group)})
    yield "process.args", json.dumps([str(domain.os.program), *domain.os.arguments])
    variables = [f"{each.name}={each.value}" for each in domain.os.environment if not each.is_hidden]
    if variables:
        yield "process.env", json.dumps(variables)
    yield "process.cwd", json.dumps(str(domain.os.directory or "/"))


def _id(name: str | None) -> int:
    return int(name) if name is not None and name.isdigit() and len(name) < 11 else 0


def _user(draft: DomainDraft, value: Any) -> None:
    uid, gid = (number_at(value.get(key, 0), 0, ID_MAX) for key in ("uid", "gid"))
    draft.user, draft.group = (str(each) if each else None for each in (uid, gid))
    for key in ("umask", "additionalGids", "username"):
        if value.get(key):
            place = ForeignEntry(key=f"process.user.{key}")
            draft.lost(place, "a first program has its user's groups and a umask of its own")


def _environment(draft: DomainDraft, value: Any) -> None:
    for each in texts_at(value):
        name, _, text = each.partition("=")
        draft.environment[name] = text


def _directory(draft: DomainDraft, entry: ForeignEntry) -> None:
    path = draft.path(entry, text_at(json.loads(entry.value)))
    draft.directory = None if path == PurePosixPath("/") else path


def _capabilities(draft: DomainDraft, value: Any) -> None:
    """The bounding set is what counts: it is what the guest's root can have."""
    names = {each.lower().removeprefix("cap_") for each in texts_at(value.get("bounding", []))}
    known = names & set(CAPABILITIES)
    default = default_kept(privileged=False)
    if names - known:
        raise ValueError(f"there are no capabilities {', '.join(sorted(names - known))[:60]}")
    if len(known) < len(CAPABILITIES) / 2:
        draft.policy = CapabilityPolicy.DENY
        changes = dict.fromkeys(known, True)
    elif known >= HOST_ONLY.keys():
        draft.policy = CapabilityPolicy.ALLOW
        changes = dict.fromkeys(set(CAPABILITIES) - known, False)
    else:
        changes = {**dict.fromkeys(known - default, True), **dict.fromkeys(default - known, False)}
    draft.capabilities = {Capability(each): on for each, on in changes.items()}


def _capability_keys(domain: DomainDefinition) -> Pairs:
    features = domain.features.capabilities if domain.features is not None else None
    states = {each.capability.value: each.state is OnOff.ON for each in features.states} if features is not None else {}
    policy = features.policy if features is not None else CapabilityPolicy.DEFAULT
    names = sorted(f"CAP_{each.upper()}" for each in kept(policy, states, privileged=domain.settings.privileged))
    yield "process.capabilities", json.dumps(dict.fromkeys(_SETS, names))


def _version(draft: DomainDraft, value: Any) -> None:
    if not text_at(value).startswith("1."):
        raise ValueError("versions 1.0 to 1.2 are known")


def _versions(domain: DomainDefinition) -> Pairs:
    yield "ociVersion", json.dumps(VERSION)


def _hostname(draft: DomainDraft, value: Any) -> None:
    draft.hostname = text_at(value) or None


def _hostnames(domain: DomainDefinition) -> Pairs:
    yield "hostname", json.dumps(domain.settings.hostname or domain.name)


def _domainname(draft: DomainDraft, value: Any) -> None:
    draft.kernel_setting(KernelSetting(name="kernel.domainname", value=text_at(value)))


def _annotations(draft: DomainDraft, entry: ForeignEntry) -> None:
    try:
        notes = mapping_at(json.loads(entry.value))
    except ValueError:
        draft.lost(entry, f"{quoted(entry.value)} is no object of texts")
        return
    for name, value in notes.items():
        match name.removeprefix(ANNOTATION) if name.startswith(ANNOTATION) else "":
            case "name":
                draft.name = draft.name or value
            case "uuid" if len(value) == 36:
                draft.uuid = _uuid(value)
            case "title":
                draft.title = value
            case "description":
                draft.description = value
            case _ if not name.startswith(FOUND):
                note = ForeignEntry(key=f"{entry.key}.{name}", value=value)
                draft.lost(note, "notes of others are not kept", "insula label keeps notes")


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _annotation_keys(domain: DomainDefinition) -> Pairs:
    notes = {"name": domain.name, "uuid": str(domain.uuid), "title": domain.title, "description": domain.description}
    yield "annotations", json.dumps({f"{ANNOTATION}{key}": text for key, text in notes.items() if text is not None})


def _ids(draft: DomainDraft, entry: ForeignEntry) -> None:
    ranges = draft.uids if entry.key.endswith("uidMappings") else draft.gids
    try:
        for each in objects_at(json.loads(entry.value)):
            start, target = (number_at(each.get(key), 0, ID_MAX) for key in ("containerID", "hostID"))
            ranges.append(DefinedIdRange(start=start, target=target, count=number_at(each.get("size"), 1, ID_MAX)))
    except ValueError as error:
        draft.lost(entry, f"{quoted(entry.value)} are no ranges of ids: {error}")


def _id_keys(domain: DomainDefinition) -> Pairs:
    if domain.settings.privileged:
        return
    uids = domain.idmap.uids if domain.idmap is not None else (IDS,)
    gids = domain.idmap.gids if domain.idmap is not None else (IDS,)
    for key, ranges in (("uidMappings", uids), ("gidMappings", gids)):
        maps = [{"containerID": each.start, "hostID": each.target, "size": each.count} for each in ranges]
        yield f"linux.{key}", json.dumps(maps)


def _namespaces(draft: DomainDraft, entry: ForeignEntry) -> None:
    """Those that are not there are the host's."""
    try:
        wanted = {text_at(each.get("type")): each.get("path") for each in objects_at(json.loads(entry.value))}
    except ValueError as error:
        draft.lost(entry, f"{quoted(entry.value)} are no namespaces: {error}")
        return
    for kind in _OWN_NAMESPACES:
        if kind not in wanted and kind != "cgroup":
            draft.lost(entry, f"a guest always has a namespace of kind '{kind}' of its own")
    for kind, field in _SHARED.items():
        if kind not in wanted:
            setattr(draft, field, HOST)
    if "user" not in wanted:
        draft.changed(
            entry,
            "there is no user namespace, so the container was privileged; the domain has ids of its own",
            "<insula:privileged/> makes it privileged, too; security.md tells what that gives away",
        )
    for kind, path in wanted.items():
        share = _share(path) if isinstance(path, str) and path else None
        if share is not None and kind in _SHARED and (share.type is not ShareType.NETNS or kind == "network"):
            setattr(draft, _SHARED[kind], share)
        elif path:
            draft.lost(entry, f"the namespace {quoted(str(path))} of kind {quoted(kind)} is not shared")


def _share(path: str) -> DefinedShare | None:
    """Return whose namespace a file is: a process's, or a network namespace's with a name."""
    parts = PurePosixPath(path).parts
    match parts:
        case ("/", "proc", pid, "ns", _) if pid.isdigit():
            return DefinedShare(type=ShareType.PID, value=pid)
        case ("/", "run", "netns", name) | ("/", "var", "run", "netns", name):
            return DefinedShare(type=ShareType.NETNS, value=name)
    return None


def _namespace_keys(domain: DomainDefinition) -> Pairs:
    lxc = domain.lxc
    shares = {
        "network": lxc.network if lxc is not None else None,
        "ipc": lxc.ipc if lxc is not None else None,
        "uts": lxc.uts if lxc is not None else None,
    }
    namespaces: list[dict[str, str]] = [{"type": each} for each in _OWN_NAMESPACES]
    if not domain.settings.privileged:
        namespaces.append({"type": "user"})
    if domain.settings.time_namespace is not None:
        namespaces.append({"type": "time"})
    for kind, share in shares.items():
        if share is None:
            namespaces.append({"type": kind})
        elif share != HOST and share.type is ShareType.NETNS:
            namespaces.append({"type": kind, "path": f"/run/netns/{share.value}"})
        elif share != HOST and share.type is ShareType.PID:
            file = {"network": "net"}.get(kind, kind)
            namespaces.append({"type": kind, "path": f"/proc/{share.value}/ns/{file}"})
    yield "linux.namespaces", json.dumps(namespaces)
    yield "linux.maskedPaths", json.dumps(MASKED)
    yield "linux.readonlyPaths", json.dumps(READ_ONLY)


def _personality(draft: DomainDraft, value: Any) -> None:
    draft.arch = {"LINUX32": "i686", "LINUX": None}[text_at(value.get("domain"))]


def _personalities(domain: DomainDefinition) -> Pairs:
    if domain.os.type.arch == "i686":
        yield "linux.personality", json.dumps({"domain": "LINUX32"})


def _anyway(*values: object, why: str, advice: str = "") -> Reader:
    def read(draft: DomainDraft, entry: ForeignEntry) -> None:
        if json.loads(entry.value) not in values:
            draft.lost(entry, why, advice)

    return read


def _lost(name: str, why: str, advice: str = "") -> ForeignKey:
    return ForeignKey(name=name, why=why, advice=advice)


_HOOKS = "no program of ours, or of the host, runs at a change of a guest's life"
_GROUP = "definitions do not say it"
_GROUP_ADVICE = "set it on the guest's group on the host"
OCI_KEYS = KeyTable(
    (
        ForeignKey(name="ociVersion", becomes="nothing: 1.0 to 1.2 are known", read=valued(_version), write=_versions),
        ForeignKey(name="root.path", becomes="filesystem with the target /"),
        ForeignKey(name="root.readonly", becomes="filesystem/readonly"),
        ForeignKey(name="hostname", becomes="name, insula:hostname", read=valued(_hostname), write=_hostnames),
        ForeignKey(name="domainname", becomes="insula:sysctl kernel.domainname", read=valued(_domainname)),
        ForeignKey(name="process.args", becomes="os/init, os/initarg", read=_arguments, write=_processes),
        ForeignKey(name="process.env", becomes="os/initenv", read=valued(_environment)),
        ForeignKey(name="process.cwd", becomes="os/initdir", read=_directory),
        ForeignKey(name="process.user", becomes="os/inituser, os/initgroup", read=valued(_user)),
        ForeignKey(
            name="process.terminal", becomes="console, which there is anyway", read=_anyway(True, False, why="")
        ),
        _lost("process.consoleSize", "a console has the size of who looks at it"),
        _lost("process.commandLine", "it is of Windows"),
        ForeignKey(
            name="process.capabilities",
            becomes="features/capabilities",
            read=valued(_capabilities),
            write=_capability_keys,
        ),
        ForeignKey(name="process.rlimits", becomes="insula:rlimit", read=read_rlimits, write=rlimit_keys),
        ForeignKey(
            name="process.noNewPrivileges",
            becomes="nothing where it is off",
            read=_anyway(False, why="set-user-id programs work in a guest", advice="drop capabilities instead"),
        ),
        _lost("process.oomScoreAdj", "it is the guest's own, and of its programs"),
        _lost("process.scheduler", "it is the guest's own, and of its programs"),
        _lost("process.ioPriority", "it is the guest's own, and of its programs", "<blkiotune><weight>"),
        _lost("process.execCPUAffinity", "what enters a guest has its processors"),
        _lost("process.apparmorProfile", _CONFINED),
        _lost("process.selinuxLabel", _CONFINED),
        ForeignKey(name="mounts", becomes="filesystem, hostdev", read=read_mounts, write=mount_keys),
        _lost("hooks", _HOOKS, "watch 'insula events' or libvirt's events, and act on them"),
        ForeignKey(name="annotations", becomes="name, uuid, title", read=_annotations, write=_annotation_keys),
        ForeignKey(name="linux.namespaces", becomes="lxc:namespace", read=_namespaces, write=_namespace_keys),
        ForeignKey(name="linux.uidMappings", becomes="idmap", read=_ids, write=_id_keys),
        ForeignKey(name="linux.gidMappings", becomes="idmap", read=_ids),
        ForeignKey(name="linux.timeOffsets", becomes="insula:timens", read=read_clocks, write=clock_offsets),
        ForeignKey(name="linux.devices", becomes="hostdev", read=read_devices),
        _lost("linux.netDevices", "a network device of the host is a device here", "<hostdev type='net'>"),
        _lost("linux.cgroupsPath", "groups are named by domain", "<resource><partition> is the group above"),
        ForeignKey(name="linux.resources.memory.limit", becomes="memory", read=read_memory, write=resource_keys),
        ForeignKey(name="linux.resources.memory.reservation", becomes="memtune/soft_limit", read=read_soft),
        ForeignKey(name="linux.resources.memory.swap", becomes="memtune/swap_hard_limit", read=read_total),
        _lost("linux.resources.memory.*", _GROUP, _GROUP_ADVICE),
        ForeignKey(name="linux.resources.cpu.shares", becomes="cputune/shares", read=read_shares),
        ForeignKey(name="linux.resources.cpu.quota", becomes="cputune/quota", read=read_quota),
        ForeignKey(name="linux.resources.cpu.period", becomes="cputune/period", read=read_period),
        ForeignKey(name="linux.resources.cpu.cpus", becomes="vcpu, vcpu/@cpuset", read=read_cpus),
        ForeignKey(name="linux.resources.cpu.mems", becomes="numatune/memory/@nodeset", read=read_mems),
        _lost("linux.resources.cpu.*", _GROUP, _GROUP_ADVICE),
        ForeignKey(name="linux.resources.pids.limit", becomes="insula:pids", read=read_pids_limit),
        ForeignKey(name="linux.resources.blockIO.weight", becomes="blkiotune/weight", read=read_io_weight),
        _lost("linux.resources.blockIO.*", "limits of block devices are by path", "<blkiotune><device>"),
        ForeignKey(name="linux.resources.devices", becomes="what a guest may open anyway", read=read_device_rules),
        ForeignKey(name="linux.resources.unified", becomes="the same limits", read=read_unified),
        _lost("linux.resources.hugepageLimits", _GROUP, _GROUP_ADVICE),
        _lost("linux.resources.network", _GROUP, _GROUP_ADVICE),
        _lost("linux.resources.rdma", _GROUP, _GROUP_ADVICE),
        ForeignKey(name="linux.sysctl", becomes="insula:sysctl", read=read_sysctls, write=sysctl_keys),
        ForeignKey(name="linux.maskedPaths", becomes="what is covered anyway", read=read_covered),
        ForeignKey(name="linux.readonlyPaths", becomes="what is covered anyway", read=read_covered),
        ForeignKey(name="linux.personality", becomes="os/type/@arch", read=valued(_personality), write=_personalities),
        _lost("linux.rootfsPropagation", "what is mounted inside stays inside"),
        _lost("linux.mountLabel", _CONFINED),
        _lost("linux.seccomp", _CONFINED, "<insula:allow> lets more through"),
        _lost("linux.intelRdt", "shares of caches are not given"),
        _lost("vm", "it is of virtual machines"),
        _lost("windows", "it is of Windows"),
        _lost("solaris", "it is of Solaris"),
        _lost("zos", "it is of z/OS"),
    ),
    unknown="the OCI runtime specification",
)
