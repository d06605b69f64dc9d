"""The control group of the guest that a crashed process is of, which takes what its core costs: joined before all else.

Who takes a core is one of few at once for each guest (its *places*), and stands in a group of its own that the guest
neither sees nor freezes, beside what that sees as the root of all: `SCOPE/insula.crash`. It is under the guest's limits
there, and the first to be killed for want of memory. It goes with the guest's group.
It imports nothing but what an interpreter has anyway: what is done before this, at each crash, is the host's to pay.
Sources: cgroups(7), proc_pid_mountinfo(5), proc_pid_oom_score_adj(5).
"""

import fcntl
import os

LEAF = "insula.crash"
_OOM_SCORE = "/proc/self/oom_score_adj"
_MOUNTINFO = "/proc/self/mountinfo"
_FACTS = "trusted.insula.guest"
"""As in `kernel.cgroups.labels`."""
_PLACES = (
    *("cgroup.procs", "cgroup.threads", "cgroup.events", "cgroup.controllers"),
    *("tasks", "notify_on_release", "cgroup.clone_children"),
)
"""Files of a guest's group of which one is locked by each core: four on either version. The kernel runs few programs
like this one at once (kernel.core_pipe_limit): a guest that crashes without end is not to have them all."""


class NoPlaceError(Exception):
    """A guest's core finds no place, or its group cannot be joined: it is dropped, at no further cost."""


def join_group(pid: int) -> int | None:
    """Join the group of the guest that a process is of; return what holds its place, None if it is no guest's.

    The caller keeps it open until the core is kept or dropped.
    Raises: NoPlaceError; OSError if the process is gone.
    """
    mounts = _mounts()
    groups = _groups(pid)
    found = _scope(mounts, groups)
    if found is None:
        return None
    top, path = found
    place = _place(f"{top}/{path}")
    if place is None:
        raise NoPlaceError("other cores of its guest are being kept")
    try:
        _enter(mounts, path)
    except OSError as error:
        os.close(place)
        raise NoPlaceError(f"the group of its guest cannot be joined: {error}") from error
    return place


def _mounts() -> dict[str, str]:
    """Return where hierarchies are mounted whole, by their controllers; those of "" are v2's."""
    found: dict[str, str] = {}
    with open(_MOUNTINFO, encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields, _, rest = line.rstrip("\n").partition(" - ")
            kind, _, options = rest.split(" ", 2)
            root, point = fields.split(" ")[3:5]
            if root == "/" and kind == "cgroup2":
                found.setdefault("", point)
            elif root == "/" and kind == "cgroup" and (controllers := _controllers(options)):
                found.setdefault(controllers, point)
    return found


def _controllers(words: str) -> str:
    """Return the controllers among these words, in one order; none for v2, and for hierarchies that have but a name."""
    return ",".join(sorted(_KINDS.intersection(words.split(","))))


_KINDS = frozenset(
    (
        *("cpuset", "cpu", "cpuacct", "blkio", "memory", "devices", "freezer", "net_cls", "perf_event", "net_prio"),
        *("hugetlb", "pids", "rdma", "misc", "debug"),
    )
)


def _groups(pid: int) -> dict[str, str]:
    return _read_groups(f"/proc/{pid}/cgroup")


def _read_groups(path: str) -> dict[str, str]:
    """Return the paths of groups that a file tells of, by their hierarchies' controllers as `_mounts` has them."""
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        lines = [line.rstrip("\n").split(":", 2) for line in file]
    return {_controllers(words): group.strip("/") for _, words, group in lines if not words or _controllers(words)}


def _scope(mounts: dict[str, str], groups: dict[str, str]) -> tuple[str, str] | None:
    """Return where the outermost group is that tells of a guest: its hierarchy's mount, and its path there."""
    for controllers, path in groups.items():
        top = mounts.get(controllers)
        parts = path.split("/")
        for length in range(1, len(parts) + 1 if top is not None else 0):
            scope = "/".join(parts[:length])
            try:
                os.getxattr(f"{top}/{scope}", _FACTS)
            except OSError:
                continue
            return f"{top}", scope
    return None


def _place(directory: str) -> int | None:
    """Return what holds one of a guest's few places, None if all are taken."""
    for name in _PLACES:
        try:
            place = os.open(f"{directory}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(place)
            continue
        return place
    return None


def _enter(mounts: dict[str, str], path: str) -> None:
    """Raises: OSError; the process may be in some groups then."""
    with open(_OOM_SCORE, "w") as file:
        file.write("1000")
    for controllers, mount in mounts.items():
        scope = f"{mount}/{path}"
        if not controllers:
            leaf = f"{scope}/{LEAF}"
            if not os.path.isdir(leaf):
                _make(leaf)
            _write(f"{leaf}/cgroup.procs")
        elif os.path.isdir(scope):
            _write(f"{scope}/tasks")


def _make(leaf: str) -> None:
    try:
        os.mkdir(leaf, 0o755)
    except FileExistsError:  # another core was faster
        return


def _write(path: str) -> None:
    """Move the one thread of this process. Source: kernel document `admin-guide/cgroup-v1/cgroups`."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, b"0")
    finally:
        os.close(fd)
