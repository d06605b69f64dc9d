"""Looks at file systems of a running guest's, by their mount points: how full they are; written out; trimmed.

    measure-mounts   points, what `visit` takes    ; the same → by point: total and used bytes
    sync-mounts      points, what `visit` takes    ; the same → how many were written out
    trim-mounts      mounts: point, device; least; pid ; init → by point: bytes trimmed

A point is a path in the guest, and a device its file system's number: what has taken its place since is passed over.
Sources: statfs(2), syncfs(2), FITRIM in linux/fs.h.
"""

import errno
import fcntl
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from insula.engine.look.runningroot import open_root
from insula.engine.look.visit import visit
from insula.kernel.beneath import CONTAINED, open_beneath
from insula.kernel.durable import sync_filesystem
from insula.kernel.fds import Fd

_FITRIM = 0xC0185879
_RANGE = struct.Struct("=QQQ")
_WHOLE = (1 << 64) - 1


def measure_mounts(arguments: Mapping[str, Any], fds: Mapping[str, Fd]) -> dict[str, list[int]]:
    """Return how large the file systems are; one that is no directory's, or does not tell, is left out."""
    root = visit(arguments, fds)
    found = {}
    for point in arguments["points"]:
        with suppress(OSError), _opened(root, point, os.O_PATH) as directory:
            size = os.fstatvfs(directory)
            found[point] = [size.f_blocks * size.f_frsize, (size.f_blocks - size.f_bfree) * size.f_frsize]
    return found


def sync_mounts(arguments: Mapping[str, Any], fds: Mapping[str, Fd]) -> int:
    """Write out what is not on the disks yet. Raises: OSError with the first that fails."""
    root = visit(arguments, fds)
    points: Sequence[str] = arguments["points"]
    for point in points:
        with _opened(root, point, os.O_RDONLY) as directory:
            sync_filesystem(directory)
    return len(points)


def trim_mounts(arguments: Mapping[str, Any], fds: Mapping[str, Fd]) -> dict[str, int]:
    """Tell the devices which blocks are not used. least: bytes of a piece that is worth it.

    What has no device that can do it is left out. Raises: OSError with the first that fails otherwise.
    """
    root = open_root(arguments["pid"], fds["init"])
    found = {}
    for each in arguments["mounts"]:
        with _unless_unable(), _opened(root, each["point"], os.O_RDONLY) as directory:
            device = os.fstat(directory).st_dev
            if f"{os.major(device)}:{os.minor(device)}" == each["device"]:
                told = fcntl.ioctl(directory, _FITRIM, _RANGE.pack(0, _WHOLE, arguments["least"]))
                found[each["point"]] = _RANGE.unpack(told)[1]
    return found


@contextmanager
def _unless_unable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise


@contextmanager
def _opened(root: Fd, point: str, flags: int) -> Iterator[Fd]:
    found = open_beneath(root, point, flags | os.O_DIRECTORY, resolve=CONTAINED)
    try:
        yield found
    finally:
        os.close(found)
