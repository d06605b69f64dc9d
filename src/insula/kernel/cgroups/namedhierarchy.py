"""The v1 hierarchy named systemd, without controllers: what systemd before 231 needs, where nobody has mounted it.

It is never mounted anywhere: it is reached by a mount that is attached nowhere, and the kernel keeps it as long as it
has a group. Processes of the host are in its root meanwhile, which limits nothing; their /proc/PID/cgroup names it.
Source: cgroups(7), "Creating and removing cgroups" of named hierarchies; kernel document `admin-guide/cgroup-v1`.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from insula.kernel.cgroups import joining, tree
from insula.kernel.fds import close_all
from insula.kernel.mounts import MountAttribute, make_filesystem

SYSTEMD = "systemd"
OPTIONS: tuple[tuple[str, str | None], ...] = (("none", None), ("name", SYSTEMD))
"""What it is mounted with, outside and inside. Inside it must be there already, and shows the guest's group alone."""
_HANDED_OVER = ("", "cgroup.procs", "tasks")
_PATIENCE = 10.0


def hand_over(directory: str, owner: tuple[int, int]) -> None:
    """Let the owner, a host uid and gid, make groups below a v1 group and move processes there. Raises: OSError."""
    for name in _HANDED_OVER:
        os.chown(f"{directory}/{name}", *owner)


def make_named(group: str, pid: int, owner: tuple[int, int] | None, name: str = SYSTEMD) -> None:
    """Make a group in the hierarchy, hand it over, and move a process into it.

    Raises: OSError; FileExistsError if there is such a group; EINVAL or EPERM in a control group namespace of our own.
    """
    with _opened(name) as top:
        directory = f"{top}/{group}"
        os.mkdir(directory, 0o755)
        try:
            if owner is not None:
                hand_over(directory, owner)
            joining.move(pid, f"{directory}/cgroup.procs")
        except OSError:
            with suppress(OSError):
                os.rmdir(directory)
            raise


def remove_named(group: str, name: str = SYSTEMD) -> None:
    """Remove a group with all below it; one that is not there is fine. Raises: OSError(EBUSY) if processes stay."""
    try:
        with _opened(name) as top:
            tree.remove(f"{top}/{group}", _PATIENCE)
    except OSError as error:
        # There is no such hierarchy, and whoever is in a control group namespace of its own may make none.
        if error.errno != errno.EINVAL:
            raise


@contextmanager
def _opened(name: str) -> Iterator[str]:
    """Give a path of the hierarchy's root, made if there is no such hierarchy."""
    options = [(key, name if key == "name" else value) for key, value in OPTIONS]
    mount = make_filesystem("cgroup", options, attributes=MountAttribute.NOTHING)
    try:
        yield f"/proc/self/fd/{mount}"
    finally:
        close_all([mount])
