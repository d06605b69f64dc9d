"""What a spec must be like before a plan is made of it. Whatever is refused is refused with what to do about it."""

import itertools
import posixpath
import re
from collections.abc import Iterator

from insula.engine.facts import Facts
from insula.engine.fragments.networkshare import check_share
from insula.engine.interfacespec import MovedInterface, NetworkKind, VethInterface
from insula.engine.passednumbers import PASSED_FDS_MAX
from insula.engine.policy.resourcelimits import ENOUGH
from insula.engine.spec import ContainerSpec, DirectoryRoot, IdMap, ImageRoot, Namespace, OverlayRoot, TmpfsRoot
from insula.errors import InvalidArgumentError, UnsupportedConfigError
from insula.kernel.idmap import LINES_MAX
from insula.kernel.interfacenames import is_interface_name

CONSOLES_MAX = 64
CHANNELS_MAX = 64
CHANNEL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_HOSTNAME_MAX = 64
_NAME = re.compile(r"[^/\x00-\x1f\x7f]{1,255}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MACHINE_ID = re.compile(r"[0-9a-f]{32}")
SHAREABLE = frozenset({Namespace.NETWORK, Namespace.IPC, Namespace.UTS})

NAMESPACED_SETTINGS: tuple[tuple[str, Namespace], ...] = (
    ("net/", Namespace.NETWORK),
    ("fs/mqueue/", Namespace.IPC),
    ("kernel/shm", Namespace.IPC),
    ("kernel/msg", Namespace.IPC),
    ("kernel/sem", Namespace.IPC),
    ("kernel/hostname", Namespace.UTS),
    ("kernel/domainname", Namespace.UTS),
    ("user/", Namespace.USER),
)
"""Prefixes below /proc/sys, and the namespace such a setting belongs to; all others are the host's."""

_SETTING = re.compile(r"[A-Za-z0-9_:@-]+([./][A-Za-z0-9_:@-]+)*")


def setting_path(name: str) -> str | None:
    """Return where a setting is below /proc/sys, None if it cannot be one. name: with dots or slashes: sysctl(8)."""
    return name.replace(".", "/") if _SETTING.fullmatch(name) else None


def namespace_of_setting(path: str) -> Namespace | None:
    """Return which of a container's namespaces a setting belongs to, None for one of the whole host's."""
    return next((kind for prefix, kind in NAMESPACED_SETTINGS if path.startswith(prefix)), None)


def check(spec: ContainerSpec, facts: Facts) -> None:
    """Raise InvalidArgumentError or UnsupportedConfigError if no container can or should be made of the spec."""
    _check_names(spec)
    _check_root(spec)
    _check_ids(spec)
    _check_namespaces(spec, facts)
    _check_interfaces(spec)
    check_share(spec, facts)
    _check_numbers(spec)
    for path, _ in spec.sysctls:
        _check_setting(spec, path)


def _check_names(spec: ContainerSpec) -> None:
    if not _NAME.fullmatch(spec.name) or spec.name in {".", ".."}:
        raise InvalidArgumentError(f"{spec.name!r} is no name for a container: no slashes, no control characters")
    if not _UUID.fullmatch(spec.uuid):
        raise InvalidArgumentError(f"{spec.uuid!r} is no UUID in lower case")
    if spec.hostname is not None and not 0 < len(spec.hostname.encode()) <= _HOSTNAME_MAX:
        raise InvalidArgumentError(f"a host name has 1 to {_HOSTNAME_MAX} bytes: {spec.hostname!r}")
    if spec.machine_id is not None and not _MACHINE_ID.fullmatch(spec.machine_id):
        raise InvalidArgumentError(f"a machine id has 32 hexadecimal digits in lower case: {spec.machine_id!r}")
    if not spec.init.argv or not spec.init.argv[0]:
        raise InvalidArgumentError("the container's init is missing")


def root_paths(spec: ContainerSpec) -> Iterator[str]:
    """Yield every directory, and every image, of the host that the root is made of."""
    match spec.root:
        case DirectoryRoot(path=path):
            yield path
        case OverlayRoot(lower=lower, upper=upper, work=work):
            yield from (*lower, upper, work)
        case TmpfsRoot(lower=lower):
            yield from lower
        case ImageRoot(source=source):
            yield source


def _check_root(spec: ContainerSpec) -> None:
    paths = list(root_paths(spec))
    if isinstance(spec.root, OverlayRoot | TmpfsRoot) and not spec.root.lower:
        raise InvalidArgumentError("a root of layers needs at least one lower layer")
    for path in paths:
        if not path.startswith("/"):
            raise InvalidArgumentError(f"the root '{path}' is not an absolute path")
        if posixpath.normpath(path).lstrip("/") == "":
            raise InvalidArgumentError("the host's own root cannot be a container's: give it a root of its own")


def _check_ids(spec: ContainerSpec) -> None:
    if spec.idmap is None:
        if not spec.privileged:
            raise InvalidArgumentError("without an id map a container is privileged: give it a map, or ask for that")
        return
    if spec.privileged:
        raise InvalidArgumentError("a container with an id map is not privileged: take one of the two away")
    for kind, ranges in (("uid", spec.idmap.uids), ("gid", spec.idmap.gids)):
        if len(ranges) > LINES_MAX:
            raise InvalidArgumentError(f"the {kind} map has {len(ranges)} ranges; the kernel takes {LINES_MAX}")
        if any(each.count < 1 or each.inside < 0 or each.outside < 0 for each in ranges):
            raise InvalidArgumentError(f"the {kind} map has an empty or a negative range")
        if _overlap([(each.inside, each.count) for each in ranges]):
            raise InvalidArgumentError(f"the {kind} map gives an id inside two meanings")
        if _overlap([(each.outside, each.count) for each in ranges]):
            raise InvalidArgumentError(f"the {kind} map gives an id of the host two meanings")
    _refuse_host_root(spec.idmap)
    # Raises if there is no root inside.
    _ = spec.idmap.root_uid, spec.idmap.root_gid


def _refuse_host_root(idmap: IdMap) -> None:
    for ranges, text in ((idmap.uids, "root an id"), (idmap.gids, "root group a group")):
        if any(each.outside == 0 for each in ranges):
            raise InvalidArgumentError(f"the id map makes the host's {text} of the guest: start above 0")


def _overlap(runs: list[tuple[int, int]]) -> bool:
    ordered = sorted(runs)
    return any(start + count > following for (start, count), (following, _) in itertools.pairwise(ordered))


def _check_namespaces(spec: ContainerSpec, facts: Facts) -> None:
    missing = {Namespace.MOUNT, Namespace.PID} - spec.namespaces
    if missing:
        names = ", ".join(sorted(each.value for each in missing))
        raise UnsupportedConfigError(f"a container needs namespaces of its own: {names}")
    for shared in spec.shared_namespaces:
        if shared.kind not in SHAREABLE:
            kinds = ", ".join(sorted(each.value for each in SHAREABLE))
            raise UnsupportedConfigError(f"a {shared.kind.value} namespace cannot be shared; these can: {kinds}")
    if spec.time_offsets is not None and not facts.time_namespaces:
        raise UnsupportedConfigError("this kernel has no time namespaces: take the clock offsets away")
    if spec.interfaces and not own_network(spec):
        raise UnsupportedConfigError("a container without a network namespace of its own cannot have interfaces")


def _check_interfaces(spec: ContainerSpec) -> None:
    guests = [each.guest for each in spec.interfaces]
    hosts = [each.host for each in spec.interfaces if isinstance(each, VethInterface) and each.host is not None]
    moved = [each.device for each in spec.interfaces if isinstance(each, MovedInterface)]
    for names in (guests, hosts, moved):
        for name in names:
            if not is_interface_name(name):
                raise InvalidArgumentError(f"{name!r} cannot name an interface: at most 15 bytes of ASCII, no '%:/'")
            if names.count(name) > 1:
                raise InvalidArgumentError(f"two interfaces have the name '{name}'")


def own_network(spec: ContainerSpec) -> bool:
    """Whether a network namespace is made for the container."""
    shared = {each.kind for each in spec.shared_namespaces}
    return (
        spec.network is NetworkKind.PRIVATE and Namespace.NETWORK in spec.namespaces and Namespace.NETWORK not in shared
    )


def _check_numbers(spec: ContainerSpec) -> None:
    if not 0 <= spec.consoles <= CONSOLES_MAX:
        raise InvalidArgumentError(f"a container has 0 to {CONSOLES_MAX} consoles, not {spec.consoles}")
    if spec.channels and not spec.consoles:
        raise InvalidArgumentError("a container with channels has at least one console")
    if len(spec.channels) > CHANNELS_MAX:
        raise InvalidArgumentError(f"a container has at most {CHANNELS_MAX} channels, not {len(spec.channels)}")
    for name in spec.channels:
        if not CHANNEL_NAME.fullmatch(name) or spec.channels.count(name) > 1:
            raise InvalidArgumentError(f"{name!r} cannot name a channel: once, of letters, digits, '.', '_' and '-'")
    if not 0 <= spec.inherited_fds <= PASSED_FDS_MAX:
        raise InvalidArgumentError(f"init is given 0 to {PASSED_FDS_MAX} fds, not {spec.inherited_fds}")
    for limit in spec.resource_limits:
        if limit.name not in ENOUGH:
            raise InvalidArgumentError(f"there is no resource limit '{limit.name}'; see getrlimit(2), without RLIMIT_")


def _check_setting(spec: ContainerSpec, name: str) -> None:
    if (path := setting_path(name)) is None:
        raise InvalidArgumentError(f"'{name}' is no kernel setting")
    kind = namespace_of_setting(path)
    if kind in {each.kind for each in spec.shared_namespaces}:
        raise UnsupportedConfigError(f"the kernel setting '{name}' would be another's, not the container's")
    own = {Namespace.NETWORK: own_network(spec), Namespace.USER: spec.idmap is not None}
    if kind is None or not own.get(kind, kind in spec.namespaces):
        raise UnsupportedConfigError(f"the kernel setting '{name}' would be the host's, not the container's")
