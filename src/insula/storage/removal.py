"""Directory trees that may be hostile: removed by fd, without following anything out of them; and measured.

What a guest has written can hold links to anywhere, trees of any depth, and files marked immutable. No path is ever put
together from names found there.
"""

import errno
import fcntl
import os
import stat
import struct
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from insula.kernel.beneath import STRICT, Resolve, open_beneath

_DEPTH = 48
"""How deep a walk goes before it moves what is deeper to the top: bounds open fds and the stack, whatever the tree."""
_PASSES_WITHOUT_PROGRESS = 10
_SHOW_FLAGS, _SET_FLAGS = 0x80086601, 0x40086602
"""FS_IOC_GETFLAGS, FS_IOC_SETFLAGS. Source: ioctl_iflags(2)."""
_IMMUTABLE, _APPEND_ONLY = 0x10, 0x20
_FLAGS = struct.Struct("=i")
_BLOCK = 512
"""Bytes in which st_blocks counts. Source: inode(7)."""


def remove_tree(parent: int, name: str) -> None:
    """Remove name, whatever it is, below the directory that parent is an fd of; no error if it is not there.

    Raises: OSError; EBUSY if something in it is a mount point: nothing below that has been touched.
    """
    try:
        top = _opened(parent, name)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        _cleared(os.unlink, name, parent)
        return
    try:
        names = (f".deep-{number}" for number in count())
        idle = 0
        while not _rmdir_unless_filled(name, parent):
            moved = _empty(top, top, 0, names)
            # Only what was moved up is left after a pass; anything else was put there by somebody meanwhile.
            idle = 0 if moved else idle + 1
            if idle > _PASSES_WITHOUT_PROGRESS:
                raise OSError(errno.ENOTEMPTY, "somebody keeps writing into the directory to be removed", name)
    finally:
        os.close(top)


def _empty(directory: int, top: int, depth: int, names: Iterator[str]) -> int:
    """Remove all below directory, and return how many directories were moved to the top instead."""
    moved = 0
    with os.scandir(directory) as listing:
        entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in listing]
    for name, is_directory in entries:
        if not is_directory:
            _cleared(os.unlink, name, directory)
        elif depth == _DEPTH:
            _move_up(name, directory, top, names)
            moved += 1
        else:
            child = _opened(directory, name)
            try:
                moved += _empty(child, top, depth + 1, names)
            finally:
                os.close(child)
            _cleared(os.rmdir, name, directory)
    return moved


def _opened(parent: int, name: str) -> int:
    """Return an fd of the directory, never through a link or onto another mount."""
    try:
        return open_beneath(
            parent, name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, resolve=STRICT | Resolve.NO_OTHER_MOUNTS
        )
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise OSError(errno.EBUSY, "something is mounted there; unmount it first", name) from error
        if error.errno == errno.ELOOP:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), name) from error
        raise


def _move_up(name: str, directory: int, top: int, names: Iterator[str]) -> None:
    while True:
        try:
            _cleared(
                lambda old, *, dir_fd: os.rename(old, next(names), src_dir_fd=dir_fd, dst_dir_fd=top), name, directory
            )
        except OSError as error:
            # The guest may have used the name for something else: take the next.
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR):
                raise
        else:
            return


def _rmdir_unless_filled(name: str, parent: int) -> bool:
    try:
        _cleared(os.rmdir, name, parent)
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:
            raise
        return False
    return True


def _cleared(change: Callable[..., None], name: str, directory: int) -> None:
    """Carry out a change of one name; where a flag forbids it, clear the flags of the name and its directory first."""
    try:
        change(name, dir_fd=directory)
    except FileNotFoundError:
        return
    except PermissionError:
        _allow_changes(directory)
        child = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        try:
            _allow_changes(child)
        finally:
            os.close(child)
        change(name, dir_fd=directory)


def _allow_changes(fd: int) -> None:
    """Clear the immutable and append-only flags; only files and directories can have them, and only they are opened."""
    mode = os.fstat(fd).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return
    opened = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        (flags,) = _FLAGS.unpack(fcntl.ioctl(opened, _SHOW_FLAGS, bytes(_FLAGS.size)))
        if flags & (_IMMUTABLE | _APPEND_ONLY):
            fcntl.ioctl(opened, _SET_FLAGS, _FLAGS.pack(flags & ~(_IMMUTABLE | _APPEND_ONLY)))
    except OSError as error:
        if error.errno not in (errno.ENOTTY, errno.EOPNOTSUPP):
            raise
    finally:
        os.close(opened)


def disk_usage(top: Path) -> int:
    """Return the bytes a tree takes on its disk; a file with several names counts once."""
    seen: set[tuple[int, int]] = set()
    total = os.lstat(top).st_blocks
    for _, directories, files, fd in os.fwalk(top):
        for name in (*directories, *files):
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                if (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
            total += status.st_blocks
    return total * _BLOCK
