"""CPUs and memory nodes of v1 groups: a new set has none, and takes no task (ENOSPC). Source: cpuset(7)."""

import errno
import time

from insula.kernel.cgroups import tree, v1

_FILLS = 20
_PAUSE = 0.001


def fill(mount: str, path: str) -> None:
    """Have CPUs and nodes come down to the group at path, also through groups that others made and have yet to fill.

    One above that is ours hands them down by itself from then on: writing takes the longer the more groups there are.
    """
    above = tree.ancestors(path)
    for _ in range(_FILLS):
        if v1.V1CpuSet(f"{mount}/{path}").usable:
            return
        for group in (*above, path):
            v1.V1CpuSet(f"{mount}/{group}").inherit()
        if above and tree.is_ours(f"{mount}/{above[-1]}"):
            v1.V1CpuSet(f"{mount}/{above[-1]}").hand_down()
        if v1.V1CpuSet(f"{mount}/{path}").usable:
            return
        time.sleep(_PAUSE)
    raise OSError(errno.ENOSPC, "no CPUs or no memory nodes come down to the group", f"{mount}/{path}")
