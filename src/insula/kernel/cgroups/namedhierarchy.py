"""The v1 hierarchy named systemd, without controllers: what systemd before 231 needs, where nobody has mounted it.

It is never mounted anywhere: it is reached by a mount that is attached nowhere, and the kernel keeps it as long as it
has a group. Processes of the host are in its root meanwhile, which limits nothing; their /proc/PID/cgroup names it.
Source: cgroups(7), "Creating and removing cgroups" of named hierarchies; kernel document `admin-guide/cgroup-v1`.
"""

import errno
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from insula.kernel.cgroups import joining, tree
from insula.kernel.fds import Fd, close_all
from insula.kernel.mounts import MountAttribute, make_filesystem

SYSTEMD = "systemd"
OPTIONS: tuple[tuple[str, str | None], ...] = (("none", None), ("name", SYSTEMD))
"""What it is mounted with, outside and inside. Inside it must be there already, and shows the guest's group alone."""
_HANDED_OVER = ("", "cgroup.procs", "tasks")
_ROOT_MODE = 0o711
"""Guests without a group here are in the root, and may mount that: they pass it, and see no names of others' groups."""
_PATIENCE = 10.0
_ATTEMPTS = 50
_PAUSE = 0.01


def hand_over(directory: str, owner: tuple[int, int]) -> None:
    """Let the owner, a host uid and gid, make groups below a v1 group and move processes there. Raises: OSError."""
    for name in _HANDED_OVER:
        os.chown(f"{directory}/{name}", *owner)


def make_named(group: str, pid: int, owner: tuple[int, int] | None, name: str = SYSTEMD) -> None:
    """Make a group in the hierarchy, hand it over, and move a process into it.

    Raises: OSError; FileExistsError if there is such a group; EINVAL or EPERM in a control group namespace of our own.
    """
    with _opened(name) as top:
        os.chmod(top, _ROOT_MODE)
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
        _let_go(name)
    except OSError as error:
        # There is no such hierarchy, and whoever is in a control group namespace of its own may make none.
        if error.errno != errno.EINVAL:
            raise


def _let_go(name: str) -> None:
    """Have the kernel drop the hierarchy if it has no group any more.

    It looks for groups as the last mount goes, and a removed one counts until it is freed, some milliseconds later.
    """
    for _ in range(_ATTEMPTS):
        if not _exists(name):
            return
        time.sleep(_PAUSE)
        try:
            with _opened(name, attempts=1) as top, os.scandir(top) as entries:
                if any(entry.is_dir(follow_symlinks=False) for entry in entries):
                    return
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            return  # it is being dropped; whoever waited for that would make it anew


def _exists(name: str) -> bool:
    with open("/proc/self/cgroup") as file:
        return f":name={name}:" in file.read()


@contextmanager
def _opened(name: str, attempts: int = _ATTEMPTS) -> Iterator[str]:
    """Give a path of the hierarchy's root, made if there is no such hierarchy. attempts: while it is being dropped."""
    options = [(key, name if key == "name" else value) for key, value in OPTIONS]
    mount = _mounted(options, attempts)
    try:
        yield f"/proc/self/fd/{mount}"
    finally:
        close_all([mount])


def _mounted(options: Sequence[tuple[str, str | None]], attempts: int) -> Fd:
    """Return the hierarchy as a mount attached nowhere; one that is being dropped is waited for."""
    for _ in range(attempts - 1):
        try:
            return make_filesystem("cgroup", options, attributes=MountAttribute.NOTHING)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
        time.sleep(_PAUSE)
    return make_filesystem("cgroup", options, attributes=MountAttribute.NOTHING)
