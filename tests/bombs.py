"""Bombs: programs that take one kind of thing from the kernel without end, for guests that have limits."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests import cache

SOURCE = Path(__file__).with_name("bombs.c")
PLACE = "/bombs"
"""Where guests are shown the program."""

ENDS: Mapping[str, tuple[str, ...]] = {
    "fork": ("EAGAIN",),
    "memory": ("KILLED", "ENOMEM"),
    "inotify": ("EMFILE",),
    "watch": ("ENOSPC", "KILLED", "ENOMEM"),
    "pty": ("ENOSPC", "EMFILE"),
    "key": ("ENOSYS",),
    "cgroup": ("EAGAIN", "ENOSPC"),
    "disk": ("ENOSPC",),
    "inode": ("ENOSPC",),
}
"""What refuses each at last, by the error's name; KILLED: the kernel, for memory."""
NOTHING = ("EPERM", "ENOSYS")
"""What is refused from the first on."""
FLOODS = ("mount", "pid", "log", "console", "netns", "dentry", "packet", "sync", "crash")
"""What ends at a number of ours: it costs time, which the guest's share bounds; mounts the host's `fs.mount-max`."""


def program() -> Path:
    """Return the program, built statically: it runs in any root."""

    def build(work: Path, _final: Path) -> None:
        subprocess.run(["gcc", "-static", "-O1", "-o", str(work / "bombs"), str(SOURCE)], check=True)

    return cache.built("bombs", SOURCE.read_text(), build) / "bombs"
