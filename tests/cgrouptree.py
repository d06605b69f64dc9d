"""The cgroup hierarchies of this host, read from /proc: what the enclosure re-mounts and the leak checker walks."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_IGNORED_V1_OPTIONS = {"rw", "ro", "xattr", "clone_children", "noprefix", "cpuset_v2_mode"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Hierarchy:
    """One mounted cgroup hierarchy.

    controllers: v1: its controllers, or `name=...`; v2: what its root offers.
    own: the directory of the reading process in it.
    """

    mount_point: Path
    version: int
    controllers: frozenset[str]
    own: Path

    @property
    def mount_options(self) -> str:
        """The options that mount this hierarchy again: mount(2) data."""
        if self.version == 2:
            return ""
        named = any(controller.startswith("name=") for controller in self.controllers)
        return ",".join((*(("none",) if named else ()), *sorted(self.controllers)))


def hierarchies() -> tuple[Hierarchy, ...]:
    """Return every mounted hierarchy, each once. Source: proc(5), /proc/PID/mountinfo and /proc/PID/cgroup."""
    memberships = _memberships()
    found: dict[frozenset[str] | int, Hierarchy] = {}
    for line in Path("/proc/thread-self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        _, _, _, root, mount_point, *_ = before.split(" ")
        fstype, _, super_options = after.split(" ", 2)
        if fstype not in ("cgroup", "cgroup2"):
            continue
        if fstype == "cgroup2":
            membership = memberships.get(frozenset(), "/")
            offered = frozenset((Path(mount_point) / "cgroup.controllers").read_text().split())
            key: frozenset[str] | int = 2
        else:
            offered = frozenset(
                option
                for option in super_options.split(",")
                if option not in _IGNORED_V1_OPTIONS and not option.startswith("release_agent=")
            )
            membership = memberships.get(offered, "/")
            key = offered
        own = Path(mount_point) / os.path.relpath(membership, root)
        hierarchy = Hierarchy(
            mount_point=Path(mount_point), version=2 if key == 2 else 1, controllers=offered, own=own.resolve()
        )
        found[key] = hierarchy
    return tuple(found.values())


def _memberships() -> dict[frozenset[str], str]:
    """Return the reading process's path in each hierarchy, by its set of controllers; v2 has the empty set."""
    lines = Path("/proc/thread-self/cgroup").read_text().splitlines()
    fields = (line.split(":", 2) for line in lines)
    return {frozenset(controllers.split(",")) - {""}: path for _, controllers, path in fields}


def groups_below(directory: Path) -> Iterator[Path]:
    """Yield the groups below directory, deepest first; a group that vanishes meanwhile is passed over."""
    with contextlib.suppress(FileNotFoundError, OSError):
        for child in sorted(each for each in directory.iterdir() if each.is_dir()):
            yield from groups_below(child)
            yield child


def remove_tree(directory: Path) -> None:
    """Remove a group and all below it; all of them must be empty of processes."""
    for group in groups_below(directory):
        group.rmdir()
    directory.rmdir()


def thaw(group: Path) -> None:
    """Let frozen processes of a group run, so that a signal ends them; where nothing can be frozen, do nothing."""
    for name, value in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
        with contextlib.suppress(OSError):
            (group / name).write_text(value)


def enable_all_controllers(directory: Path) -> None:
    """Let the children of a v2 group have every controller the group has; what cannot be enabled stays off."""
    for controller in (directory / "cgroup.controllers").read_text().split():
        with contextlib.suppress(OSError):
            (directory / "cgroup.subtree_control").write_text(f"+{controller}")


def fill_cpuset(directory: Path) -> None:
    """Give a new v1 cpuset group its parent's processors and memory nodes; without them no process may enter."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if (directory / name).exists():
            (directory / name).write_text((directory.parent / name).read_text())
