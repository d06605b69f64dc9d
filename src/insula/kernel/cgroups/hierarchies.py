"""Which control group hierarchies this host has mounted, and which controller lives in which.

Three kinds of hosts: v2 (one hierarchy, all controllers), v1 (a mount for every controller, or for a few together), and
hybrid (v1 controllers beside a v2 hierarchy that has what is left over: freezing, killing, delegation).
Sources: cgroups(7), kernel documents `admin-guide/cgroup-v2` and `admin-guide/cgroup-v1`.
"""

import os
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from insula.kernel.mountinfo import mountinfo_of, mounts_in

_NOT_CONTROLLERS = frozenset(
    {"rw", "ro", "xattr", "noprefix", "clone_children", "cpuset_v2_mode", "favordynmods", "nsdelegate"}
)
_DELEGATED_ALWAYS = ("cgroup.procs", "cgroup.threads", "cgroup.subtree_control")
"""What `/sys/kernel/cgroup/delegate` has listed since that file exists."""


class Mode(Enum):
    V2 = "v2"
    HYBRID = "hybrid"
    V1 = "v1"


@dataclass(frozen=True, kw_only=True, slots=True)
class V1Hierarchy:
    """One v1 mount. controllers: such as ("cpu", "cpuacct"), or the one entry "name=systemd"."""

    mount: str
    controllers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Hierarchies:
    """The hierarchies of this host; plain values, so that they survive JSON.

    v2: mount point of the v2 hierarchy; v2_controllers: what its root offers; delegate: files that belong to whom a
    v2 group is delegated.
    """

    v1: tuple[V1Hierarchy, ...] = ()
    v2: str | None = None
    v2_controllers: tuple[str, ...] = ()
    delegate: tuple[str, ...] = _DELEGATED_ALWAYS

    @staticmethod
    def detect(root: str = "/sys/fs/cgroup") -> "Hierarchies":
        """Return what is mounted at or below root in this mount namespace."""
        v1, v2 = parse_mounts(mountinfo_of(), root)
        controllers = () if v2 is None else tuple(Path(v2, "cgroup.controllers").read_text().split())
        return Hierarchies(v1=v1, v2=v2, v2_controllers=controllers, delegate=_delegated_files())

    @property
    def mode(self) -> Mode:
        if self.v2 is None:
            return Mode.V1
        return Mode.HYBRID if self.v1 else Mode.V2

    def v1_mount(self, controller: str) -> str | None:
        """Return where a controller is mounted as v1, None if it is not."""
        for each in self.v1:  # asked for each group of a thousand
            if controller in each.controllers:
                return each.mount
        return None

    @property
    def mounts(self) -> tuple[str, ...]:
        """Every hierarchy's mount point, v1 ones first."""
        return tuple(each.mount for each in self.v1) + (() if self.v2 is None else (self.v2,))

    def controllers(self) -> tuple[str, ...]:
        """Every controller of this host, wherever it is; sorted."""
        found = {name for each in self.v1 for name in each.controllers if not name.startswith("name=")}
        return tuple(sorted(found | set(self.v2_controllers)))


def parse_mounts(mountinfo: str, root: str) -> tuple[tuple[V1Hierarchy, ...], str | None]:
    """Return the v1 hierarchies and the v2 mount point that a mountinfo text names at or below root.

    Named v1 hierarchies other than systemd's are somebody's own and left alone.
    """
    v1: dict[tuple[str, ...], V1Hierarchy] = {}
    v2: str | None = None
    for each in mounts_in(mountinfo):
        mount = each.point
        if each.kind not in {"cgroup", "cgroup2"} or not (mount == root or mount.startswith(root.rstrip("/") + "/")):
            continue
        if each.kind == "cgroup2":
            v2 = v2 or mount
            continue
        controllers = tuple(option for option in each.super_options.split(",") if _is_controller(option))
        if controllers and controllers not in v1:
            v1[controllers] = V1Hierarchy(mount=mount, controllers=controllers)
    return tuple(v1.values()), v2


def _is_controller(option: str) -> bool:
    if option.startswith("name="):
        return option == "name=systemd"
    return option not in _NOT_CONTROLLERS and "=" not in option


def _delegated_files() -> tuple[str, ...]:
    """Return the files a delegated v2 group's owner may write: `/sys/kernel/cgroup/delegate`."""
    listing = Path("/sys/kernel/cgroup/delegate")
    return tuple(listing.read_text().split()) if os.access(listing, os.R_OK) else _DELEGATED_ALWAYS
