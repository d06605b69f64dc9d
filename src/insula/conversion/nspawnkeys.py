"""The table of the keys of systemd's .nspawn files. Source: systemd.nspawn(5), systemd-nspawn(1)."""

import shlex
from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

from insula.conversion.amounts import read_limit, read_rlimit
from insula.conversion.domaindraft import DomainDraft
from insula.conversion.foreigndocument import ForeignEntry, quoted
from insula.conversion.keytable import ForeignKey, KeyTable, anyway
from insula.conversion.nspawnmounts import bind_keys, read_bind, read_read_only, read_temporary, temporary_keys
from insula.conversion.nspawnnetworks import nspawn_network_keys
from insula.conversion.nspawnsyntax import truth
from insula.conversion.plainvalues import read_directory, read_user
from insula.engine.policy.capabilities import CapabilityPolicy
from insula.engine.policy.resourcelimits import ENOUGH
from insula.model.boot import DEFAULT_INIT
from insula.model.commandwords import words_of
from insula.model.domain import DomainDefinition
from insula.model.extensions import DefinedLimit
from insula.model.scalars import UNLIMITED, Bound, OnOff, read_integer
from insula.model.security import ID_MAX, Capability, DefinedIdRange
from insula.model.sizes import format_cpuset, parse_cpuset

Pairs = Iterator[tuple[str, str]]
_PERSONALITIES = {"x86": "i686", "x86-64": "x86_64", "arm64": "aarch64", "ppc64-le": "ppc64le", "s390x": "s390x"}
_OFF = ("no", "off", "0", "false")
_CONFINED = "who confines a guest is not chosen: id map, capabilities, Landlock and a filter of system calls are"


def _parameters(draft: DomainDraft, entry: ForeignEntry) -> None:
    try:
        draft.command(entry, words_of(entry.value))
    except ValueError as error:
        draft.lost(entry, f"{quoted(entry.value)} cannot be taken apart: {error}")


def _boots(domain: DomainDefinition) -> Pairs:
    boots = domain.os.program == DEFAULT_INIT
    yield "Exec.Boot", "yes" if boots else "no"
    words = domain.os.arguments if boots else (str(domain.os.program), *domain.os.arguments)
    if words:
        yield "Exec.Parameters", shlex.join(words)


def _variable(draft: DomainDraft, entry: ForeignEntry) -> None:
    name, equals, value = entry.value.partition("=")
    if not equals:
        draft.lost(entry, f"the host's value of {quoted(name)} is not handed on", "write NAME=VALUE")
        return
    draft.environment[name] = value


def _variables(domain: DomainDefinition) -> Pairs:
    for each in domain.os.environment:
        if not each.is_hidden:
            yield "Exec.Environment", f"{each.name}={each.value}"


def _users(domain: DomainDefinition) -> Pairs:
    if domain.os.user is not None:
        yield "Exec.User", domain.os.user


def _directories(domain: DomainDefinition) -> Pairs:
    if domain.os.directory is not None:
        yield "Exec.WorkingDirectory", str(domain.os.directory)


def _capability(draft: DomainDraft, entry: ForeignEntry) -> None:
    """Both keys; what one of them drops is dropped, whatever the other says."""
    given = entry.key == "Exec.Capability"
    for word in entry.value.split():
        if word == "all":
            draft.policy = CapabilityPolicy.ALLOW if given else CapabilityPolicy.DENY
        else:
            draft.drop_capability(entry, word, on=given)


def _capabilities(domain: DomainDefinition) -> Pairs:
    features = domain.features.capabilities if domain.features is not None else None
    if features is None:
        return
    given = {each.capability for each in features.states if each.state is OnOff.ON}
    dropped = {each.capability for each in features.states if each.state is OnOff.OFF}
    if features.policy is CapabilityPolicy.ALLOW:
        yield "Exec.Capability", "all"
    elif features.policy is CapabilityPolicy.DENY:
        dropped = set(Capability) - given  # `all` would drop what is given, too
    for key, names in (("Exec.Capability", given), ("Exec.DropCapability", dropped)):
        if names:
            yield key, " ".join(sorted(f"CAP_{each.value.upper()}" for each in names))


def settle_capabilities(draft: DomainDraft) -> None:
    """Make of all that is dropped the policy that says so."""
    given = {each for each, on in draft.capabilities.items() if on}
    if draft.policy is CapabilityPolicy.DEFAULT and draft.capabilities.keys() >= set(Capability):
        draft.policy, draft.capabilities = CapabilityPolicy.DENY, dict.fromkeys(given, True)
    elif draft.policy is CapabilityPolicy.DENY:
        draft.capabilities.clear()


def _personality(draft: DomainDraft, entry: ForeignEntry) -> None:
    draft.arch = _PERSONALITIES.get(entry.value)
    if draft.arch is None:
        draft.unknown(
            entry, f"no architecture {quoted(entry.value)} is known", "write <type arch> as uname -m spells it"
        )


def _personalities(domain: DomainDefinition) -> Pairs:
    words = {arch: word for word, arch in _PERSONALITIES.items()}
    if domain.os.type.arch in words:
        yield "Exec.Personality", words[domain.os.type.arch]


def _machine_id(draft: DomainDraft, entry: ForeignEntry) -> None:
    try:
        draft.uuid = UUID(hex=entry.value.replace("-", ""))
    except ValueError:
        draft.lost(entry, f"{quoted(entry.value)} is no machine id of 32 hexadecimal digits")


def _machine_ids(domain: DomainDefinition) -> Pairs:
    yield "Exec.MachineID", domain.uuid.hex


def _private_users(draft: DomainDraft, entry: ForeignEntry) -> None:
    if entry.value in ("pick", "managed") or truth(entry.value):
        return
    if entry.value == "identity" or truth(entry.value) is False:
        draft.has_hosts_ids = True
        draft.changed(
            entry,
            "the container was privileged; the domain has ids of its own",
            "<insula:privileged/> makes it privileged, too; security.md tells what that gives away",
        )
        return
    first, _, count = entry.value.partition(":")
    try:
        ids = DefinedIdRange(
            start=0, target=read_integer(first, 0, ID_MAX), count=read_integer(count or "65536", 1, ID_MAX)
        )
    except ValueError:
        draft.lost(entry, f"{quoted(entry.value)} is no first id, or first id and number")
        return
    draft.uids, draft.gids = [ids], [ids]


def _private_ids(domain: DomainDefinition) -> Pairs:
    ranges = domain.idmap
    if domain.settings.privileged:
        yield "Exec.PrivateUsers", "no"
    elif ranges is None:
        yield "Exec.PrivateUsers", "pick"
    elif len(ranges.uids) == 1 and ranges.uids == ranges.gids and ranges.uids[0].start == 0:
        yield "Exec.PrivateUsers", f"{ranges.uids[0].target}:{ranges.uids[0].count}"
    yield "Files.PrivateUsersOwnership", "auto"


def _limit(draft: DomainDraft, entry: ForeignEntry) -> None:
    name = entry.key.removeprefix("Exec.Limit")
    if name not in ENOUGH:
        draft.lost(entry, f"the limit {quoted(name.lower())} means nothing to today's kernels")
        return
    try:
        soft, hard = read_rlimit(entry.value)
    except ValueError:
        try:
            soft, hard = _sizes(entry.value)
        except ValueError:
            draft.lost(entry, f"{quoted(entry.value)} is no limit such as 1024:4096, infinity or 64M")
            return
    draft.limit(name.lower(), DefinedLimit(name=name.lower(), soft=soft, hard=hard))


def _sizes(text: str) -> tuple[Bound | None, Bound]:
    """Return the limits of `64M:1G`. Raises: ValueError."""
    limits = (read_limit(each) for each in text.split(":", 1))
    first, *rest = (UNLIMITED if each is None else Bound(each) for each in limits)
    return (first, rest[0]) if rest else (None, first)


def _limits(domain: DomainDefinition) -> Pairs:
    for each in domain.settings.limits:
        given = each.bounds if each.soft is not None and each.hard is not None else each.bounds[:1]
        words = ("infinity" if bound == UNLIMITED else str(bound) for bound in given)
        yield f"Exec.Limit{each.name.upper()}", ":".join(words)


def _affinity(draft: DomainDraft, entry: ForeignEntry) -> None:
    try:
        draft.cpus = parse_cpuset(",".join(entry.value.replace(",", " ").split()))
    except ValueError:
        draft.lost(entry, f"{quoted(entry.value)} is no list of processors")


def _affinities(domain: DomainDefinition) -> Pairs:
    if domain.vcpu.cpus is not None:
        yield "Exec.CPUAffinity", format_cpuset(domain.vcpu.cpus)


def _hostname(draft: DomainDraft, entry: ForeignEntry) -> None:
    draft.hostname = entry.value


def _hostnames(domain: DomainDefinition) -> Pairs:
    yield "Exec.Hostname", domain.settings.hostname or domain.name


def _plain_network(name: str, becomes: str) -> ForeignKey:
    return ForeignKey(name=f"Network.{name}", becomes=becomes)


_INIT_ASKED = "a guest's init is asked in its own way, which is found out by what it is"
NSPAWN_KEYS = KeyTable(
    (
        ForeignKey(
            name="Exec.Boot",
            becomes="os/init, /sbin/init unless it is off",
            read=anyway("yes", "no", "on", "off", "true", "false", "1", "0", why="it is neither yes nor no"),
            write=_boots,
        ),
        ForeignKey(name="Exec.Parameters", becomes="os/init, os/initarg", read=_parameters),
        ForeignKey(
            name="Exec.Ephemeral",
            read=anyway(*_OFF, why="a definition outlives its runs", advice="start it by virsh create, on an image"),
        ),
        ForeignKey(name="Exec.ProcessTwo", read=anyway(*_OFF, why="the program is the guest's process 1")),
        ForeignKey(name="Exec.Environment", becomes="os/initenv", read=_variable, write=_variables),
        ForeignKey(name="Exec.User", becomes="os/inituser", read=read_user, write=_users),
        ForeignKey(name="Exec.WorkingDirectory", becomes="os/initdir", read=read_directory, write=_directories),
        ForeignKey(name="Exec.PivotRoot", why="a guest's root is its file system", advice="name that directory"),
        ForeignKey(name="Exec.Capability", becomes="features/capabilities", read=_capability, write=_capabilities),
        ForeignKey(name="Exec.DropCapability", becomes="features/capabilities", read=_capability),
        ForeignKey(name="Exec.AmbientCapability", why="a first program has its user's capabilities"),
        ForeignKey(
            name="Exec.NoNewPrivileges",
            read=anyway(*_OFF, why="set-user-id programs work in a guest", advice="drop capabilities instead"),
        ),
        ForeignKey(name="Exec.KillSignal", why=_INIT_ASKED),
        ForeignKey(name="Exec.Personality", becomes="os/type/@arch", read=_personality, write=_personalities),
        ForeignKey(name="Exec.MachineID", becomes="uuid", read=_machine_id, write=_machine_ids),
        ForeignKey(name="Exec.PrivateUsers", becomes="idmap", read=_private_users, write=_private_ids),
        ForeignKey(
            name="Exec.NotifyReady",
            read=anyway(*_OFF, why="when a guest is ready is told in other words", advice="boot.md"),
        ),
        ForeignKey(name="Exec.SystemCallFilter", why=_CONFINED, advice="<insula:allow> lets more through"),
        ForeignKey(name="Exec.Limit*", becomes="insula:rlimit", read=_limit, write=_limits),
        ForeignKey(name="Exec.OOMScoreAdjust", why="it is the guest's own, and of its programs"),
        ForeignKey(name="Exec.CPUAffinity", becomes="vcpu, vcpu/@cpuset", read=_affinity, write=_affinities),
        ForeignKey(name="Exec.Hostname", becomes="name, insula:hostname", read=_hostname, write=_hostnames),
        ForeignKey(
            name="Exec.ResolvConf",
            read=anyway("off", "auto", why="the host's resolver is not the guest's", advice="<insula:nameserver>"),
        ),
        ForeignKey(
            name="Exec.Timezone",
            read=anyway("off", "auto", why="the time zone is the guest's own", advice="set it inside"),
        ),
        ForeignKey(
            name="Exec.LinkJournal",
            read=anyway("no", "auto", "try-guest", why="a guest's journal is its own", advice="read it inside"),
        ),
        ForeignKey(name="Exec.SuppressSync", read=anyway(*_OFF, why="what a guest writes to the disks gets there")),
        ForeignKey(name="Files.ReadOnly", becomes="filesystem/readonly", read=read_read_only),
        ForeignKey(
            name="Files.Volatile",
            read=anyway(*_OFF, why="what a guest writes stays", advice="build an image, and clone it for each run"),
        ),
        ForeignKey(name="Files.Bind", becomes="filesystem, hostdev", read=read_bind, write=bind_keys),
        ForeignKey(name="Files.BindReadOnly", becomes="filesystem with readonly", read=read_bind),
        ForeignKey(name="Files.BindUser", why="users are the guest's own", advice="make them inside; insula authorize"),
        ForeignKey(
            name="Files.TemporaryFileSystem",
            becomes="filesystem of type ram",
            read=read_temporary,
            write=temporary_keys,
        ),
        ForeignKey(name="Files.Inaccessible", why="nothing of the guest's tree is masked"),
        ForeignKey(name="Files.Overlay", why="overlays are not made", advice="mount it on the host"),
        ForeignKey(name="Files.OverlayReadOnly", why="overlays are not made", advice="mount it on the host"),
        ForeignKey(
            name="Files.PrivateUsersOwnership",
            read=anyway("auto", "map", "off", why="nothing is chowned: a root is shown under the guest's ids"),
        ),
        ForeignKey(name="Network.Private", becomes="lxc:sharenet, if it is off", write=nspawn_network_keys),
        _plain_network("VirtualEthernet", "interface of type ethernet, host0 inside"),
        _plain_network("VirtualEthernetExtra", "interface of type ethernet"),
        _plain_network("Interface", "hostdev of type net"),
        _plain_network("MACVLAN", "interface of type direct"),
        _plain_network("IPVLAN", "interface of type direct with insula:ipvlan"),
        _plain_network("Bridge", "interface of type bridge"),
        _plain_network("Zone", "interface of type bridge, which is named vz- and its name"),
        ForeignKey(name="Network.Port", why="no port of the host leads to a card", advice="insula network forward"),
    ),
    unknown="systemd.nspawn(5)",
)


def without_init(entry: ForeignEntry) -> ForeignEntry:
    """Return the entry of Parameters as a whole command line, for a container that is booted."""
    return replace(entry, value=f"{DEFAULT_INIT} {entry.value}")
