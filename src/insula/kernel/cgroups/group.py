"""One handle over every hierarchy: the control group of a container.

    v2      machine.slice/machine-lxc….scope             limits, freezer, kill: the host root's
              └─ payload                                 the guest's processes and sub-groups: delegated to its root
                   └─ insula.exec                        processes that enter later: the host root's
    v1      CONTROLLER/machine.slice/machine-lxc….scope  limits and processes, one group in each hierarchy

On hybrid hosts both are there; the kernel binds a controller to one hierarchy, and v1 ones are asked first.
"""

import contextlib
import errno
import os
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from insula.kernel.bpf import LoadedPrograms
from insula.kernel.cgroups import (
    controllers,
    cpusets,
    delegation,
    files,
    joining,
    readings,
    repeating,
    socketoptions,
    tree,
    v1,
    v2,
)
from insula.kernel.cgroups.devicecontroller import DeviceRule, V1Devices, V2Devices
from insula.kernel.cgroups.groupkeys import GroupKeys
from insula.kernel.cgroups.heldlimits import HeldLimits
from insula.kernel.cgroups.hierarchies import Hierarchies
from insula.kernel.cgroups.socketoptions import SocketOption
from insula.kernel.cgroups.stats import Pressure, Stats

PAYLOAD = "payload"
EXEC_LEAF = "insula.exec"
_MAXIMUM_DEPTH = 64
"""Levels of groups a guest may make below its own: enough for systemd in systemd, and removable in bounded time."""
_MAXIMUM_DESCENDANTS = 2048
"""Groups a guest may make below its own. The kernel counts some 10 KB each for nobody; systemd needs one a service."""
_PATIENCE = 10.0
"""Seconds to wait for freezing or for dead tasks to be reaped."""


@dataclass(frozen=True, slots=True)
class Cgroup:
    """The group at path below the root of each hierarchy. Making a Cgroup only names it; `create` makes directories.

    path: such as `machine.slice/machine-lxc\\x2d4711\\x2dweb.scope`.
    """

    hierarchies: Hierarchies
    path: str

    @classmethod
    def create(cls, hierarchies: Hierarchies, path: str, owner: tuple[int, int] | None = None) -> "Cgroup":
        """Make the group in every hierarchy, with all controllers the host grants, and return it.

        owner: host uid and gid that may make groups below the v2 payload (the guest's root); None: the host's root.
        Raises: FileExistsError if there is such a group already; OSError; nothing is left behind then.
        """
        group = cls(hierarchies, path)
        with group._made():
            if hierarchies.v2 is not None:
                delegation.enable_controllers(hierarchies.v2, path, hierarchies.v2_controllers, fresh=True)
                group._make_payload()
                group.delegate(owner)
        return group

    @classmethod
    def lay_out(cls, hierarchies: Hierarchies, path: str) -> "Cgroup":
        """Make the group below one that was delegated to us, without any controllers yet, for `take_over`; return it.

        Raises: as `create`; FileNotFoundError if the one above is not there in the v2 hierarchy.
        """
        group = cls(hierarchies, path)
        with group._made(above_too=False):
            group._make_payload()
        return group

    def take_over(self, occupant: int, beside: str) -> None:
        """Have all controllers handed down to the payload, by the group above too, and by none above that.

        v2 lets no group with processes do that: the one process of the group above is moved into one of this name
        below it. Raises: OSError; ESRCH if it is gone.
        """
        mount, above = self.hierarchies.v2, os.path.dirname(self.path)
        if mount is not None:
            os.mkdir(f"{mount}/{above}/{beside}", 0o755)
            joining.move(occupant, f"{mount}/{above}/{beside}/cgroup.procs")
            for each in (above, self.path):
                delegation.hand_down(f"{mount}/{each}", self.hierarchies.v2_controllers)

    @contextlib.contextmanager
    def _made(self, *, above_too: bool = True) -> Iterator[None]:
        """Make its directories, and take them away again if what follows fails.

        above_too: make those above it as well in the v2 hierarchy, as in all others.
        """
        if not self.path or self.path.startswith("/") or ".." in self.path.split("/"):
            raise OSError(errno.EINVAL, "a group's path is relative to the hierarchies' roots", self.path)
        made: list[str] = []
        try:
            for mount in self.hierarchies.mounts:
                if above_too or mount != self.hierarchies.v2:
                    tree.make(mount, self.path)
                else:
                    os.mkdir(f"{mount}/{self.path}", 0o755)
                made.append(mount)
                if mount == self.hierarchies.v1_mount("cpuset"):
                    cpusets.fill(mount, self.path)
            yield
        except OSError:
            for mount in made:
                with contextlib.suppress(OSError):
                    tree.remove(f"{mount}/{self.path}", _PATIENCE)
            for mount in self.hierarchies.mounts:
                tree.remove_marked_above(mount, self.path)
            raise

    def _make_payload(self) -> None:
        if self.payload is not None:
            os.mkdir(self.payload, 0o755)
            # Made now, it cannot be refused for want of groups later.
            os.mkdir(f"{self.payload}/{EXEC_LEAF}", 0o755)

    def delegate(self, owner: tuple[int, int] | None) -> None:
        """Bound what may be made below the payload, and give that to its owner, as for `create`. Raises: OSError."""
        for name, most in (("depth", _MAXIMUM_DEPTH), ("descendants", _MAXIMUM_DESCENDANTS)):
            files.write_if_there(f"{self.scope}/cgroup.max.{name}", str(most))
        if owner is not None and self.payload is not None:
            delegation.hand_over(self.payload, owner, self.hierarchies.delegate)

    # Where things are

    def directory(self, controller: str) -> str | None:
        """Return the directory of the group that has a controller's files, None if the host lacks the controller."""
        mount = self.hierarchies.v1_mount(controller)
        if mount is None and self.hierarchies.v2 is not None:
            names = {"blkio": "io"}
            if names.get(controller, controller) in self.hierarchies.v2_controllers:
                mount = self.hierarchies.v2
        return None if mount is None else f"{mount}/{self.path}"

    @property
    def scope(self) -> str | None:
        """The v2 group that holds the limits, None on v1-only hosts."""
        return None if self.hierarchies.v2 is None else f"{self.hierarchies.v2}/{self.path}"

    @property
    def payload(self) -> str | None:
        """The v2 group the guest lives in and owns, None on v1-only hosts."""
        return None if self.scope is None else f"{self.scope}/{PAYLOAD}"

    @property
    def directories(self) -> tuple[str, ...]:
        """The group's directory in every hierarchy, v1 ones first."""
        return tuple(f"{mount}/{self.path}" for mount in self.hierarchies.mounts)

    def exists(self) -> bool:
        """Whether the group is there in any hierarchy."""
        return any(tree.is_group(directory) for directory in self.directories)

    def repeat_limits(self, names: Iterable[str]) -> None:
        """Have the group that the guest sees as the root of all say the limits of these v2 files too, as `memory.max`.

        Programs read there what they may use (systemd, Java, Go). Raises: OSError.
        """
        if self.scope is not None and self.payload is not None:
            repeating.repeat(self.scope, self.payload, names, self.hierarchies.v2_controllers)

    # Coming in

    def into_fd(self) -> int | None:
        """Return an fd of the payload for CLONE_INTO_CGROUP, None on v1-only hosts; the caller closes it."""
        return None if self.payload is None else os.open(self.payload, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def exec_fd(self) -> int | None:
        """Return an fd as `into_fd` does, for a process that enters the running container: it begins in a leaf.

        v2 lets no group that holds processes hand controllers down, so one that began in the payload would keep the
        guest's init from that, which then has none: kernel document `admin-guide/cgroup-v2`, "No Internal Process
        Constraint".
        """
        if self.payload is None:
            return None
        leaf, flags = f"{self.payload}/{EXEC_LEAF}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        with contextlib.suppress(FileNotFoundError):
            return os.open(leaf, flags)
        # The guest, whose group is around it, may have removed it.
        with contextlib.suppress(FileExistsError):
            os.mkdir(leaf, 0o755)
        return os.open(leaf, flags)

    def join_fds(self, *, v2_too: bool = False) -> list[int]:
        """Return write-only fds; a single-threaded process that writes b"0" to each has joined; the caller closes them.

        v2_too: include the v2 hierarchy, for a process that was not cloned into it. A thread moving itself through a
        `tasks` file takes no lock of the whole host; writing a pid from outside (`enter`) waits for a grace period of
        several milliseconds on an idle host.
        """
        paths = [f"{each.mount}/{self.path}/tasks" for each in self.hierarchies.v1]
        if v2_too and self.hierarchies.v2 is not None:
            paths.append(f"{self.payload}/cgroup.procs")
        return joining.open_all(paths, os.O_WRONLY)

    def enter(self, pid: int) -> None:
        """Move a process that runs already into the group in every v1 hierarchy, and into the v2 payload.

        Raises: OSError that says which hierarchy refused and why.
        """
        for each in self.hierarchies.v1:
            joining.move(pid, f"{each.mount}/{self.path}/cgroup.procs")
        if self.hierarchies.v2 is not None:
            joining.move(pid, f"{self.payload}/cgroup.procs")

    # Controllers

    def _controller(self, name: str) -> tuple[str, bool]:
        """Return the directory and whether it is v1. Raises: OSError(EOPNOTSUPP) if the host lacks the controller."""
        directory = self.directory(name)
        if directory is None:
            raise OSError(errno.EOPNOTSUPP, f"this host has no {name} controller for control groups", self.path)
        return directory, self.hierarchies.v1_mount(name) is not None

    @property
    def memory(self) -> controllers.MemoryController:
        directory, old = self._controller("memory")
        return v1.V1Memory(directory) if old else v2.V2Memory(directory)

    @property
    def cpu(self) -> controllers.CpuController:
        directory, old = self._controller("cpu")
        return v1.V1Cpu(directory) if old else v2.V2Cpu(directory)

    @property
    def cpu_time(self) -> controllers.CpuTimeController:
        mount = self.hierarchies.v1_mount("cpuacct")
        if mount is not None:
            return v1.V1CpuTime(f"{mount}/{self.path}")
        if self.scope is None:
            raise OSError(errno.EOPNOTSUPP, "this host does not account CPU time of control groups", self.path)
        return v2.V2CpuTime(self.scope)

    @property
    def cpuset(self) -> controllers.CpuSetController:
        directory, old = self._controller("cpuset")
        return v1.V1CpuSet(directory) if old else v2.V2CpuSet(directory)

    @property
    def io(self) -> controllers.IoController:
        directory, old = self._controller("blkio")
        return v1.V1Io(directory) if old else v2.V2Io(directory)

    @property
    def tasks(self) -> controllers.PidsController:
        directory, old = self._controller("pids")
        return v1.V1Pids(directory) if old else v2.V2Pids(directory)

    @property
    def keys(self) -> GroupKeys:
        """Its control files, by their names."""
        return GroupKeys(self.hierarchies, self.path)

    @property
    def freezer(self) -> controllers.FreezerController:
        if self.scope is not None:
            return v2.V2Freezer(self.scope)
        return v1.V1Freezer(self._controller("freezer")[0])

    # Verbs

    def allow_devices(self, rules: tuple[DeviceRule, ...], loaded: LoadedPrograms | None = None) -> None:
        """Refuse every device node but those of rules; may be called again, on a running container, to change them.

        loaded: has the program that decides in v2, or loads it for others too.
        """
        mount = self.hierarchies.v1_mount("devices")
        if mount is not None:
            V1Devices(f"{mount}/{self.path}").allow(rules)
        elif self.scope is not None:
            V2Devices(self.scope).allow(rules, loaded)
        else:
            raise OSError(errno.EOPNOTSUPP, "this host has no device controller for control groups", self.path)

    def refuse_socket_options(self, options: tuple[SocketOption, ...], loaded: LoadedPrograms | None = None) -> None:
        """Refuse these options of sockets; loaded: as above. Raises: OSError; EOPNOTSUPP without a v2 hierarchy."""
        if self.scope is None:
            raise OSError(errno.EOPNOTSUPP, "only v2 groups have programs", self.path)
        socketoptions.refuse(self.scope, options, loaded)

    def freeze(self, seconds: float = _PATIENCE) -> None:
        """Stop every process; return once all stand still. Raises: OSError(ETIMEDOUT), all thawed again."""
        self.freezer.freeze(seconds)

    def thaw(self) -> None:
        """Let every process run again."""
        self.freezer.thaw()

    @property
    def frozen(self) -> bool:
        """Whether its processes stand still: those that joined it a moment ago are about to."""
        return self.freezer.frozen()

    def kill(self) -> None:
        """Kill every process in the group and below it, frozen or not, and whatever is being forked meanwhile."""
        frozen = self.scope is None and self.directory("freezer") is not None
        if frozen:
            with contextlib.suppress(OSError):
                self.freeze()
        # Any process of the host's may be in one of them alone.
        for each in self.hierarchies.v1:
            for pid in tree.processes_below(f"{each.mount}/{self.path}"):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if frozen:
            self.thaw()
        if self.scope is not None:
            files.write(f"{self.scope}/cgroup.kill", "1")

    def processes(self) -> list[int]:
        """Return the pids of every process in the group and below it, as this pid namespace has them."""
        return tree.processes_below(self.scope or self.directories[0])

    @property
    def populated(self) -> bool:
        """Whether any process, even a dead one not yet reaped, is in the group."""
        if self.scope is None:
            return bool(self.processes())
        return files.flat_keyed(files.read(f"{self.scope}/cgroup.events"))["populated"] == 1

    @property
    def inhabited(self) -> bool:
        """Whether any process is in the group or below it, in any hierarchy; False for one that is not there."""
        return any(tree.processes_below(directory) for directory in self.directories)

    def removed_at_once(self) -> bool:
        """Remove the group in every hierarchy unless somebody is in it or below it; return whether it is gone.

        Groups that the guest has made stay. What is gone already is fine. Raises: OSError for any other refusal.
        """
        ours = () if self.payload is None else (f"{self.payload}/{EXEC_LEAF}", self.payload)
        return all(tree.removed(directory) for directory in (*ours, *self.directories))

    def remove(self, seconds: float = _PATIENCE, *, above_too: bool = True) -> None:
        """Remove the group and what was made below it, in every hierarchy; what is gone already is fine.

        above_too: also the groups above it that were made for it, if they are empty now.
        Raises: OSError(EBUSY) if processes stay.
        """
        deadline = time.monotonic() + seconds
        # The v2 group goes last: as long as anything is there, so is who made it.
        for mount in self.hierarchies.mounts:
            tree.remove(f"{mount}/{self.path}", max(0.0, deadline - time.monotonic()))
            if above_too:
                tree.remove_marked_above(mount, self.path)

    def guarantee_memory(self, memory: int) -> None:
        """Keep so many bytes from being reclaimed, and have those groups above that are ours promise as much.

        A group is protected only as far as all above it are; what is above ours is its owner's to set (on a systemd
        host `MemoryMin=` of the slice). Raises: OSError(EOPNOTSUPP) on v1, but for 0, which changes nothing there.
        """
        self.memory.guarantee(memory)
        if not isinstance(self.memory, v2.V2Memory):
            return  # it had none, and those above have none for it
        mount = self.hierarchies.v2
        for above in reversed(tree.ancestors(self.path)):
            if mount is not None and tree.is_ours(f"{mount}/{above}"):
                v2.V2Memory(f"{mount}/{above}").guarantee(v2.promised_below(f"{mount}/{above}"))

    # Readings

    def stats(self) -> Stats:
        """Return one reading of everything the host accounts for this group. Raises: OSError(ENOENT) if it is gone."""
        return readings.stats(self)

    @property
    def oom_kills(self) -> int:
        """How many processes were killed for want of memory."""
        return self.memory.oom_kills()

    def pressure(self, resource: str) -> Pressure | None:
        """Return how much of the time work waited for `cpu`, `memory` or `io`; None where that is not accounted."""
        return None if self.scope is None else v2.Stalls(self.scope).of(resource)

    def limits(self) -> HeldLimits:
        """Return the limits the kernel holds for this group now."""
        return readings.limits(self)


def remove_empty_partitions(hierarchies: Hierarchies) -> None:
    """Remove the groups that were made to hold others, as far as they hold none any more."""
    for mount in hierarchies.mounts:
        tree.remove_marked_in(mount)
