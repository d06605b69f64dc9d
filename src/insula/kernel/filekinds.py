"""What kinds of files descriptors are for. Without ctypes, since a command begins with it."""

import fcntl
import functools
import os
import stat
from enum import Enum


class FileKind(Enum):
    """Kinds, as people call them."""

    PIPE = "a pipe"
    NAMED_PIPE = "a named pipe"
    NULL = "the null device"
    FILE = "a file"
    DIRECTORY = "a directory"
    SOCKET = "a socket"
    DEVICE = "a device node"
    PATH = "a path that is not open"
    OTHER = "of a kind of its own"


_KINDS = {
    stat.S_IFREG: FileKind.FILE,
    stat.S_IFDIR: FileKind.DIRECTORY,
    stat.S_IFSOCK: FileKind.SOCKET,
    stat.S_IFBLK: FileKind.DEVICE,
    stat.S_IFCHR: FileKind.DEVICE,
    stat.S_IFIFO: FileKind.NAMED_PIPE,
}


def kind_of(fd: int) -> FileKind:
    """Return what fd is for; may wait for the file system it is on. Raises: OSError(EBADF) if it is not open."""
    if is_path_only(fd):
        return FileKind.PATH
    found = os.fstat(fd)
    return classified(found.st_mode, found.st_rdev, found.st_dev)


def classified(mode: int, node: int, device: int) -> FileKind:
    """Return the kind of a file by its mode, the device that it is a node of, and the device that it is on."""
    kind = _KINDS.get(stat.S_IFMT(mode), FileKind.OTHER)
    if stat.S_ISCHR(mode) and node == os.makedev(1, 3):
        return FileKind.NULL
    return FileKind.PIPE if kind is FileKind.NAMED_PIPE and device == _pipe_device() else kind


def is_path_only(fd: int) -> bool:
    """Tell whether fd names a file without having opened it: O_PATH in open(2)."""
    return bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_PATH)


def access_mode(fd: int) -> int:
    """Return how fd was opened: O_RDONLY, O_WRONLY or O_RDWR."""
    return fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE


@functools.cache
def _pipe_device() -> int:
    """The device of the one file system that all pipes without a name are in."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    device = os.fstat(reader).st_dev
    os.close(reader)
    os.close(writer)
    return device
