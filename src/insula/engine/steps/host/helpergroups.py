"""The control group of a guest's helpers: beside the guest's own, which it neither sees nor is limited by.

What they take is accounted there. Below a scope of systemd's it ends with the scope; elsewhere it is held.
"""

from functools import partial

from insula.engine.interfaceperformer import HelperPlace
from insula.engine.launch.readyscopes import IN_SCOPE
from insula.kernel.cgroups import Cgroup, set_maker

_NAME = "helpers"
_MEMORY = 512 << 20
_TASKS = 64
"""Bytes and tasks of all helpers of a guest: enough for thousands of connections, and no matter for the host."""


def in_scope(group: str) -> bool:
    """Whether a guest's group, by its path, is below a scope of systemd's."""
    above, _, name = group.rpartition("/")
    return name == IN_SCOPE and above.endswith(".scope")


def group_beside(group: str) -> str:
    """Return the path of the group of a guest's helpers. group: the guest's."""
    return f"{group.rpartition('/')[0]}/{_NAME}" if in_scope(group) else f"{group}.{_NAME}"


def helper_place(group: Cgroup, launch: str) -> HelperPlace:
    """Return where helpers of a guest begin. group, launch: the guest's."""
    return HelperPlace(launch=launch, enter=partial(_enter, group, launch))


def _enter(guest: Cgroup, launch: str, pid: int) -> None:
    """Put a process into the group of a guest's helpers, which is made for the first of them. Raises: OSError."""
    group = Cgroup(guest.hierarchies, group_beside(guest.path))
    if not group.exists():
        if in_scope(guest.path):
            group = Cgroup.lay_out(guest.hierarchies, group.path)
        else:
            group = Cgroup.create(guest.hierarchies, group.path)
        set_maker(group, launch)
        _limit(group)
    group.enter(pid)


def _limit(group: Cgroup) -> None:
    """Limit what the host has a controller for."""
    if group.directory("memory") is not None:
        group.memory.limit(_MEMORY, _MEMORY)
    if group.directory("pids") is not None:
        group.tasks.limit(_TASKS)
