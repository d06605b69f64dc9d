"""File systems of block devices and image files, as mounts attached nowhere.

What is in an image may be hostile, or of a host where it was right: nothing that it says decides what happens to the
host, or names another device.
Source: the kernel's documents of ext4 ("Super Block"), XFS and f2fs; ext4(5), xfs(5), btrfs(5).
"""

import errno
import os

from insula.kernel.fds import Fd
from insula.kernel.loopdevices import FilePart, filesystem_on, loop_device
from insula.kernel.mounts import MountAttribute, make_filesystem

_EXT = ("ext2", "ext3", "ext4")
_OPTIONS: dict[str, tuple[str, str | None]] = {
    # What the superblock says could be "panic": then a single wrong block of an image would end the host.
    **dict.fromkeys(_EXT, ("errors", "remount-ro")),
    # A copy of an image has the identity of that, and so has the one image that two guests read.
    "xfs": ("nouuid", None),
}
_SUPERBLOCK = 1024
_FEATURES, _NEEDED, _JOURNAL = 0x5C, 0x60, 0xE0
"""Where ext4's superblock has its compatible features, those that it cannot be mounted without, and the inode of its
journal, 0 if that is on a device."""
_HAS_JOURNAL, _MULTIPLE_MOUNT_PROTECTION = 0x4, 0x100
_BTRFS = 65536
_BTRFS_LOG, _BTRFS_DEVICES = 0x60, 0x88
"""Where btrfs's superblock has the place of its log, 0 if there is none, and on how many devices it lies."""

_F2FS_MAGIC = 0xF2F52010
_F2FS_PATH = 2201
"""Where f2fs's superblock has the path of its first device, empty where it has no further ones."""
_F2FS_COPIES = sorted({0, 4096, os.sysconf("SC_PAGE_SIZE")})
"""Blocks with a superblock: the second one counts where the first is damaged; a block may be as large as a page."""


def mounted_image(path: str, *, fstype: str | None = None, start: int = 0, size: int = 0, read_only: bool) -> Fd:
    """Mount the file system on a block device or in a file, by a loop device that lasts as long as the mount.

    fstype: None to look what it is; start, size: which part of the image it is, in bytes, a size of 0 for all that
    follows. Blocking: a journal may have to be replayed.
    Raises: OSError; EBUSY while the image is in use by others.
    """
    fstype = fstype or filesystem_on(path, start=start, size=size)
    if fstype is None:
        raise OSError(errno.EINVAL, "no file system known to us is on it; name its type", path)
    device, source = loop_device(path, read_only=read_only, extent=FilePart(start=start, size=size))
    try:
        _refuse_other_devices(fstype, device, path)
        _refuse_waiting(fstype, device, path)
        options: list[tuple[str, str | int | None]] = [("source", source)]
        if fstype in _OPTIONS:
            options.append(_OPTIONS[fstype])
        if read_only:
            options.append(("ro", None))
        attributes = MountAttribute.READ_ONLY if read_only else MountAttribute.NOTHING
        return make_filesystem(fstype, options, attributes=attributes)
    except OSError as error:
        advice = _advice(fstype, error.errno, device, read_only=read_only)
        if not advice:
            raise
        raise OSError(error.errno, f"{error.strerror}: {advice}", path) from error
    finally:
        os.close(device)


def _refuse_other_devices(fstype: str, device: Fd, path: str) -> None:
    """Refuse a file system that lies on further devices, which the kernel takes by what is said here: anybody's."""
    if fstype in _EXT:
        features, inode = (_number(device, _SUPERBLOCK + each) for each in (_FEATURES, _JOURNAL))
        if features & _HAS_JOURNAL and not inode:
            raise OSError(
                errno.EINVAL,
                "its journal is on another device, which is not looked for; give it one of its own "
                "(tune2fs -O ^has_journal, then tune2fs -j)",
                path,
            )
    elif fstype == "btrfs" and (devices := _number(device, _BTRFS + _BTRFS_DEVICES)) > 1:
        raise OSError(
            errno.EINVAL,
            f"it lies on {devices} devices, of which this is one; leave it alone there (btrfs device remove), or mount "
            "it by hand, and show its directory",
            path,
        )
    elif fstype == "f2fs" and any(_names_devices(device, each + _SUPERBLOCK) for each in _F2FS_COPIES):
        raise OSError(
            errno.EINVAL,
            "it lies on several devices, whose paths it names itself; mount it by hand, and show its directory",
            path,
        )


def _names_devices(device: Fd, superblock: int) -> bool:
    """Whether the kernel would open, and write to, devices of the host by the paths that f2fs's superblock has."""
    return _number(device, superblock) == _F2FS_MAGIC and os.pread(device, 1, superblock + _F2FS_PATH) not in (
        b"",
        b"\0",
    )


def _refuse_waiting(fstype: str, device: Fd, path: str) -> None:
    """Refuse ext4's protection against several hosts: a mount sleeps for as long as the image says, up to 18 hours."""
    if fstype in _EXT and _number(device, _SUPERBLOCK + _NEEDED) & _MULTIPLE_MOUNT_PROTECTION:
        raise OSError(
            errno.EINVAL,
            "it has ext4's multiple mount protection, for which a mount would wait as long as the image says; images "
            "are locked without (tune2fs -O ^mmp)",
            path,
        )


def _number(device: Fd, place: int) -> int:
    return int.from_bytes(os.pread(device, 4, place), "little")


def _advice(fstype: str, number: int | None, device: Fd, *, read_only: bool) -> str | None:
    """Return what to do about an error of the kernel's that does not tell."""
    unwritten = (fstype, number) == ("btrfs", errno.EIO) and _number(device, _BTRFS + _BTRFS_LOG)
    if read_only and (number == errno.EROFS or unwritten):
        return (
            "it was not unmounted, and what its journal holds cannot be written where nothing may be; start it once "
            "without <readonly/>, or mount it by hand and unmount it"
        )
    if (fstype, number) == ("btrfs", errno.EEXIST):
        return "another file system of its UUID is mounted; give this one another (btrfstune -u)"
    return None
