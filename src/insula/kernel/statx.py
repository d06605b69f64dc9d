"""Looking at an open file without waking up the file system that it is on."""

import ctypes
import os

from insula.kernel.filekinds import FileKind, classified, is_path_only
from insula.kernel.syscall import libc

_EMPTY_PATH = 0x1000
_DO_NOT_SYNC = 0x4000
_TYPE_AND_MODE = 0x3


class _Attributes(ctypes.Structure):
    """struct statx. Source: statx(2)."""

    _fields_ = (
        ("mask", ctypes.c_uint32),
        ("before_mode", ctypes.c_uint32 * 6),
        ("mode", ctypes.c_uint16),
        ("before_devices", ctypes.c_uint16 * 49),
        ("rdev_major", ctypes.c_uint32),
        ("rdev_minor", ctypes.c_uint32),
        ("dev_major", ctypes.c_uint32),
        ("dev_minor", ctypes.c_uint32),
        ("rest", ctypes.c_uint64 * 14),
    )


@libc("statx")
def _statx(directory: int, path: str, flags: int, mask: int, attributes: _Attributes) -> int:
    raise NotImplementedError


def cached_kind_of(fd: int) -> FileKind:
    """Return what fd is for, by what the kernel knows already.

    A server of a file system in user space, or beyond the network, is not asked, so it cannot hold the caller.
    Raises: OSError(EBADF) if it is not open. Source: AT_STATX_DONT_SYNC in statx(2).
    """
    if is_path_only(fd):
        return FileKind.PATH
    found = _Attributes()
    _statx(fd, "", _EMPTY_PATH | _DO_NOT_SYNC, _TYPE_AND_MODE, found)
    node, device = (found.rdev_major, found.rdev_minor), (found.dev_major, found.dev_minor)
    return classified(found.mode, os.makedev(*node), os.makedev(*device))
