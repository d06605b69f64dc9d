"""Which ids of the host guests may have, and which of those somebody else uses already.

Where in the 32 bits: systemd's document on users and groups (UIDS-GIDS) gives 524288…1879048191 to containers, but
systemd-nspawn picks from there by itself, `useradd` hands out subordinate ids up to 600100000 there, Incus and LXC from
1000000, and directory services (sssd: 200000…2000200000) lie across it all. Above 2^31 programs and file systems have
trouble with the sign, and 2147352576…2147418111 are systemd's for foreign images. What remains is
2000224256…2147352575: room for 2245 guests of 65536 ids each; then, on hosts without such a directory,
1879048192…2000224255 for 1849 more. An administrator who wants others writes them into /etc/subuid and /etc/subgid, for
the user `insula`.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

SIZE = 65536
"""Ids of a guest: 16 bits of them, as distributions, file systems and systemd expect."""

SUBORDINATE_FIRST = 100_000
"""The guest's id from where its users have ids of their own to give away, as useradd(8) hands them out
(SUB_UID_MIN of login.defs(5)): for containers that they run."""
SUBORDINATE_MOST = 1 << 24
"""Ids that a domain's users may have to give away at most: what <insula:subordinate> takes."""
_ROOMY = 1024
"""Ranges in all pools from which on domains get such ids without being asked."""

DEFAULT_POOLS = (range(0x77390000, 0x7FFE0000), range(0x70000000, 0x77390000))
OWNER = "insula"
"""The name under which /etc/subuid and /etc/subgid give ids to us."""

_SUBUID, _SUBGID = Path("/etc/subuid"), Path("/etc/subgid")
_ALL = 1 << 31
"""A map of so many ids is the host's own, or one that hands everything on."""


def pools(subuid: Path = _SUBUID, subgid: Path = _SUBGID) -> tuple[range, ...]:
    """Return the ids to give out from: what the administrator wrote down for us in both files, else the usual ones."""
    users, groups = (subordinate_ids(path).get(OWNER, []) for path in (subuid, subgid))
    chosen = tuple(each for each in users if each in groups)
    return chosen or DEFAULT_POOLS


def usual_subordinate_ids(pools: Sequence[range], domains: int) -> int:
    """Return how many ids for its users' containers another domain gets unasked, with so many that have ids already.

    Those of one user as long as pools are large, and at most half of them can be given out.
    """
    slots = sum(len(each) // SIZE for each in pools)
    return SIZE if slots >= _ROOMY and 4 * (domains + 1) <= slots else 0


def others_subordinate_ids(subuid: Path = _SUBUID, subgid: Path = _SUBGID) -> list[range]:
    """Return the ids that are given to somebody else: subuid(5), subgid(5)."""
    return [
        each
        for path in (subuid, subgid)
        for owner, ranges in subordinate_ids(path).items()
        if owner != OWNER
        for each in ranges
    ]


def subordinate_ids(path: Path) -> Mapping[str, list[range]]:
    """Return the ranges of each user or group; lines that are none are skipped, as newuidmap(1) does."""
    found: dict[str, list[range]] = {}
    try:
        lines = path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return found
    for line in lines:
        owner, *numbers = line.strip().split(":")
        if owner and len(numbers) == 2 and all(map(_is_id, numbers)):
            start, count = map(int, numbers)
            found.setdefault(owner, []).append(range(start, start + count))
    return found


def _is_id(text: str) -> bool:
    """Whether a text is an id or a count of ids: no more than 32 bits."""
    return text.isascii() and text.isdecimal() and len(text) <= 10


def mapped_here(proc: Path = Path("/proc")) -> list[range]:
    """Return the ids that exist in our own user namespace: all of them on a host, few inside a container."""
    uids, gids = ([range(inside, inside + count) for inside, _, count in _map(proc / "self" / name)] for name in _MAPS)
    return [overlap for uid in uids for gid in gids if (overlap := common(uid, gid))]


def running_maps(proc: Path = Path("/proc")) -> list[range]:
    """Return the ids of every user namespace below ours that has a process, whoever made it. Raises: OSError.

    Source: user_namespaces(7): the second number is an id of the namespace of who reads.
    """
    seen = {_namespace(proc / "self")}
    found = []
    for process in _processes(proc):
        namespace = _namespace(process)
        if namespace is None or namespace in seen:
            continue
        seen.add(namespace)
        for name in _MAPS:
            found += [range(outside, outside + count) for _, outside, count in _map(process / name) if count < _ALL]
    return found


def has_process(ids: range) -> bool:
    """Whether the kernel knows a process with one of the ids that a running guest's first processes have.

    Any `SIZE` of them may be those of a guest, or of a user of one.
    It finds a user by a hash, and looks at processes only where there is one. Source: getpriority(2), PRIO_USER.
    """
    for part in (ids[start : start + SIZE] for start in range(0, len(ids), SIZE)):
        for each in _USUAL:
            with contextlib.suppress(OSError, IndexError):  # none has it
                os.getpriority(os.PRIO_USER, part[each])
                return True
    return False


def has_root(first: int) -> bool:
    """Whether the kernel knows a process that would be root of a guest whose ids begin there."""
    try:
        os.getpriority(os.PRIO_USER, first)
    except OSError:
        return False
    return True


_USUAL = (*range(10), 33, *range(99, 112), *range(998, 1003), 65534)
"""root, those of Debian and busybox for daemons, systemd's of services, the first people, nobody."""

_MAPS = ("uid_map", "gid_map")
_NOT_FOR_US = (FileNotFoundError, ProcessLookupError, PermissionError)
"""It ended meanwhile, or we may not look. Any other error must not pass for ids that nobody uses."""


def _processes(proc: Path) -> Iterator[Path]:
    return (proc / name for name in os.listdir(proc) if name.isdecimal())


def _namespace(process: Path) -> str | None:
    try:
        return os.readlink(process / "ns/user")
    except _NOT_FOR_US:
        return None


def _map(path: Path) -> list[tuple[int, int, int]]:
    with contextlib.suppress(*_NOT_FOR_US, ValueError):
        lines = path.read_text().splitlines()
        return [(int(inside), int(outside), int(count)) for inside, outside, count in map(str.split, lines)]
    return []


def common(one: range, other: range) -> range:
    """Return what two ranges have in common; empty if nothing."""
    start = max(one.start, other.start)
    return range(start, max(start, min(one.stop, other.stop)))
