"""Notes on groups, for whoever finds them later: an extended attribute of the directory.

Source: xattr(7); the kernel keeps `user.` attributes of control groups since Linux 5.7.
"""

import contextlib
import os

from insula.kernel.cgroups.group import Cgroup
from insula.kernel.cgroups.hierarchies import Hierarchies

_LABEL = "user.insula.label"


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
