"""What this host offers, found out once by trying, never by version: a plain value, so recorded ones make plans too."""

import contextlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from insula.engine.launch.systemdscope import Manager, detect_manager
from insula.engine.machineviews import viewed_here
from insula.kernel import privileges
from insula.kernel.cgroups import Hierarchies
from insula.kernel.cgroups.addressprograms import can_be_held
from insula.kernel.cgroups.socketoptions import can_be_refused
from insula.kernel.landlock import scopes_sockets
from insula.kernel.meminfo import MEMINFO, read_meminfo
from insula.kernel.mounts import make_filesystem
from insula.kernel.overlay import takes_detached_layers


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """One host, as seen by one process.

    kernel: its release, for people; pids_max: the highest pid and one; chosen_pids: a child's pid may be chosen;
    detached_layers: overlayfs takes detached mounts as layers; device_nodes: mknod works, and the nodes too;
    filesystems: as /proc/filesystems names them; manager: whose the control group tree is; user_namespaces: one may be
    made; swap_limits: control groups can limit swap; socket_programs: v2 groups can be
    given programs that refuse socket options; address_programs: and such that hold sockets to addresses; socket_scopes:
    Landlock keeps processes from others' abstract UNIX sockets; memory: the host's bytes; viewed: what a machine view
    can show in guests, below their roots.
    """

    hierarchies: Hierarchies
    kernel: str
    pids_max: int
    chosen_pids: bool
    detached_layers: bool
    device_nodes: bool
    time_namespaces: bool
    keyrings: bool
    filesystems: frozenset[str]
    manager: Manager = Manager.NONE
    user_namespaces: bool = True
    swap_limits: bool = True
    socket_programs: bool = True
    address_programs: bool = True
    socket_scopes: bool = True
    memory: int = 1 << 62
    viewed: tuple[str, ...] = ()

    @staticmethod
    def detect(groups_at: str = "/sys/fs/cgroup") -> "Facts":
        """Return what this process finds. Takes some milliseconds; changes nothing."""
        held = privileges.held().effective
        hierarchies = Hierarchies.detect(groups_at)
        return Facts(
            hierarchies=hierarchies,
            kernel=os.uname().release,
            pids_max=int(Path("/proc/sys/kernel/pid_max").read_text()),
            chosen_pids=bool(held & {"sys_admin", "checkpoint_restore"}),
            detached_layers=takes_detached_layers(),
            device_nodes=_device_nodes_work(),
            time_namespaces=os.path.exists("/proc/self/ns/time"),
            keyrings=os.path.exists("/proc/keys"),
            filesystems=frozenset(line.split()[-1] for line in Path("/proc/filesystems").read_text().splitlines()),
            manager=detect_manager(),
            user_namespaces=_user_namespaces_may_be_made(),
            swap_limits=_swap_can_be_limited(hierarchies),
            socket_programs=hierarchies.v2 is not None and can_be_refused(),
            address_programs=hierarchies.v2 is not None and can_be_held(),
            socket_scopes=scopes_sockets(),
            memory=read_meminfo(MEMINFO)["MemTotal"] * 1024,
            viewed=viewed_here(),
        )


def _user_namespaces_may_be_made() -> bool:
    """Source: user_namespaces(7); zero at most is how administrators switch them off."""
    limit = Path("/proc/sys/user/max_user_namespaces")
    return limit.exists() and int(limit.read_text()) > 0


def _swap_can_be_limited(hierarchies: Hierarchies) -> bool:
    """Look for v1's file; v2's root has none, so there look for what would take it away."""
    mount = hierarchies.v1_mount("memory")
    if mount is not None:
        return os.path.exists(f"{mount}/memory.memsw.limit_in_bytes")
    if "memory" not in hierarchies.v2_controllers or not os.path.exists("/proc/swaps"):
        return False
    return "swapaccount=0" not in Path("/proc/cmdline").read_text().split()


def _device_nodes_work() -> bool:
    """Make a null device in a file system of our own, and use it."""
    with contextlib.ExitStack() as undo:
        try:
            ground = make_filesystem("tmpfs", [("mode", "700")])
            undo.callback(os.close, ground)
            os.mknod("null", stat.S_IFCHR | 0o600, os.makedev(1, 3), dir_fd=ground)
            node = os.open("null", os.O_RDWR | os.O_CLOEXEC, dir_fd=ground)
            undo.callback(os.close, node)
            return os.write(node, b"x") == 1
        except OSError:
            return False
