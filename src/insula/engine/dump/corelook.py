"""The look that keeps a core in a guest: as the guest's root, under its limits, with no more rights than that has.

    take-core    pid, namespaces, path, most, uid, gid ; init, stream, groups → name, size, cut

stream: what the core is read from; path: in the guest, its directory is there; most: bytes; uid, gid: the guest's own
numbers of the owner; name: under which it is; cut: there was more.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from insula.engine.look.visit import visit
from insula.kernel.beneath import CONTAINED, open_beneath
from insula.kernel.fds import Fd

_PIECE = 1 << 18
_NAMES_MAX = 16
"""Cores of one name that are kept side by side."""


def take_core(arguments: Mapping[str, Any], fds: Mapping[str, Fd]) -> dict[str, Any]:
    """Make a new file of what the stream has. Raises: OSError, and no file stays."""
    root = visit(arguments, fds)
    directory, _, name = arguments["path"].rpartition("/")
    parent = open_beneath(root, directory, os.O_PATH | os.O_DIRECTORY, resolve=CONTAINED)
    file, name = _made(parent, name)
    try:
        size, cut = copied(fds["stream"], file, arguments["most"])
        os.fchown(file, arguments["uid"], arguments["gid"])
        os.close(file)  # where some file systems tell first that there was no room
    except OSError:
        with suppress(OSError):
            os.unlink(name, dir_fd=parent)
        raise
    return {"name": name, "size": size, "cut": cut}


def _made(parent: Fd, name: str) -> tuple[Fd, str]:
    """Return a new file, and its name, which has a number where that is taken: what is there is never touched."""
    making = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    for number in range(_NAMES_MAX):
        tried = name if number == 0 else f"{name}.{number}"
        try:
            return Fd(os.open(tried, making, 0o600, dir_fd=parent)), tried
        except FileExistsError:
            if number == _NAMES_MAX - 1:
                raise
    raise AssertionError("unreachable")


def copied(source: int, target: int, most: int) -> tuple[int, bool]:
    """Copy at most so many bytes, with holes for zeros; return how many that were, and whether there are more."""
    size = 0
    while piece := os.read(source, min(_PIECE, most - size) or 1):
        if size == most:
            os.ftruncate(target, size)
            return size, True
        if piece.count(0) == len(piece):
            os.lseek(target, len(piece), os.SEEK_CUR)
        else:
            left = memoryview(piece)
            while left:
                left = left[os.write(target, left) :]
        size += len(piece)
    os.ftruncate(target, size)
    return size, False
