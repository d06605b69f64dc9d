"""Moving processes into groups, with the kernel's refusals put into words."""

import errno
import os
from collections.abc import Iterable, Mapping

from insula.kernel.cgroups import files


def open_all(paths: Iterable[str], flags: int) -> list[int]:
    """Return an fd for each path; on an error none stays open."""
    fds: list[int] = []
    try:
        for path in paths:
            fds.append(os.open(path, flags | os.O_CLOEXEC))  # noqa: PERF401 - those opened must be known on an error
    except OSError:
        for fd in fds:
            os.close(fd)
        raise
    return fds


_REFUSALS = {
    errno.ENOSPC: "its cpuset has no CPUs or memory nodes: fill cpuset.cpus and cpuset.mems of the groups above",
    errno.EBUSY: "the group has handed controllers down, so no process may live in it",
    errno.EINVAL: "the scheduler refused: a real-time process needs cpu.rt_runtime_us in the group",
    errno.EACCES: "the groups belong to somebody else",
    errno.ENOENT: "the group is gone, or lies outside this control group namespace",
}


def move(pid: int, path: str) -> None:
    """Write pid to a group's cgroup.procs. Raises: OSError with the usual reason; ESRCH when the process is gone."""
    try:
        files.write(path, str(pid))
    except OSError as error:
        reason = _REFUSALS.get(error.errno or 0, os.strerror(error.errno or 0))
        raise OSError(error.errno, f"process {pid} cannot be moved: {reason}", path) from None


def join_all(groups: Mapping[str, int]) -> None:
    """Move this process into groups: `cgroup` is the directory of one, others are open files of the kind of tasks."""
    for name, fd in groups.items():
        if name == "cgroup":
            processes = os.open("cgroup.procs", os.O_WRONLY | os.O_CLOEXEC, dir_fd=fd)
            try:
                os.write(processes, b"0")
            finally:
                os.close(processes)
        else:
            os.write(fd, b"0")
