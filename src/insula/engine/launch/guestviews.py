"""What is mounted at a place of a guest that runs, as the host sees it: nothing is looked up in the guest's tree."""

import errno
import posixpath
import re
from pathlib import Path

from insula.kernel.fds import Fd

_ESCAPED = re.compile(r"\\([0-7]{3})")


def mounts_at(pid: int, target: str) -> list[int]:
    """Return the ids of the mounts at a path that has no links in it, as process pid sees it, the top one last.

    Raises: FileNotFoundError or ProcessLookupError if it is gone. Source: proc_pid_mountinfo(5).
    """
    place = posixpath.normpath(target)
    parents: dict[int, int] = {}
    with Path(f"/proc/{pid}/mountinfo").open(errors="surrogateescape") as lines:
        for line in lines:
            mount, parent, _, _, point, _ = line.split(" ", 5)
            if _plain(point) == place:
                parents[int(mount)] = int(parent)
    above = {parent: mount for mount, parent in parents.items()}
    stack = [mount for mount, parent in parents.items() if parent not in parents][:1]
    while stack and stack[-1] in above:
        stack.append(above[stack[-1]])
    return stack


def _plain(point: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), point)


def mount_of(tree: Fd) -> int:
    """Return the id of the mount that an open tree is in, attached or not. Source: proc_pid_fdinfo(5)."""
    for line in Path(f"/proc/self/fdinfo/{tree}").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "mnt_id":
            return int(value)
    raise OSError(errno.EOPNOTSUPP, "the kernel does not tell which mount a descriptor is of")
