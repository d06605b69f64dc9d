"""Where the keeper lives: a mount namespace of its own with nothing in it but what the starting of a guest needs.

    /            tmpfs, read-only
    ├─ proc      fresh and whole: the kernel lets a user namespace mount proc only where one is in full view
    ├─ sys       likewise
    ├─ root      where a guest's root is attached before it becomes the root
    └─ stage     tmpfs, shared: what is attached here arrives in the namespaces of guests being born, with its
                 attributes locked, because it crosses into another user namespace (mount_namespaces(7))

Nothing of the host can be reached from here, and the keeper pins none of the host's mounts but those of its program and
libraries, which were read-only before they were executed (`kernel.sealing`).
"""

import contextlib
import os
import stat
from collections.abc import Mapping

from insula.kernel.fds import AT_FDCWD, Fd
from insula.kernel.mounts import (
    MountAttribute,
    Propagation,
    attach,
    change,
    detach,
    make_filesystem,
    pivot_root,
)
from insula.kernel.sealing import sealed

STAGE = "/stage"

_HARMLESS = MountAttribute.NO_SUID | MountAttribute.NO_DEVICES | MountAttribute.NO_EXEC


def enter_empty_root() -> None:
    """Leave the host's mounts, of which we have a sealed copy, for an empty root of our own. Needs CAP_SYS_ADMIN."""
    if not sealed():
        raise PermissionError("the keeper must be executed from a read-only view: see insula.kernel.sealing")
    root = make_filesystem("tmpfs", [("mode", "755"), ("size", "64k")], attributes=_HARMLESS)
    for name in ("proc", "sys", "root", "stage"):
        os.mkdir(name, dir_fd=root)
    # Any directory serves: it is covered for a moment only.
    _attach_at("/proc", root)
    _attach_beneath(root, "proc", make_filesystem("proc", attributes=_HARMLESS))
    _attach_beneath(root, "sys", make_filesystem("sysfs", attributes=_HARMLESS))
    _attach_beneath(root, "stage", make_filesystem("tmpfs", [("mode", "755"), ("size", "1m")], attributes=_HARMLESS))
    os.fchdir(root)
    pivot_root(".", ".")
    detach(".")
    os.chdir("/")
    change(AT_FDCWD, STAGE, propagation=Propagation.SHARED)
    change(AT_FDCWD, "/", add=MountAttribute.READ_ONLY)
    os.close(root)


def stage_mounts(name: str, trees: Mapping[str, Fd]) -> dict[str, str]:
    """Attach detached trees below the stage, in a directory of that name, and return their paths.

    Every guest that is being born receives copies; whoever sees its own makes its mounts private before anything else.
    """
    directory = f"{STAGE}/{name}"
    os.mkdir(directory, 0o755)
    paths = {}
    for tree_name, tree in trees.items():
        path = paths[tree_name] = f"{directory}/{tree_name}"
        if stat.S_ISDIR(os.fstat(tree).st_mode):
            os.mkdir(path)
        else:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC))
        _attach_at(path, tree)
    return paths


def unstage_mounts(name: str) -> None:
    """Take everything of that name off the stage; what is not there is fine."""
    directory = f"{STAGE}/{name}"
    try:
        entries = os.listdir(directory)
    except FileNotFoundError:
        return
    for entry in entries:
        path = f"{directory}/{entry}"
        with contextlib.suppress(OSError):
            detach(path)
        if os.path.isdir(path):
            os.rmdir(path)
        else:
            os.unlink(path)
    os.rmdir(directory)


def _attach_at(path: str, mount: Fd) -> None:
    target = os.open(path, os.O_PATH | os.O_CLOEXEC)
    attach(mount, target)
    os.close(target)


def _attach_beneath(root: Fd, path: str, mount: Fd) -> None:
    target = os.open(path, os.O_PATH | os.O_CLOEXEC, dir_fd=root)
    attach(mount, target)
    os.close(target)
    os.close(mount)
