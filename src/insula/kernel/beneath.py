"""Walking below a directory whose content may be hostile: by fd, one call a lookup, never leaving it.

Source: openat2(2), since Linux 5.6.
"""

import contextlib
import ctypes
import errno
import os
import stat
from enum import IntFlag

from insula.kernel.fds import Fd
from insula.kernel.syscall import syscall


class Resolve(IntFlag):
    """How far a lookup may go."""

    NO_OTHER_MOUNTS = 0x01
    """Crossing into another mount is an error (EXDEV)."""
    NO_MAGIC_LINKS = 0x02
    """No jumps through links such as /proc/self/fd/N."""
    NO_LINKS = 0x04
    """A symbolic link anywhere on the way is an error (ELOOP)."""
    BENEATH = 0x08
    """Leaving the directory is an error (EXDEV)."""
    IN_ROOT = 0x10
    """The directory counts as `/`: absolute links and `..` stay inside."""
    CACHED = 0x20
    """What the kernel does not know already is an error (EAGAIN): no file system is asked. Since Linux 5.12."""


STRICT = Resolve.BENEATH | Resolve.NO_LINKS | Resolve.NO_MAGIC_LINKS
"""For places that only we lay out: no links at all."""
CONTAINED = Resolve.IN_ROOT | Resolve.NO_MAGIC_LINKS
"""For paths as the guest itself would see them: its links count, inside."""
_KNOWN = CONTAINED | Resolve.CACHED


_ATTEMPTS = 100
"""Lookups before giving up on a tree in which somebody renames without end."""


class _HowToOpen(ctypes.Structure):
    """struct open_how."""

    _fields_ = tuple((name, ctypes.c_uint64) for name in ("flags", "mode", "resolve"))


@syscall(437)
def _openat2(directory: int, path: str, how: _HowToOpen, size: int) -> Fd:
    raise NotImplementedError


def open_beneath(root: int, path: str, flags: int, *, resolve: Resolve = STRICT, mode: int = 0) -> Fd:
    """Open path, which counts from root whether it starts with a slash or not; the fd is close-on-exec.

    Raises: OSError; ELOOP for a link that resolve forbids, EXDEV for a way out, EAGAIN if renaming never stops.
    """
    how = _HowToOpen(flags=flags | os.O_CLOEXEC, mode=mode, resolve=resolve)
    for _ in range(_ATTEMPTS - 1):
        # openat2(2): EAGAIN when something was renamed during a scoped lookup; try again.
        with contextlib.suppress(BlockingIOError):
            return _openat2(root, path.lstrip("/") or ".", how, ctypes.sizeof(how))
    return _openat2(root, path.lstrip("/") or ".", how, ctypes.sizeof(how))


def open_known(root: int, path: str) -> Fd:
    """Open path as a guest would find it, O_PATH, if the kernel knows the whole way to it: this never waits.

    Raises: OSError; BlockingIOError if a file system would have to be asked, or something is being renamed.
    """
    how = _HowToOpen(flags=os.O_PATH | os.O_CLOEXEC, mode=0, resolve=_KNOWN)
    return _openat2(root, path.lstrip("/") or ".", how, ctypes.sizeof(how))


def place(root: int, path: str, *, resolve: Resolve = STRICT, directory: bool = True) -> Fd:
    """Return an O_PATH fd of path below root, making a directory (or an empty file) and its parents where missing.

    Raises: OSError; ENOTDIR or EISDIR if it exists as the other kind, EROFS if it is missing on a read-only root.
    """
    try:
        fd = open_beneath(root, path, os.O_PATH, resolve=resolve)
    except FileNotFoundError:
        fd = _make(root, path, resolve, directory=directory)
    if stat.S_ISDIR(os.fstat(fd).st_mode) != directory:
        os.close(fd)
        number = errno.ENOTDIR if directory else errno.EISDIR
        raise OSError(number, os.strerror(number), path)
    return fd


def _make(root: int, path: str, resolve: Resolve, *, directory: bool) -> Fd:
    parent_path, _, name = path.strip("/").rpartition("/")
    parent = make_directories(root, parent_path, resolve=resolve)
    try:
        # A link that leads nowhere is left alone: it ends here with EEXIST.
        if directory:
            os.mkdir(name, 0o755, dir_fd=parent)
        else:
            os.close(open_beneath(parent, name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode=0o644))
        return open_beneath(parent, name, os.O_PATH | os.O_NOFOLLOW)
    finally:
        os.close(parent)


def make_directories(root: int, path: str, *, resolve: Resolve = STRICT, mode: int = 0o755) -> Fd:
    """Return an O_PATH fd of the directory at path below root, making what is missing."""
    current = open_beneath(root, ".", os.O_PATH | os.O_DIRECTORY)
    walked = ""
    for name in (each for each in path.split("/") if each not in ("", ".")):
        walked = f"{walked}/{name}"
        try:
            found = _directory(root, walked, current, name, resolve=resolve, mode=mode)
        finally:
            os.close(current)
        current = found
    return current


def _directory(root: int, path: str, parent: int, name: str, *, resolve: Resolve, mode: int) -> Fd:
    try:
        return open_beneath(root, path, os.O_PATH | os.O_DIRECTORY, resolve=resolve)
    except FileNotFoundError:
        os.mkdir(name, mode, dir_fd=parent)
        return open_beneath(parent, name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)


def write_beneath(root: int, path: str, content: bytes, *, resolve: Resolve = STRICT) -> None:
    """Write into an existing file below root, in one call."""
    fd = open_beneath(root, path, os.O_WRONLY | os.O_NOCTTY, resolve=resolve)
    try:
        os.write(fd, content)
    finally:
        os.close(fd)


def create_beneath(root: int, path: str, content: bytes, *, mode: int = 0o644) -> None:
    """Make a new file below root; its directory must exist. Raises: OSError(EEXIST) if it exists in any form."""
    fd = open_beneath(root, path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode=mode)
    try:
        os.write(fd, content)
    finally:
        os.close(fd)


def text_of(found: int, most: int) -> str:
    """Return what a regular file begins with that an O_PATH descriptor stands for; odd bytes are surrogates.

    most: bytes. Raises: OSError; BlockingIOError where somebody holds a lease on it, and would make us wait: fcntl(2).
    """
    fd = os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.read(fd, most).decode("utf-8", "surrogateescape")
    finally:
        os.close(fd)
