"""Looking at an open file without waking up the file system that it is on."""

import ctypes
import os
import stat
from typing import NamedTuple

from insula.kernel.filekinds import FileKind, classified, is_path_only
from insula.kernel.syscall import libc

_EMPTY_PATH = 0x1000
_DO_NOT_SYNC = 0x4000
_TYPE_AND_MODE = 0x3


class _Statx(ctypes.Structure):
    """struct statx. Source: statx(2)."""

    _fields_ = (
        ("mask", ctypes.c_uint32),
        ("before_mode", ctypes.c_uint32 * 6),
        ("mode", ctypes.c_uint16),
        ("spare", ctypes.c_uint16),
        ("inode", ctypes.c_uint64),
        ("size", ctypes.c_uint64),
        ("blocks_and_more", ctypes.c_uint64 * 2),
        ("read_and_born", ctypes.c_uint64 * 4),
        ("changed", ctypes.c_int64),
        ("changed_nanoseconds", ctypes.c_uint64),
        ("written", ctypes.c_int64),
        ("written_nanoseconds", ctypes.c_uint64),
        ("rdev_major", ctypes.c_uint32),
        ("rdev_minor", ctypes.c_uint32),
        ("dev_major", ctypes.c_uint32),
        ("dev_minor", ctypes.c_uint32),
        ("mount", ctypes.c_uint64),
        ("rest", ctypes.c_uint64 * 13),
    )


@libc("statx")
def _statx(directory: int, path: str, flags: int, mask: int, attributes: _Statx) -> int:
    raise NotImplementedError


class CachedStatus(NamedTuple):
    """What a file is. node: the device it is a node of; device: the one it is on, both as `os.makedev` numbers them."""

    kind: FileKind
    node: int
    device: int


def cached_kind_of(fd: int) -> FileKind:
    """Return what fd is for, by what the kernel knows already: see `cached_status_of`."""
    return FileKind.PATH if is_path_only(fd) else cached_status_of(fd).kind


def cached_status_of(fd: int) -> CachedStatus:
    """Return what an open file is, by what the kernel knows already.

    A server of a file system in user space, or beyond the network, is not asked, so it cannot hold the caller.
    Raises: OSError(EBADF) if it is not open. Source: AT_STATX_DONT_SYNC in statx(2).
    """
    found = _Statx()
    _statx(fd, "", _EMPTY_PATH | _DO_NOT_SYNC, _TYPE_AND_MODE, found)
    node, device = os.makedev(found.rdev_major, found.rdev_minor), os.makedev(found.dev_major, found.dev_minor)
    return CachedStatus(classified(found.mode, node, device), node, device)


class Stamp(NamedTuple):
    """What changes when a file's content does. changed: of the inode, in nanoseconds since 1970; mount: see
    `unique_mount_of`."""

    device: tuple[int, int]
    mount: int | None
    regular: bool
    inode: int
    size: int
    changed: int
    written: int


def cached_stamp_of(fd: int) -> Stamp:
    """Return a file's stamp, by what the kernel knows already; as `cached_kind_of`, this never waits."""
    found = _Statx()
    _statx(fd, "", _EMPTY_PATH | _DO_NOT_SYNC, _BASIC | _UNIQUE_MOUNT, found)
    return Stamp(
        device=(found.dev_major, found.dev_minor),
        mount=found.mount if found.mask & _UNIQUE_MOUNT else None,
        regular=stat.S_ISREG(found.mode),
        inode=found.inode,
        size=found.size,
        changed=found.changed * _SECOND + found.changed_nanoseconds,
        written=found.written * _SECOND + found.written_nanoseconds,
    )


def unique_mount_of(fd: int) -> int | None:
    """Return the number of the mount that fd is on, which no other ever has; None before Linux 6.8."""
    return cached_stamp_of(fd).mount


_BASIC = 0x7FF
_UNIQUE_MOUNT = 0x4000
_SECOND = 1_000_000_000
