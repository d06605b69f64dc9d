"""Handing controllers down a v2 tree, and a part of it over to somebody else.

Source: kernel document `admin-guide/cgroup-v2`, sections "Organizing Processes and Threads" and "Delegation".
"""

import contextlib
import os
from collections.abc import Iterable

from insula.kernel.cgroups import files, tree


def enable_controllers(mount: str, path: str, names: Iterable[str], *, fresh: bool = False) -> None:
    """Hand controllers down from the v2 root to the group at path, as far as the host grants.

    fresh: the group was just made, so that nobody is in it, and nothing is handed down yet; what is above it most often
    is as it should be. A refusal (no permission in somebody else's group, processes in an inner group) leaves that
    controller off; setting a limit of it says so then.
    """
    wanted = set(names)
    if not wanted:
        return
    control = f"{mount}/{path}/cgroup.subtree_control"
    if fresh:
        with contextlib.suppress(OSError):
            files.write(control, _enabling(wanted))
            return
    # What the group itself has is what all above hand down already.
    has = set((files.read_if_there(f"{mount}/{path}/cgroup.controllers") or "").split())
    for group in (path,) if wanted <= has else ("", *tree.ancestors(path), path):
        with contextlib.suppress(OSError):
            _hand_down(f"{mount}/{group}" if group else mount, wanted)


def hand_down(directory: str, names: Iterable[str]) -> None:
    """Have one group hand down those of these controllers that it has. A refusal leaves a controller off, as above."""
    _hand_down(directory, set(names).intersection(files.read(f"{directory}/cgroup.controllers").split()))


def _hand_down(directory: str, wanted: set[str]) -> None:
    missing = sorted(wanted.difference(files.read(f"{directory}/cgroup.subtree_control").split()))
    if missing and not _would_become_threaded(directory):
        _enable(f"{directory}/cgroup.subtree_control", missing)


def _enable(control: str, names: list[str]) -> None:
    """Enable all at once; if that is refused, which changes nothing, one by one."""
    try:
        files.write(control, _enabling(names))
    except OSError:
        for name in names if len(names) > 1 else ():
            with contextlib.suppress(OSError):
                files.write(control, f"+{name}")


def _enabling(names: Iterable[str]) -> str:
    return " ".join(f"+{name}" for name in sorted(names))


def _would_become_threaded(directory: str) -> bool:
    """Whether a group holds processes itself: cpu, cpuset or pids would turn it into a threaded domain then.

    Below a threaded domain no process can live (EOPNOTSUPP). The root of all may hold processes; it has no type.
    """
    return files.exists(f"{directory}/cgroup.type") and bool(files.read(f"{directory}/cgroup.procs"))


def hand_over(payload: str, owner: tuple[int, int], delegate: Iterable[str]) -> None:
    """Give a v2 group to owner, as far as the kernel's list of delegatable files goes, and no limit with it."""
    uid, gid = owner
    os.chown(payload, uid, gid)
    for name in delegate:
        with contextlib.suppress(FileNotFoundError):
            os.chown(f"{payload}/{name}", uid, gid)
