"""The border to the machine view: the engine makes a guest's connection, and who serves it is plugged in.

A connection is two descriptors, named in the keeper as here: the file of /dev/fuse, and the memory in which the view
notes what it has not answered yet. Whoever has both can have the guest served again.
"""

import os
import stat
from collections.abc import Mapping
from typing import Protocol

from insula.engine.spec import IdMap
from insula.kernel import fuse
from insula.kernel.cgroups import Cgroup
from insula.kernel.fds import Fd
from insula.view.viewedfiles import ViewedGuest, ViewedIds

DEVICE, MEMORY = "view", "view-memory"
"""The keeper's names for the two."""

_LOG = "dev/kmsg"
VIEWED = (
    "proc/meminfo",
    "proc/cpuinfo",
    "proc/stat",
    "proc/uptime",
    "proc/loadavg",
    "proc/swaps",
    "proc/diskstats",
    "proc/vmstat",
    "proc/pressure",
    "proc/kmsg",
    "sys/devices/system/cpu",
    "sys/devices/system/node",
    _LOG,
)
"""What of a view covers the kernel's own in a guest, as far as the host has it."""


class MachineViews(Protocol):
    """Has guests' connections served. Returns at once; whoever reads waits until it is so."""

    def show(self, guest: ViewedGuest, connection: Mapping[str, Fd]) -> None:
        """Have a guest's connection served from now on, by whichever view lives; the descriptors stay the caller's."""

    def forget(self, launch: str) -> None:
        """Have a guest's connection served no more; one that is not is fine. It ends with its last descriptor."""


def viewed_guest(
    *,
    uuid: str,
    launch: str,
    name: str,
    group: Cgroup,
    pid: int,
    born: int,
    idmap: IdMap | None,
    time_offsets: tuple[int, int] | None,
) -> ViewedGuest:
    """Return a guest as its view is told of it. pid, born: its init, and its start in clock ticks since boot."""
    uids, gids = ((), ()) if idmap is None else (idmap.uids, idmap.gids)
    return ViewedGuest(
        uuid=uuid,
        launch=launch,
        name=name,
        hierarchies=group.hierarchies,
        group=group.path,
        pid=pid,
        born=born,
        boottime=0 if time_offsets is None else time_offsets[1],
        uids=tuple(ViewedIds(inside=each.inside, outside=each.outside, count=each.count) for each in uids),
        gids=tuple(ViewedIds(inside=each.inside, outside=each.outside, count=each.count) for each in gids),
    )


def viewed_here() -> tuple[str, ...]:
    """Return those of `VIEWED` that can be shown on this host: none without FUSE. No module is loaded for that."""
    if not fuse.is_there():
        return ()
    return tuple(each for each in VIEWED if _is_there(f"/{each}"))


def _is_there(path: str) -> bool:
    try:
        return bool(stat.S_IFMT(os.stat(path).st_mode))
    except OSError:
        return False
