"""Notes on groups, for whoever finds them later: extended attributes of the directory.

    a label     words for people and for us, that the group's owner may change (`user.`)
    facts       bytes that only the host's root can change (`trusted.`): what a guest must not be able to forge
    a maker     who made the group, written right after that; its owner may be root in a namespace (`user.`)

They are gone with the group, need no disk, and are there when a disk cannot be read or written.
Source: xattr(7); the kernel keeps `user.` attributes of control groups since Linux 5.7, `trusted.` ones for longer.
"""

import contextlib
import os
from collections.abc import Iterator

from insula.kernel.cgroups.group import Cgroup
from insula.kernel.cgroups.hierarchies import Hierarchies

_LABEL = "user.insula.label"
_FACTS = "trusted.insula.guest"
_MAKERS = ("trusted.insula.maker", "user.insula.maker")
"""Where a group's maker is written: the first that the kernel lets us. A guest may write neither on a group above its
own."""
_DEPTH = 8
_LOOKED_AT = 50_000
"""Groups: more are not looked at, since some may be in the hands of guests that are not ours."""


def set_label(group: Cgroup, text: str) -> None:
    """Write a note on a group."""
    os.setxattr(group.directories[-1], _LABEL, text.encode())


def labelled(hierarchies: Hierarchies, partition: str) -> list[tuple[Cgroup, str]]:
    """Return the groups right below a partition that have a note, with it."""
    found = []
    top = f"{hierarchies.mounts[-1]}/{partition}"
    try:
        names = os.listdir(top)
    except FileNotFoundError:
        return []
    for name in names:
        with contextlib.suppress(OSError):
            note = os.getxattr(f"{top}/{name}", _LABEL).decode(errors="replace")
            found.append((Cgroup(hierarchies, f"{partition}/{name}"), note))
    return found


def set_facts(group: Cgroup, facts: bytes) -> None:
    """Write facts on a group. Raises: OSError where the kernel keeps none, or we are not the host's root."""
    os.setxattr(group.directories[-1], _FACTS, facts)


def facts_on(group: Cgroup) -> bytes | None:
    """Return the facts that a group has, None if it has none or is not there."""
    try:
        return os.getxattr(group.directories[-1], _FACTS)
    except OSError:
        return None


def set_maker(group: Cgroup, text: str) -> None:
    """Write down who made a group that is there; where the kernel keeps nothing, nothing is.

    On its v2 directory if it has one, which is made first and removed last; else on all.
    """
    for directory in group.directories if group.scope is None else (group.scope,):
        for name in _MAKERS:
            with contextlib.suppress(OSError):
                os.setxattr(directory, name, text.encode())
                break


def maker_of(group: Cgroup) -> str | None:
    """Return who made a group, None if it does not say or is not there."""
    for directory in reversed(group.directories):
        for name in _MAKERS:
            with contextlib.suppress(OSError):
                return os.getxattr(directory, name).decode(errors="replace")
    return None


def groups_with_facts(hierarchies: Hierarchies) -> Iterator[tuple[Cgroup, bytes]]:
    """Yield the groups that have facts, wherever they are; groups below one of these are its own affair."""
    if not hierarchies.mounts:
        return
    mount, looked_at = hierarchies.mounts[-1], 0
    waiting = [("", 0)]
    while waiting and looked_at < _LOOKED_AT:
        path, depth = waiting.pop()
        for name in _groups_in(f"{mount}/{path}"):
            looked_at += 1
            below = f"{path}/{name}" if path else name
            group = Cgroup(hierarchies, below)
            if (facts := facts_on(group)) is not None:
                yield group, facts
            elif depth < _DEPTH and not name.endswith(".service"):
                waiting.append((below, _DEPTH if name.endswith(".scope") else depth + 1))


def _groups_in(directory: str) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
