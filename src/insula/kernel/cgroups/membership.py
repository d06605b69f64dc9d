"""Which groups a process is in, as its own file in /proc tells."""

import errno
import os


def groups_of(pid: int) -> dict[str, str]:
    """Return the group of a process in each hierarchy, as its path below the root: "" is the root itself.

    Keys name the hierarchies in the kernel's words: "" is v2, others are "cpu,cpuacct" or "name=systemd". A path is
    seen from our control group namespace, and ends in " (deleted)" where the group is gone.
    Raises: ProcessLookupError if there is no such process; OSError.
    Source: cgroups(7), `/proc/PID/cgroup`. No name of a group has a line's end.
    """
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
            return parse_groups(file.read())
    except FileNotFoundError:
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH), f"/proc/{pid}") from None


def parse_groups(text: str) -> dict[str, str]:
    """Return what a file's text means; see `groups_of`."""
    lines = (line.split(":", 2) for line in text.split("\n") if line)
    return {controllers: path.removeprefix("/") for _, controllers, path in lines}
