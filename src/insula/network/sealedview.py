"""A root in memory for a program that serves guests: what it needs of the host, read-only, and nothing else.

The calling process has a mount namespace of its own, and no thread beside it.
"""

import os
import stat
from dataclasses import dataclass

from insula.kernel.fds import AT_FDCWD, Fd
from insula.kernel.mounts import (
    MountAttribute,
    Propagation,
    attach,
    change,
    detach,
    detached_copy,
    make_filesystem,
    pivot_root,
)

PROGRAMS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
SETTINGS = ("/etc",)
_RESOLVER = "/etc/resolv.conf"
_SEALED = MountAttribute.READ_ONLY | MountAttribute.NO_SUID


@dataclass(frozen=True, kw_only=True, slots=True)
class SealedView:
    """What a program sees of the host.

    shown: directories, devices and files of the host that are there, read-only; those that the host has not are passed
    over; written: files of the host that it may write to; own: a directory of the view's own, in memory; owner: whose
    that is, uid and gid.
    """

    shown: tuple[str, ...]
    written: tuple[str, ...] = ()
    own: str
    owner: tuple[int, int]


def enter_view(view: SealedView) -> None:
    """Make the calling process's root the one that a program gets; it can be written to until `seal`."""
    change(AT_FDCWD, "/", propagation=Propagation.SLAVE, recursive=True)
    base = "/tmp" if os.path.isdir("/tmp") else "/mnt"
    root = make_filesystem("tmpfs", [("size", "1m"), ("mode", "755")], attributes=MountAttribute.NO_DEVICES)
    mounts: dict[str, Fd] = {}
    links = {path: os.readlink(path) for path in PROGRAMS if path in view.shown and os.path.islink(path)}
    for path in view.shown:
        if path not in links and path not in mounts and os.path.exists(path):
            mounts[path] = _sealed_copy(os.path.realpath(path))
    for path in view.written:
        mounts[path] = detached_copy(path)
        change(mounts[path], add=MountAttribute.NO_SUID | MountAttribute.NO_DEVICES | MountAttribute.NO_EXEC)
    target = os.open(base, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    attach(root, target)
    os.close(target)
    os.close(root)
    os.chdir(base)
    for path, link in links.items():
        os.symlink(link, f"{base}{path}")
    for path, mount in mounts.items():
        show(mount, f"{base}{path}")
    os.mkdir(f"{base}{view.own}", 0o700)
    os.chown(f"{base}{view.own}", *view.owner)
    pivot_root(".", ".")
    detach(".")
    os.chdir("/")


def seal() -> None:
    """Let nothing be written to the view's own root any more."""
    change(AT_FDCWD, "/", add=MountAttribute.READ_ONLY)


def resolver_directories() -> tuple[str, ...]:
    """The directory that the host's resolv.conf is in if it is a link: programs replace it there."""
    if not os.path.islink(_RESOLVER):
        return ()
    directory = os.path.dirname(os.path.realpath(_RESOLVER))
    return () if directory == "/" or directory.startswith("/etc") or not os.path.isdir(directory) else (directory,)


def _sealed_copy(path: str) -> Fd:
    device = stat.S_ISCHR(os.stat(path).st_mode)
    mount = detached_copy(path, recursive=os.path.isdir(path))
    change(mount, add=_SEALED | (MountAttribute.NOTHING if device else MountAttribute.NO_DEVICES), recursive=True)
    return mount


def show(mount: Fd, place: str) -> None:
    """Attach a detached mount at a place in a view, and close it; what it is shown on is made like it."""
    if stat.S_ISDIR(os.fstat(mount).st_mode):
        os.makedirs(place, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(place), exist_ok=True)
        if not os.path.exists(place):
            os.close(os.open(place, os.O_CREAT | os.O_WRONLY, 0o644))
    target = os.open(place, os.O_PATH | os.O_CLOEXEC)
    attach(mount, target)
    os.close(target)
    os.close(mount)
