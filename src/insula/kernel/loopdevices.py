"""Block devices out of files, and which file system is on one.

Source: loop(4), linux/loop.h; the superblock layouts of the file systems named.
"""

import ctypes
import errno
import fcntl
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from insula.kernel.fds import Fd
from insula.kernel.imagelocks import claim_image, is_claimed

_LOOP_CTL_GET_FREE = 0x4C82
_LOOP_CLR_FD = 0x4C01
_LOOP_GET_STATUS64 = 0x4C05
_LOOP_SET_CAPACITY = 0x4C07
_LOOP_CONFIGURE = 0x4C0A
_READ_ONLY = 1
_AUTOCLEAR = 4
_DIRECT_IO = 16
_BLKSSZGET = 0x1268
"""Asks how large a device's sectors are. Source: linux/fs.h."""
_ATTEMPTS = 64
_CLEARING_PATIENCE = 3.0
"""Seconds that the kernel may take to clear a loop device whose last user has gone. It shows nothing any more before it
lets go of its file, so nobody can tell whether who has that is one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FilePart:
    """A part of a file. start, size: bytes; a size of 0 is all that follows."""

    start: int = 0
    size: int = 0


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


def loop_device(
    path: str, *, read_only: bool, mark: str | None = None, extent: FilePart | None = None
) -> tuple[Fd, str]:
    """Return an fd and the path of a loop device over a file; it clears itself when its last user is gone.

    While it is there the image is claimed (`claim_image`), and if it is a device, that and all its partitions are
    nobody else's who asks the kernel for them.
    mark: a text of at most 63 bytes by which it is known; then it stays until it is cleared (`clear_loops`);
    extent: what of the file it shows, all of it if not given.
    Raises: OSError; ENOENT where the host has no loop devices; EBUSY if others have the image.
    """
    file = _claimed(path, read_only=read_only)
    try:
        control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
        try:
            for _ in range(_ATTEMPTS):
                node = f"/dev/loop{fcntl.ioctl(control, _LOOP_CTL_GET_FREE)}"
                device = _configured(node, file, path, read_only=read_only, mark=mark, extent=extent or FilePart())
                if device is not None:
                    _refuse_others(file, path, node, device, read_only=read_only, mark=mark)
                    return device, node
        finally:
            os.close(control)
    finally:
        os.close(file)
    raise OSError(errno.EBUSY, "others take every free loop device first", path)


def _claimed(path: str, *, read_only: bool) -> int:
    """Open an image that nobody else has, with patience for a loop device that the kernel clears behind its user."""
    deadline = monotonic() + _CLEARING_PATIENCE
    while True:
        file = -1
        try:
            file = _opened_alone(path, read_only=read_only)
            claim_image(file, path, read_only=read_only)
            return file
        except OSError as error:
            if file >= 0:
                os.close(file)
            if error.errno != errno.EBUSY or monotonic() > deadline:
                raise
        sleep(0.01)


def _opened_alone(path: str, *, read_only: bool) -> int:
    """Open an image; a device as nobody else has it, but who reads it as we do. Raises: OSError."""
    flags = (os.O_RDONLY if read_only else os.O_RDWR) | os.O_CLOEXEC
    if not is_block_device(path):
        return os.open(path, flags)
    try:
        # A device that is mounted, or whose partition is, cannot be had exclusively: open(2), O_EXCL.
        return os.open(path, flags | os.O_EXCL)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        if read_only:
            file = os.open(path, flags)
            if _is_only_read(file):
                return file
            os.close(file)
        raise OSError(errno.EBUSY, "the device is busy: it, or a part of it, is mounted or another's", path) from error


def _is_only_read(device: int) -> bool:
    """Whether a device that cannot be had alone is shown by loop devices such as ours, which forbid to write."""
    try:
        shown = loops_over(device)
        return bool(shown) and not any(writable for _, writable in shown) and is_claimed(device)
    except OSError:
        return False


def _refuse_others(file: int, path: str, node: str, device: Fd, *, read_only: bool, mark: str | None) -> None:
    """Let go of a loop device beside which others show the file, unless none of them writes: not all claim it.

    Looked at once ours is there: of two that come at the same time one sees the other at least.
    """
    try:
        if any(writable or not read_only for each, writable in loops_over(file) if each != node):
            raise OSError(errno.EBUSY, "another loop device shows it, and one of the two writes", path)
    except BaseException:
        os.close(device)
        if mark is not None:
            clear_loops(mark)
        raise


def _configured(node: str, file: int, path: str, *, read_only: bool, mark: str | None, extent: FilePart) -> Fd | None:
    """Return an fd of the device now over the file, None if somebody else was faster."""
    device = os.open(node, (os.O_RDONLY if read_only else os.O_RDWR) | os.O_CLOEXEC)
    flags = (_AUTOCLEAR if mark is None else 0) | (_READ_ONLY if read_only else 0)
    # Nothing of a device is to be in memory twice; the kernel reads as ever where it cannot do without.
    sector = sector_size(file) if stat.S_ISBLK(os.fstat(file).st_mode) else 0
    flags |= _DIRECT_IO if sector else 0
    information = _Information(
        flags=flags, file_name=os.fsencode(mark or path)[:63], offset=extent.start, size_limit=extent.size
    )
    try:
        fcntl.ioctl(device, _LOOP_CONFIGURE, _Configuration(fd=file, block_size=sector, information=information))
    except OSError as error:
        os.close(device)
        if error.errno == errno.EBUSY:
            return None
        raise
    return Fd(device)


def clear_loops(mark: str) -> None:
    """Let go of all loop devices of that mark: at once, or when their last user is gone. Raises: OSError."""
    for node, information in _in_use():
        if information.file_name == os.fsencode(mark):
            with _opened(node) as device, suppress(OSError):  # somebody else has cleared it meanwhile
                fcntl.ioctl(device, _LOOP_CLR_FD)


def loops_over(path: str | int) -> list[tuple[str, bool]]:
    """Return the loop devices that show a file of the host, by its path or an fd, and whether each can be written to.

    Raises: OSError.
    """
    status = os.stat(path)
    return [
        (node, not information.flags & _READ_ONLY)
        for node, information in _in_use()
        if (information.device, information.inode) == (status.st_dev, status.st_ino)
    ]


def follow_size(node: str) -> None:
    """Let a loop device be as large as its file is by now. Raises: OSError."""
    with _opened(node) as device:
        fcntl.ioctl(device, _LOOP_SET_CAPACITY)


def _in_use() -> Iterator[tuple[str, _Information]]:
    """Yield every loop device that shows something."""
    for each in Path("/sys/block").glob("loop*"):
        if not (each / "loop").is_dir():
            continue
        node, information = f"/dev/{each.name}", _Information()
        with suppress(OSError), _opened(node) as device:
            fcntl.ioctl(device, _LOOP_GET_STATUS64, information)
            yield node, information


@contextmanager
def _opened(node: str) -> Iterator[int]:
    device = os.open(node, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield device
    finally:
        os.close(device)


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


_EXT_NUMBERS = ((1024 + 0x18, 6), (1024 + 0x4C, 1))
"""Places in ext4's superblock with the largest number that can stand there: the size of blocks, and the revision. Its
signature of two bytes may be a boot loader's code as well."""


def filesystem_on(path: str, *, start: int = 0, size: int = 0) -> str | None:
    """Return the type of the file system that a device or a file holds, None if it is none we know.

    start, size: where it lies, in bytes, a size of 0 for all that follows.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for fstype, offset, magic in _MAGIC:
            fits = not size or offset + len(magic) <= size
            if fits and os.pread(fd, len(magic), start + offset) == magic:
                numbers = _EXT_NUMBERS if fstype == "ext4" else ()
                if all(int.from_bytes(os.pread(fd, 4, start + at), "little") <= most for at, most in numbers):
                    return fstype
    finally:
        os.close(fd)
    return None


def sector_size(device: int) -> int:
    """Return how large a block device's sectors are, in bytes. Raises: OSError."""
    size = bytearray(4)
    fcntl.ioctl(device, _BLKSSZGET, size)
    return int(struct.unpack("i", size)[0])


def is_block_device(path: str) -> bool:
    """Whether path, links followed, is a block device."""
    return stat.S_ISBLK(os.stat(path).st_mode)
