"""Where the view lives: a mount namespace with the kernel's own file systems in it, read-only, and nothing else.

    /            tmpfs, read-only
    ├─ proc      the host's processes
    └─ sys       the host's, with the control groups below it

It was executed from a read-only copy of the host's mounts (`kernel.sealing`), which it leaves: it would keep them busy.
"""

import os

from insula.kernel.fds import AT_FDCWD, Fd
from insula.kernel.mounts import (
    MountAttribute,
    attach,
    change,
    detach,
    detached_copy,
    make_filesystem,
    pivot_root,
)
from insula.kernel.privileges import CapabilitySets, held, set_held
from insula.kernel.sealing import sealed

_HARMLESS = MountAttribute.NO_SUID | MountAttribute.NO_DEVICES | MountAttribute.NO_EXEC
_KEPT = frozenset({"dac_read_search", "syslog"})
"""To read control groups whose files a guest has made private, and the host's kernel log."""


def move_in() -> None:
    """Leave the host's mounts, of which we have a sealed copy. Needs CAP_SYS_ADMIN.

    Raises: PermissionError if we were not executed sealed; OSError.
    """
    if not sealed():
        raise PermissionError("the view must be executed from a read-only view: see insula.kernel.sealing")
    root = make_filesystem("tmpfs", [("mode", "755"), ("size", "64k")], attributes=_HARMLESS)
    for name in ("proc", "sys"):
        os.mkdir(name, dir_fd=root)
    trees = {name: detached_copy(f"/{name}", recursive=True) for name in ("proc", "sys")}
    _attach_at("/proc", root)  # any directory serves: it is covered for a moment only
    for name, tree in trees.items():
        change(tree, add=MountAttribute.READ_ONLY | _HARMLESS, recursive=True)
        _attach_at(name, tree, directory=root)
        os.close(tree)
    os.fchdir(root)
    pivot_root(".", ".")
    detach(".")
    os.chdir("/")
    change(AT_FDCWD, "/", add=MountAttribute.READ_ONLY)
    os.close(root)


def give_up_powers() -> None:
    """Keep no capability but those that reading needs."""
    kept = held().permitted & _KEPT
    set_held(CapabilitySets(effective=kept, permitted=kept, inheritable=frozenset()))


def _attach_at(path: str, mount: Fd, *, directory: int = AT_FDCWD) -> None:
    target = os.open(path, os.O_PATH | os.O_CLOEXEC, dir_fd=None if directory == AT_FDCWD else directory)
    try:
        attach(mount, target)
    finally:
        os.close(target)
