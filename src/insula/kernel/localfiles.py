"""Reading files of the host's own disks while a guest uses them, without ever waiting for anything.

A guest can make who reads wait: by a file system of its own, by a lock on a file that is being written, by a disk that
it keeps busy. So what is read is known to lie on a mount that the host made, and to be in memory already.
"""

import ctypes
import errno
import os

from insula.kernel.statx import cached_stamp_of, unique_mount_of
from insula.kernel.syscall import libc

_READ_AT_ONCE = frozenset({0xEF53, 0x58465342, 0x9123683E, 0xF2F52010})
"""ext4, XFS, btrfs, F2FS: on disks of the host's, and they know RWF_NOWAIT. Source: linux/magic.h, preadv2(2)."""
_CHUNK = 16 * 1024


class _FileSystem(ctypes.Structure):
    """struct statfs. Source: statfs(2)."""

    _fields_ = (("type", ctypes.c_long), ("rest", ctypes.c_long * 14))


@libc("fstatfs")
def _fstatfs(fd: int, found: _FileSystem) -> int:
    raise NotImplementedError


def local_mount(fd: int) -> int | None:
    """Return by which `read_known` knows the mount that fd is on, None if what lies there cannot be read like that.

    It may wait for the file system, so it is for before a guest has it. The number is never another mount's (statx(2),
    STATX_MNT_ID_UNIQUE, since Linux 6.8).
    """
    found = _FileSystem()
    _fstatfs(fd, found)
    return unique_mount_of(fd) if found.type in _READ_AT_ONCE else None


def read_known(fd: int, mount: int, most: int) -> bytes:
    """Return what a regular file on that mount holds. fd: of any kind, also O_PATH; most: bytes.

    Raises: OSError; BlockingIOError if it lies on another mount, is no regular file, is larger, or is not in memory.
    """
    stamp = cached_stamp_of(fd)
    if not stamp.regular or stamp.mount != mount or stamp.size > most:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    # Whoever holds a lease on it would have us wait (fcntl(2), "Leases"); so would the disk's journal, for its time of
    # access, which the guest can make old.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOATIME | os.O_CLOEXEC | os.O_NOCTTY
    file = os.open(f"/proc/self/fd/{fd}", flags)
    try:
        return _read(file, most)
    finally:
        os.close(file)


def _read(file: int, most: int) -> bytes:
    content = bytearray()
    chunk = bytearray(_CHUNK)
    try:
        while count := os.preadv(file, [chunk], len(content), os.RWF_NOWAIT):
            content += memoryview(chunk)[:count]
            if len(content) > most:
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from error
    return bytes(content)
