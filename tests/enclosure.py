"""The test session's own world: namespaces in which system tests disturb neither the host nor each other's sessions.

Entered once, before the first system or e2e test, by the test process itself. It then sees

- mounts, network, host name and IPC of its own: no interface but lo, `/run` an empty tmpfs, `/sys` mounted afresh;
- every cgroup hierarchy from a group of its own (`insula-tests-PID`) as the root, itself in the leaf `tests.scope`;

so whatever stands there and is not in `tests.scope` was made by a test. The emulated machine, which is ours alone,
keeps its real cgroup root (`Reach.MOUNTS_AND_NETWORK`), and a systemd host is tested as it is (`Reach.NOTHING`).
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from tests import cgrouptree, libc
from tests.cgrouptree import Hierarchy
from tests.libc import MountFlag, Namespace
from tests.waiting import until

REACH_VARIABLE = "INSULA_TEST_ENCLOSURE"
LEAF = "tests.scope"
PREFIX = "insula-tests-"


class Reach(StrEnum):
    """How much of the host the enclosure keeps away; the value of INSULA_TEST_ENCLOSURE."""

    EVERYTHING = "everything"
    MOUNTS_AND_NETWORK = "mounts-and-network"
    NOTHING = "nothing"


def reach() -> Reach:
    """Return what this session's environment asks for; everything, if it does not say."""
    return Reach(os.environ.get(REACH_VARIABLE) or Reach.EVERYTHING)


class Enclosure:
    """The entered world, until `leave`. base: a directory for test files, with a short path, on a disk."""

    def __init__(self) -> None:
        for abandoned in Path("/var/tmp").glob("it-[0-9]*-*"):
            if not _lives(abandoned.name.split("-")[1]):
                shutil.rmtree(abandoned, ignore_errors=True)
        self.base = Path(tempfile.mkdtemp(prefix=f"it-{os.getpid()}-", dir="/var/tmp"))
        self.base.chmod(0o755)
        self._outside = {kind: os.open(f"/proc/self/ns/{kind}", os.O_RDONLY) for kind in ("net", "mnt", "cgroup")}
        self._groups: list[_Group] = []
        if reach() is not Reach.NOTHING:
            self._enter(with_cgroups=reach() is Reach.EVERYTHING)
        libc.become_subreaper()
        # A terminated session is to tear its fixtures down, as an interrupted one does.
        signal.signal(signal.SIGTERM, signal.default_int_handler)

    def _enter(self, *, with_cgroups: bool) -> None:
        name = f"{PREFIX}{os.getpid()}"
        if with_cgroups:
            for hierarchy in cgrouptree.hierarchies():
                self._groups.append(_move_into_new_group(hierarchy, name))
        libc.unshare(Namespace.MOUNT | Namespace.NET | Namespace.UTS | Namespace.IPC)
        if with_cgroups:
            libc.unshare(Namespace.CGROUP)
        libc.mount("", "/", flags=MountFlag.RECURSIVE | MountFlag.PRIVATE)
        mount_sys_afresh()
        libc.mount("run", "/run", "tmpfs", MountFlag.NO_SUID | MountFlag.NO_DEV, "mode=755")
        if with_cgroups:
            for hierarchy in cgrouptree.hierarchies():
                _move_into_leaf(hierarchy)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)

    def outside(self, *command: str) -> Sequence[str]:
        """Return the command that runs a command in the host's own network and mount namespaces."""
        net, mount = (f"/proc/{os.getpid()}/fd/{self._outside[kind]}" for kind in ("net", "mnt"))
        return ("nsenter", f"--net={net}", f"--mount={mount}", "--", *command)

    def leave(self) -> None:
        """Go back to the host's cgroups and remove ours and the files; the other namespaces end with the process."""
        if self._groups:
            libc.setns(self._outside["cgroup"], Namespace.CGROUP)
        for group in self._groups:
            group.leave()
        self._groups.clear()
        for fd in self._outside.values():
            os.close(fd)
        self._outside.clear()
        shutil.rmtree(self.base)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Group:
    """A group of ours in one hierarchy, held by fd because the session's mounts do not show it.

    origin: where the process came from; parent: the directory in which our group stands under name.
    """

    origin: int
    parent: int
    name: str

    def leave(self) -> None:
        """Move the calling process back and remove the group with all below it."""
        Path(f"/proc/self/fd/{self.origin}/cgroup.procs").write_text(str(os.getpid()))
        until(self._is_removed, f"the removal of the group {self.name}, which somebody who ends may still be in")
        os.close(self.origin)
        os.close(self.parent)

    def _is_removed(self) -> bool:
        with contextlib.suppress(OSError):
            cgrouptree.remove_tree(Path(f"/proc/self/fd/{self.parent}/{self.name}"))
            return True
        return False


def _move_into_new_group(hierarchy: Hierarchy, name: str) -> _Group:
    """Create the group and move the calling process into it.

    v1: below the present group, so that its limits go on to hold. v2: below the root, because a group with processes
    cannot hand controllers to children. Source: kernel document on cgroup v2, "No Internal Process Constraint".
    """
    parent = hierarchy.own if hierarchy.version == 1 else hierarchy.mount_point
    _remove_abandoned(hierarchy)
    if hierarchy.version == 2:
        cgrouptree.enable_all_controllers(parent)
    group = parent / name
    group.mkdir()
    if hierarchy.version == 1:
        cgrouptree.fill_cpuset(group)
    held = _Group(
        origin=os.open(hierarchy.own, os.O_PATH | os.O_DIRECTORY),
        parent=os.open(parent, os.O_PATH | os.O_DIRECTORY),
        name=name,
    )
    (group / "cgroup.procs").write_text(str(os.getpid()))
    return held


def _remove_abandoned(hierarchy: Hierarchy) -> None:
    """End and remove what a session that was killed could not: groups named after a process that is gone."""
    for group in list(cgrouptree.groups_below(hierarchy.mount_point)):
        if group.name.startswith(PREFIX) and not _lives(group.name.removeprefix(PREFIX)):
            with contextlib.suppress(OSError, TimeoutError):
                until(partial(_emptied, group), f"the end of all processes in {group}")
                cgrouptree.remove_tree(group)


def _emptied(group: Path) -> bool:
    """Kill and thaw what is left in a group; return whether it is empty."""
    left = False
    for each in (*cgrouptree.groups_below(group), group):
        for pid in (each / "cgroup.procs").read_text().split():
            left = True
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        cgrouptree.thaw(each)
    return not left


def _lives(pid: str) -> bool:
    return Path("/proc", pid).exists()


def _move_into_leaf(hierarchy: Hierarchy) -> None:
    """Leave the root of the session's view empty, so that on v2 it can hand its controllers to the tests' groups."""
    leaf = hierarchy.mount_point / LEAF
    leaf.mkdir()
    if hierarchy.version == 1:
        cgrouptree.fill_cpuset(leaf)
    (leaf / "cgroup.procs").write_text(str(os.getpid()))
    if hierarchy.version == 2:
        cgrouptree.enable_all_controllers(hierarchy.mount_point)


def mount_sys_afresh() -> None:
    """Replace /sys and what is mounted below it by fresh mounts that belong to the present namespaces.

    Only a sysfs mounted in a network namespace shows its interfaces, and only a cgroup file system mounted in a cgroup
    namespace has that namespace's root as its own: sysfs(5), cgroup_namespaces(7). The caller's mount namespace must be
    its own, with private propagation.
    """
    below = [line.split(" - ") for line in Path("/proc/thread-self/mountinfo").read_text().splitlines()]
    mounts = [
        (before.split(" ")[4], after.split(" ")[0])
        for before, after in below
        if before.split(" ")[4].startswith("/sys/")
    ]
    options = {str(each.mount_point): each.mount_options for each in cgrouptree.hierarchies()}
    while os.path.ismount("/sys"):
        libc.unmount("/sys", lazily=True)
    libc.mount("sysfs", "/sys", "sysfs", MountFlag.NO_SUID | MountFlag.NO_DEV | MountFlag.NO_EXEC)
    for target, fstype in mounts:
        Path(target).mkdir(exist_ok=True)
        libc.mount(
            fstype, target, fstype, MountFlag.NO_SUID | MountFlag.NO_DEV | MountFlag.NO_EXEC, options.get(target, "")
        )
