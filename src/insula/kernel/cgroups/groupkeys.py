"""The control files of a group by their names, such as `memory.oom.group`, in whichever hierarchy their controller is.

Source: kernel documents `admin-guide/cgroup-v2`, and below `admin-guide/cgroup-v1`.
"""

import contextlib
import errno
import os
import re
from dataclasses import dataclass
from typing import Protocol

from insula.kernel.cgroups import files, tree
from insula.kernel.cgroups.hierarchies import Hierarchies

KEY = re.compile(r"(?=.{3,128}\Z)([a-z][a-z0-9_]*)(\.[A-Za-z0-9_-]+)+\Z")
"""A control file's name: its controller, and what it is of that."""
_NOT_LIMITS = frozenset({"cgroup", "devices", "freezer"})
"""What the files of these hold is no limit: who is in the group, what it hands down, whether it stands still."""
_HANDED_DOWN = frozenset({"memory.swappiness", "memory.oom_control", "memory.use_hierarchy"})
"""v1's files that a new group takes from the one above it."""
_PROBE = "insula.fresh"


class KeyStore(Protocol):
    """The control files of one group."""

    def is_old(self, controller: str) -> bool:
        """Whether a controller is in a v1 hierarchy of this host."""

    def read(self, key: str) -> str:
        """Return what a file says, its last newline cut.

        Raises: OSError: EINVAL for what names none, EOPNOTSUPP for one that this host's groups have not.
        """

    def write(self, key: str, value: str | None) -> None:
        """Write a value, None for what a new group has. Raises: as `read`, and OSError for what the kernel refuses."""


def controller_of(key: str) -> str:
    """Return the controller of a key. Raises: OSError(EINVAL) for what names no control file of a group."""
    match = KEY.match(key)
    if match is None:
        raise OSError(errno.EINVAL, "this names no control file of a group, as memory.oom.group does", key)
    return match[1]


def is_limit(key: str) -> bool:
    """Whether a key may be written: it names a control file, and one that moves, frees or stops no process."""
    match = KEY.match(key)
    return match is not None and match[1] not in _NOT_LIMITS


@dataclass(frozen=True, slots=True)
class GroupKeys:
    """path: the group's, below each hierarchy's mount point."""

    hierarchies: Hierarchies
    path: str

    def is_old(self, controller: str) -> bool:
        return self.hierarchies.v1_mount(controller) is not None

    def read(self, key: str) -> str:
        return files.read(f"{self._directory(key)}/{key}")

    def write(self, key: str, value: str | None) -> None:
        if not is_limit(key):
            raise OSError(errno.EINVAL, "this is no control file of a limit", key)
        directory = self._directory(key)
        files.write(f"{directory}/{key}", self._fresh(directory, key) if value is None else value)

    def _directory(self, key: str) -> str:
        mount = self.hierarchies.v1_mount(controller_of(key)) or self.hierarchies.v2
        if mount is None:
            raise OSError(errno.EOPNOTSUPP, "this host has no such controller for control groups", key)
        return f"{mount}/{self.path}"

    def _fresh(self, directory: str, key: str) -> str:
        """Return what a group that was just made has, seen on one, which goes with this one if we die amid it.

        Raises: OSError(EINVAL) for a file that says nothing in one: no value takes away what was written to it.
        """
        if key in _HANDED_DOWN and self.is_old(controller_of(key)):
            return files.read(f"{os.path.dirname(directory)}/{key}").splitlines()[0].split()[-1]
        probe = f"{directory}/{_PROBE}"
        with contextlib.suppress(FileExistsError):
            os.mkdir(probe, 0o755)
        try:
            value = files.read(f"{probe}/{key}")
        finally:
            tree.removed(probe)
        if not value or "\n" in value:
            raise OSError(errno.EINVAL, "no value takes away what is in this file: write the one it is to have", key)
        return value
