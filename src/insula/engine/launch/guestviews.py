"""What is mounted at a place of a guest that runs, as the host sees it: nothing is looked up in the guest's tree."""

import errno
import posixpath
from pathlib import Path

from insula.kernel.fds import Fd
from insula.kernel.mountinfo import mounts_of_process


def mounts_at(pid: int, target: str) -> list[int]:
    """Return the ids of the mounts at a path that has no links in it, as process pid sees it, the top one last.

    Raises: FileNotFoundError or ProcessLookupError if it is gone.
    """
    place = posixpath.normpath(target)
    parents = {each.id: each.parent for each in mounts_of_process(pid) if each.point == place}
    above = {parent: mount for mount, parent in parents.items()}
    stack = [mount for mount, parent in parents.items() if parent not in parents][:1]
    while stack and stack[-1] in above:
        stack.append(above[stack[-1]])
    return stack


def all_mounts(pid: int) -> frozenset[int]:
    """Return the ids of all mounts that process pid sees. Raises: as `mounts_at`."""
    return frozenset(each.id for each in mounts_of_process(pid))


def mount_of(tree: Fd) -> int:
    """Return the id of the mount that an open tree is in, attached or not. Source: proc_pid_fdinfo(5)."""
    for line in Path(f"/proc/self/fdinfo/{tree}").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "mnt_id":
            return int(value)
    raise OSError(errno.EOPNOTSUPP, "the kernel does not tell which mount a descriptor is of")
