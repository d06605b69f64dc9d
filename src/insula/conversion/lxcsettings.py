"""Single settings of LXC's configuration: who, what runs first, ids, capabilities, consoles, shared namespaces.

Source: lxc.container.conf(5).
"""

from collections.abc import Iterator

from insula.conversion.domaindraft import HOST, DomainDraft
from insula.conversion.foreigndocument import ForeignEntry, quoted
from insula.engine.policy.capabilities import HOST_ONLY, CapabilityPolicy
from insula.model.boot import DEFAULT_INIT
from insula.model.devices import Console, ConsoleLogFile
from insula.model.domain import DomainDefinition
from insula.model.extensions import DefinedShare, ShareType
from insula.model.scalars import OnOff, read_integer
from insula.model.security import ID_MAX, Capability, DefinedIdRange

Pairs = Iterator[tuple[str, str]]
ARCHITECTURES = {
    "x86": "i686",
    "i386": "i686",
    "i486": "i686",
    "i586": "i686",
    "i686": "i686",
    "linux32": "i686",
    "x86_64": "x86_64",
    "amd64": "x86_64",
    "linux64": "x86_64",
    "arm64": "aarch64",
    "aarch64": "aarch64",
    "armhf": "armv7l",
    "armv7": "armv7l",
    "armv7l": "armv7l",
    "arm": "armv7l",
    "armel": "armv7l",
    "ppc64el": "ppc64le",
    "ppc64le": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
}
"""What distributions and kernels call an architecture, and what uname(1) does."""
CONSOLES_MAX = 32


def read_hostname(draft: DomainDraft, entry: ForeignEntry) -> None:
    draft.hostname = entry.value


def name_keys(domain: DomainDefinition) -> Pairs:
    yield "lxc.uts.name", domain.settings.hostname or domain.name


def read_architecture(draft: DomainDraft, entry: ForeignEntry) -> None:
    draft.arch = ARCHITECTURES.get(entry.value)
    if draft.arch is None:
        draft.unknown(
            entry, f"no architecture {quoted(entry.value)} is known", "write <type arch> as uname -m spells it"
        )


def architecture_keys(domain: DomainDefinition) -> Pairs:
    if domain.os.type.arch is not None:
        yield "lxc.arch", domain.os.type.arch


def read_init(draft: DomainDraft, entry: ForeignEntry) -> None:
    """Words stand between spaces: quotes mean nothing to LXC here."""
    draft.command(entry, entry.value.split())


def init_keys(domain: DomainDefinition) -> Pairs:
    words = (str(domain.os.program), *domain.os.arguments)
    if words != (str(DEFAULT_INIT),) and all(len(each.split()) == 1 for each in words):
        yield "lxc.init.cmd", " ".join(words)


def directory_keys(domain: DomainDefinition) -> Pairs:
    if domain.os.directory is not None:
        yield "lxc.init.cwd", str(domain.os.directory)


def user_keys(domain: DomainDefinition) -> Pairs:
    for key, who in (("lxc.init.uid", domain.os.user), ("lxc.init.gid", domain.os.group)):
        if who is not None and who.isdigit():
            yield key, who


def read_variable(draft: DomainDraft, entry: ForeignEntry) -> None:
    name, equals, value = entry.value.partition("=")
    if not equals:
        draft.lost(entry, f"the host's value of {quoted(name)} is not handed on", "write NAME=VALUE")
        return
    draft.environment[name] = value


def variable_keys(domain: DomainDefinition) -> Pairs:
    for each in domain.os.environment:
        if not each.is_hidden and "\n" not in each.value:
            yield "lxc.environment", f"{each.name}={each.value}"


def read_autostart(draft: DomainDraft, entry: ForeignEntry) -> None:
    if entry.value != "0":
        draft.lost(entry, "a definition does not say that it starts with the host", "insula autostart DOMAIN")


def read_ephemeral(draft: DomainDraft, entry: ForeignEntry) -> None:
    if entry.value != "0":
        draft.lost(entry, "a definition outlives its domain's runs", "start it by 'virsh create', and nothing is kept")


def read_terminals(draft: DomainDraft, entry: ForeignEntry) -> None:
    try:
        number = read_integer(entry.value, 0, CONSOLES_MAX)
    except ValueError:
        draft.lost(entry, f"{quoted(entry.value)} is no number of terminals up to {CONSOLES_MAX}")
        return
    draft.consoles[1:] = [Console() for _ in range(number)]


def console_keys(domain: DomainDefinition) -> Pairs:
    consoles = domain.devices.consoles
    yield "lxc.tty.max", str(max(0, len(consoles) - 1))
    if consoles and consoles[0].log is not None:
        yield "lxc.console.logfile", str(consoles[0].log.file)


def read_console_log(draft: DomainDraft, entry: ForeignEntry) -> None:
    path = draft.path(entry, entry.value)
    if path is not None:
        draft.consoles[0] = Console(log=ConsoleLogFile(file=path))


def read_drop(draft: DomainDraft, entry: ForeignEntry) -> None:
    for word in entry.value.split():
        if word not in HOST_ONLY:  # which nobody has by default
            draft.drop_capability(entry, word)


def read_keep(draft: DomainDraft, entry: ForeignEntry) -> None:
    draft.policy = CapabilityPolicy.DENY
    for word in entry.value.split():
        if word == "none":
            draft.capabilities.clear()
        else:
            draft.drop_capability(entry, word, on=True)


def capability_keys(domain: DomainDefinition) -> Pairs:
    features = domain.features.capabilities if domain.features is not None else None
    states = {each.capability: each.state is OnOff.ON for each in features.states} if features is not None else {}
    policy = features.policy if features is not None else CapabilityPolicy.DEFAULT
    if policy is CapabilityPolicy.DENY:
        kept = sorted(each for each, on in states.items() if on)
        yield "lxc.cap.keep", " ".join(kept) or "none"
        return
    dropped = {each for each, on in states.items() if not on}
    if policy is CapabilityPolicy.DEFAULT:
        dropped |= {each for each in map(Capability, HOST_ONLY) if not states.get(each)}
    if dropped:
        yield "lxc.cap.drop", " ".join(sorted(dropped))


def read_idmap(draft: DomainDraft, entry: ForeignEntry) -> None:
    words = entry.value.split()
    try:
        kind, *numbers = words
        start, target, count = (read_integer(each, 0, ID_MAX) for each in numbers)
        if kind not in ("u", "g", "b") or not count:
            raise ValueError(kind)
    except ValueError:
        draft.lost(entry, f"{quoted(entry.value)} is no range of ids such as 'u 0 100000 65536'")
        return
    ids = DefinedIdRange(start=start, target=target, count=count)
    if kind in "ub":
        draft.uids.append(ids)
    if kind in "gb":
        draft.gids.append(ids)


IDS = DefinedIdRange(start=0, target=100_000, count=65_536)
"""What a domain's own ids are written as, which are not in its definition: the range that login.defs(5) begins with."""


def idmap_keys(domain: DomainDefinition) -> Pairs:
    if domain.settings.privileged:
        return
    uids = domain.idmap.uids if domain.idmap is not None else (IDS,)
    gids = domain.idmap.gids if domain.idmap is not None else (IDS,)
    for kind, ranges in (("u", uids), ("g", gids)):
        for each in ranges:
            yield "lxc.idmap", f"{kind} {each.start} {each.target} {each.count}"


def read_share(draft: DomainDraft, entry: ForeignEntry) -> None:
    name = entry.value
    if "/" in name:
        draft.lost(entry, "another domain is named, not its directory", "write the name that it has here")
        return
    share = DefinedShare(type=ShareType.PID if name.isdigit() else ShareType.NAME, value=name)
    match entry.key.rpartition(".")[2]:
        case "net":
            draft.network_share = share
        case "ipc":
            draft.ipc_share = share
        case "uts":
            draft.uts_share = share
        case other:
            draft.lost(entry, f"a namespace of kind {quoted(other)} is not shared")


def share_keys(domain: DomainDefinition) -> Pairs:
    lxc = domain.lxc
    for kind, share in (("ipc", lxc.ipc if lxc else None), ("uts", lxc.uts if lxc else None)):
        if share is not None:
            yield f"lxc.namespace.share.{kind}", share.value


def read_kept_namespaces(draft: DomainDraft, entry: ForeignEntry) -> None:
    for kind in entry.value.split():
        match kind:
            case "net":
                draft.network_share = HOST
            case "ipc":
                draft.ipc_share = HOST
            case "uts":
                draft.uts_share = HOST
            case _:
                draft.lost(entry, f"a guest always has a namespace of kind {quoted(kind)} of its own")
