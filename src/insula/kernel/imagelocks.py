"""Locks on disk images as QEMU takes them, so that an image is not a virtual machine's and a container's at once.

A byte of the file stands for each thing that may be done with an image, and another one for each that nobody else may
do meanwhile; who does it, or forbids it, has a shared lock on that byte. They are locks of the open file: a loop device
keeps its file open, so they last as long as it does.
Source: QEMU's documents of image locking; fcntl(2), "Open file description locks".
"""

import errno
import fcntl
import os
import struct
from collections.abc import Iterable

_DONE, _FORBIDDEN = 100, 200
"""The first byte of those that say what is done, and of those that say what others may not do."""
_READ, _WRITE, _RESIZE = 0, 1, 3
"""What can be done, by QEMU's numbers of permissions."""
_FLOCK = "hhqqi4x"
"""struct flock: type, whence, start, length, pid."""
_WITHOUT = {errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
"""Errors of file systems that have no such locks."""


def claim_image(file: int, path: str, *, read_only: bool) -> None:
    """Say for as long as the file is open that its content is read, or read and written: then by nobody else.

    file: open for what is said. Raises: OSError; EBUSY if that cannot be together with what others do, and then
    nothing is said.
    """
    done = (_READ,) if read_only else (_READ, _WRITE)
    forbidden = (_WRITE, _RESIZE)
    own = (*(_DONE + each for each in done), *(_FORBIDDEN + each for each in forbidden))
    contrary = (*(_FORBIDDEN + each for each in done), *(_DONE + each for each in forbidden))
    try:
        _set(file, own, fcntl.F_RDLCK)
        # Of two that come at the same time, one sees the other at least.
        taken = any(_is_held(file, each) for each in contrary)
    except OSError as error:
        if error.errno in _WITHOUT:
            return
        raise
    if taken:
        _set(file, own, fcntl.F_UNLCK)
        whose = "written to" if read_only else "in use"
        raise OSError(errno.EBUSY, f"the image is {whose} by another guest, a virtual machine or a loop device", path)


def is_claimed(file: int) -> bool:
    """Whether somebody reads a file's content, and lets nobody write. False too where there are no such locks.

    file: open, and nothing said by it.
    """
    try:
        return _is_held(file, _DONE + _READ) and _is_held(file, _FORBIDDEN + _WRITE)
    except OSError:
        return False


def _set(file: int, places: Iterable[int], kind: int) -> None:
    for each in places:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, kind, os.SEEK_SET, each, 1, 0))


def _is_held(file: int, place: int) -> bool:
    asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, place, 1, 0)
    kind: int = struct.unpack(_FLOCK, fcntl.fcntl(file, fcntl.F_OFD_GETLK, asked))[0]
    return kind != fcntl.F_UNLCK
