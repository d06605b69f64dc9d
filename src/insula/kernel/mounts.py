"""Mounts as objects: made or copied detached, changed, and only then attached. Needs Linux 5.12.

Source: open_tree(2), move_mount(2), fsopen(2), fsconfig(2), fsmount(2), mount_setattr(2), pivot_root(2), umount2(2).
"""

import ctypes
import os
from collections.abc import Sequence
from enum import IntEnum, IntFlag

from insula.kernel.fds import AT_FDCWD, Fd
from insula.kernel.syscall import libc, syscall

AT_SYMLINK_NOFOLLOW = 0x100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000


class OpenTree(IntFlag):
    """Flags of open_tree(2)."""

    CLONE = 1
    CLOEXEC = os.O_CLOEXEC
    EMPTY_PATH = AT_EMPTY_PATH
    NO_FOLLOW = AT_SYMLINK_NOFOLLOW
    RECURSIVE = AT_RECURSIVE


_COPY = OpenTree.CLONE | OpenTree.CLOEXEC
_COPY_OF_ALL = _COPY | OpenTree.RECURSIVE


class MoveMount(IntFlag):
    """Flags of move_mount(2)."""

    FROM_EMPTY_PATH = 0x4
    TO_EMPTY_PATH = 0x40
    BENEATH = 0x200
    """Below what is mounted there, since Linux 6.5."""


class MountAttribute(IntFlag):
    """Attributes of one mount. Source: linux/mount.h."""

    NOTHING = 0
    READ_ONLY = 0x1
    NO_SUID = 0x2
    NO_DEVICES = 0x4
    NO_EXEC = 0x8
    NO_ACCESS_TIME = 0x10
    ID_MAPPED = 0x100000


class Propagation(IntEnum):
    """How mounts travel between copies of a tree. Source: mount(2)."""

    UNCHANGED = 0
    PRIVATE = 1 << 18
    SLAVE = 1 << 19
    SHARED = 1 << 20


class MountAttributes(ctypes.Structure):
    """struct mount_attr."""

    _fields_ = tuple((name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns_fd"))


class FilesystemCommand(IntEnum):
    """Commands of fsconfig(2)."""

    SET_FLAG = 0
    SET_STRING = 1
    SET_FD = 5
    CREATE = 6


MNT_DETACH = 2
UMOUNT_NOFOLLOW = 8


@syscall(428)
def open_tree(directory: int, path: str, flags: int) -> Fd:
    """Return an fd of the mount at path, or with CLONE of a detached copy: open_tree(2), since Linux 5.2."""
    raise NotImplementedError


@syscall(429)
def _move_mount(source: int, source_path: str, target: int, target_path: str, flags: int) -> None:
    raise NotImplementedError


@syscall(430)
def _fsopen(fstype: str, flags: int) -> Fd:
    raise NotImplementedError


@syscall(431)
def _fsconfig(context: int, command: int, key: str | None, value: str | None, auxiliary: int) -> None:
    raise NotImplementedError


@syscall(432)
def _fsmount(context: int, flags: int, attributes: int) -> Fd:
    raise NotImplementedError


@syscall(442)
def _mount_setattr(directory: int, path: str, flags: int, attributes: MountAttributes, size: int) -> None:
    raise NotImplementedError


@libc("pivot_root")
def pivot_root(new: str, old: str) -> None:
    """Make new the root of this mount namespace, and show the former one at old: pivot_root(2)."""
    raise NotImplementedError


@libc("umount2")
def _umount2(path: str, flags: int) -> None:
    raise NotImplementedError


def detached_copy(path: str, *, recursive: bool = False, directory: int = AT_FDCWD) -> Fd:
    """Return a copy of what is mounted at path (or below it), attached nowhere: the new-style bind mount.

    It vanishes with its last fd unless it is attached. Links in path are followed.
    """
    return open_tree(directory, path, _COPY_OF_ALL if recursive else _COPY)


def attach(mount: int, target: int) -> None:
    """Show the detached mount at the directory or file behind target, both fds."""
    _move_mount(mount, "", target, "", MoveMount.FROM_EMPTY_PATH | MoveMount.TO_EMPTY_PATH)


def change(
    mount: int,
    path: str = "",
    *,
    add: MountAttribute = MountAttribute.NOTHING,
    remove: MountAttribute = MountAttribute.NOTHING,
    propagation: Propagation = Propagation.UNCHANGED,
    recursive: bool = False,
) -> None:
    """Change attributes and propagation of the mount behind an fd, or at path: mount_setattr(2)."""
    attributes = MountAttributes(set=add, clear=remove, propagation=propagation)
    flags = (0 if path else AT_EMPTY_PATH) | (AT_RECURSIVE if recursive else 0)
    _mount_setattr(mount, path, flags, attributes, ctypes.sizeof(attributes))


def map_ids(mount: int, user_namespace: int, *, recursive: bool = False) -> None:
    """Show the detached mount's files as owned by the ids of the user namespace: an idmapped mount.

    Raises: OSError(EINVAL) if a file system cannot (procfs, FUSE, overlay itself) or the mount is mapped already.
    """
    attributes = MountAttributes(set=MountAttribute.ID_MAPPED, userns_fd=user_namespace)
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    _mount_setattr(mount, "", flags, attributes, ctypes.sizeof(attributes))


def make_filesystem(
    fstype: str,
    options: Sequence[tuple[str, str | int | None]] = (),
    *,
    attributes: MountAttribute = MountAttribute.NOTHING,
) -> Fd:
    """Return a new file system, mounted but attached nowhere.

    options: pairs of key and value; a str as it would stand in mount(8)'s options, None for a bare flag, an int an fd.
    Raises: OSError, its text continued by what the file system had to say.
    """
    context = _fsopen(fstype, 1)
    named = any(key == "source" for key, _ in options)
    try:
        # Programs such as df pass over what has no source.
        for key, value in options if named else (("source", fstype), *options):
            if value is None:
                _fsconfig(context, FilesystemCommand.SET_FLAG, key, None, 0)
            elif isinstance(value, int):
                _fsconfig(context, FilesystemCommand.SET_FD, key, None, value)
            else:
                _fsconfig(context, FilesystemCommand.SET_STRING, key, value, 0)
        _fsconfig(context, FilesystemCommand.CREATE, None, None, 0)
        return _fsmount(context, 1, attributes)
    except OSError as error:
        raise OSError(error.errno, f"{fstype}: {error.strerror}{_complaints(context)}") from error
    finally:
        os.close(context)


def _complaints(context: Fd) -> str:
    """Return the messages waiting in a file system context, each with its level's letter cut off."""
    said = []
    while True:
        try:
            message = os.read(context, 1024)
        except OSError:
            break
        said.append(message.decode(errors="replace").strip().removeprefix("e ").removeprefix("w "))
    return f" ({'; '.join(said)})" if said else ""


def detach(path: str) -> None:
    """Take the mount at path and all below it out of the tree at once: umount2(2) with MNT_DETACH."""
    _umount2(path, MNT_DETACH)
