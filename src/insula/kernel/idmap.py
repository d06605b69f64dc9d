"""Id maps: which ids of the host stand behind those of a user namespace."""

import os
from collections.abc import Sequence

from insula.kernel.fds import Fd

Extent = tuple[int, int, int]
"""First id inside, first id outside, how many: one line of /proc/PID/uid_map."""

LINES_MAX = 340
"""Lines a map may have. Source: user_namespaces(7)."""


def map_text(extents: Sequence[Extent]) -> bytes:
    """Return a map as the kernel reads it."""
    return b"".join(b"%d %d %d\n" % extent for extent in extents)


def write_maps(process: Fd, uids: Sequence[Extent], gids: Sequence[Extent]) -> None:
    """Give a fresh user namespace its maps, once and for all.

    process: an fd of /proc/PID of a process inside. A map is written in one call, as the kernel wants it.
    Raises: OSError(EPERM) when written twice or not permitted, EINVAL for overlapping or too many lines.
    """
    for name, extents in (("gid_map", gids), ("uid_map", uids)):
        fd = os.open(name, os.O_WRONLY | os.O_CLOEXEC, dir_fd=process)
        try:
            os.write(fd, map_text(extents))
        finally:
            os.close(fd)


def outside(extents: Sequence[Extent], inside: int) -> int | None:
    """Return the host's id for an id inside, None if it has none."""
    for first, target, count in extents:
        if first <= inside < first + count:
            return target + inside - first
    return None
