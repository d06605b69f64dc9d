"""Block devices out of files, and which file system is on one.

Source: loop(4), linux/loop.h; the superblock layouts of the file systems named.
"""

import ctypes
import errno
import fcntl
import os
import stat

from insula.kernel.fds import Fd

_LOOP_CTL_GET_FREE = 0x4C82
_LOOP_CONFIGURE = 0x4C0A
_READ_ONLY = 1
_AUTOCLEAR = 4
_ATTEMPTS = 64


class _Information(ctypes.Structure):
    """struct loop_info64."""

    _fields_ = (
        ("device", ctypes.c_uint64),
        ("inode", ctypes.c_uint64),
        ("rdevice", ctypes.c_uint64),
        ("offset", ctypes.c_uint64),
        ("size_limit", ctypes.c_uint64),
        ("number", ctypes.c_uint32),
        ("encrypt_type", ctypes.c_uint32),
        ("encrypt_key_size", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("file_name", ctypes.c_char * 64),
        ("crypt_name", ctypes.c_char * 64),
        ("encrypt_key", ctypes.c_uint8 * 32),
        ("init", ctypes.c_uint64 * 2),
    )


class _Configuration(ctypes.Structure):
    """struct loop_config."""

    _fields_ = (
        ("fd", ctypes.c_uint32),
        ("block_size", ctypes.c_uint32),
        ("information", _Information),
        ("reserved", ctypes.c_uint64 * 8),
    )


def loop_device(path: str, *, read_only: bool) -> tuple[Fd, str]:
    """Return an fd and the path of a loop device over a file; it clears itself when its last user is gone.

    Raises: OSError; ENOENT where the host has no loop devices.
    """
    file = os.open(path, (os.O_RDONLY if read_only else os.O_RDWR) | os.O_CLOEXEC)
    try:
        control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
        try:
            for _ in range(_ATTEMPTS):
                node = f"/dev/loop{fcntl.ioctl(control, _LOOP_CTL_GET_FREE)}"
                device = _configured(node, file, path, read_only=read_only)
                if device is not None:
                    return device, node
        finally:
            os.close(control)
    finally:
        os.close(file)
    raise OSError(errno.EBUSY, "others take every free loop device first", path)


def _configured(node: str, file: int, path: str, *, read_only: bool) -> Fd | None:
    """Return an fd of the device now over the file, None if somebody else was faster."""
    device = os.open(node, (os.O_RDONLY if read_only else os.O_RDWR) | os.O_CLOEXEC)
    flags = _AUTOCLEAR | (_READ_ONLY if read_only else 0)
    information = _Information(flags=flags, file_name=os.fsencode(path)[:63])
    try:
        fcntl.ioctl(device, _LOOP_CONFIGURE, _Configuration(fd=file, block_size=0, information=information))
    except OSError as error:
        os.close(device)
        if error.errno == errno.EBUSY:
            return None
        raise
    return Fd(device)


_MAGIC = (
    ("ext4", 1024 + 56, b"\x53\xef"),
    ("xfs", 0, b"XFSB"),
    ("btrfs", 65536 + 64, b"_BHRfS_M"),
    ("squashfs", 0, b"hsqs"),
    ("erofs", 1024, b"\xe2\xe1\xf5\xe0"),
    ("iso9660", 32768 + 1, b"CD001"),
    ("f2fs", 1024, b"\x10\x20\xf5\xf2"),
    ("vfat", 82, b"FAT32   "),
)
"""Where each file system signs. ext2 and ext3 sign as ext4, whose driver mounts them."""


def filesystem_on(path: str) -> str | None:
    """Return the type of the file system that a device or a file holds, None if it is none we know."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for fstype, offset, magic in _MAGIC:
            if os.pread(fd, len(magic), offset) == magic:
                return fstype
    finally:
        os.close(fd)
    return None


def is_block_device(path: str) -> bool:
    """Whether path, links followed, is a block device."""
    return stat.S_ISBLK(os.stat(path).st_mode)
