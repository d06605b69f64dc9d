"""CPUs and memory nodes of groups: what the ones above leave to a new one, and what v1 loses for good.

A new v1 set has none, and takes no task (ENOSPC). A processor that goes offline is struck out of every v1 set, and does
not come back into any by itself; tasks of a set that has none left are moved to the one above. v2 forgets nothing.
Sources: cpuset(7), kernel documents `admin-guide/cgroup-v1/cpusets` and `admin-guide/cgroup-v2`.
"""

import contextlib
import errno
import time
from typing import TYPE_CHECKING

from insula.kernel.cgroups import files, joining, tree, v1
from insula.kernel.cgroups.hierarchies import Hierarchies

if TYPE_CHECKING:
    from insula.kernel.cgroups.group import Cgroup

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


def usable_below(hierarchies: Hierarchies, path: str) -> str | None:
    """Return which CPUs groups below the one at path can have, a list such as `0-3`.

    None where nobody says so: the group is not there yet, or nothing hands CPUs down to it.
    """
    mount = hierarchies.v1_mount("cpuset")
    if mount is not None:
        return files.read_if_there(f"{mount}/{path}/cpuset.effective_cpus") or None
    if hierarchies.v2 is None:
        return None
    return files.read_if_there(f"{hierarchies.v2}/{path}/cpuset.cpus.effective") or None


def reseat(group: "Cgroup", cpus: str) -> None:
    """Have a group run on these CPUs only, a list such as `0-3`; empty: on all that the one above has.

    What v1 has lost is given back first: CPUs to the groups above that are ours, its tasks to one that had none left.
    Raises: OSError.
    """
    mount = group.hierarchies.v1_mount("cpuset")
    if mount is None:
        group.cpuset.pin_cpus(cpus)
        return
    for above in tree.ancestors(group.path):
        if tree.is_ours(f"{mount}/{above}"):
            v1.V1CpuSet(f"{mount}/{above}").widen()
    deserted = not v1.V1CpuSet(f"{mount}/{group.path}").usable
    group.cpuset.pin_cpus(cpus)
    if deserted:
        for each in group.processes():
            with contextlib.suppress(ProcessLookupError):
                joining.move(each, f"{mount}/{group.path}/cgroup.procs")
