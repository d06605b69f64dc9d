"""What a test may not leave behind, as two snapshots and their difference.

A snapshot is a set of `Thing`s: mounts, cgroups, processes, links, named network namespaces, loop devices, file
descriptors of the test process, lines of the subordinate id files, keys, and files at Insula's own system places.
The enclosure makes most of them ours by construction; where the host is shared, only what is recognizably ours counts.
"""

import contextlib
import gc
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests import cgrouptree, libc
from tests.enclosure import LEAF, Reach, reach
from tests.trees import everything_below
from tests.waiting import patience, scaled

GRACE = 4.0
"""Seconds, on a usual host, that the kernel and the daemons are given to finish what they tear down."""

SYSTEM_PLACES = (
    "/run/insula",
    "/run/libvirt",
    "/etc/insula",
    "/var/lib/insula",
    "/var/log/insula",
    "/var/cache/insula",
)
"""Where an installation without a prefix keeps its files (insula.layout): tests never write there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Thing:
    """One thing that can leak.

    kind: a word for the message; name, detail: what tells it from others; words: what else readers are told, which may
    change while the thing is the same, as a process's words do when it executes.
    """

    kind: str
    name: str
    detail: str = ""
    words: str = field(default="", compare=False)

    def __str__(self) -> str:
        told = ": ".join(filter(None, (self.detail, self.words)))
        return f"{self.kind} {self.name}" + (f" ({told})" if told else "")


Snapshot = frozenset[Thing]


def snapshot() -> Snapshot:
    """Return what is there now, for the test process and its enclosure."""
    return frozenset((*namespace_things(), *_processes(), *_cgroups(), *_loops(), *_descriptors(), *_files(), *_keys()))


def namespace_things() -> Snapshot:
    """Return the mounts and links of the calling thread's namespaces: a test host is looked at from inside."""
    return frozenset((*_mounts(), *_links(), *_named_networks()))


def left_behind(before: Snapshot, look: Callable[[], Snapshot] = snapshot, seconds: float = GRACE) -> list[Thing]:
    """Return what is there beyond `before`, once it is gone or the grace (scaled) is over."""
    deadline = time.monotonic() + patience(seconds)
    pause = 0.005
    while True:
        _reap(before)
        extra = look() - before
        if not extra or time.monotonic() > deadline:
            return sorted(extra, key=str)
        gc.collect()
        time.sleep(pause)
        pause = min(pause * 2, 0.2)


def clean_up(things: list[Thing]) -> None:
    """Remove leaked processes, mounts and groups, so that the next test is judged by what it does itself."""
    for thing in things:
        if thing.kind == "process":
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(thing.name), signal.SIGKILL)
    for thing in sorted(things, key=lambda each: len(each.name), reverse=True):
        with contextlib.suppress(OSError):
            if thing.kind == "mount":
                libc.unmount(thing.name, lazily=True)
            elif thing.kind == "cgroup":
                _empty_group(Path(thing.name))


def _empty_group(group: Path) -> None:
    """Thaw and remove a group; its processes have been killed, and a frozen v1 one dies only after the thaw."""
    cgrouptree.thaw(group)
    deadline = time.monotonic() + scaled(1)
    while time.monotonic() < deadline:
        try:
            group.rmdir()
        except OSError:
            _reap(frozenset())
            time.sleep(0.01)
        else:
            return


def _mounts() -> Iterator[Thing]:
    for line in Path("/proc/thread-self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        yield Thing(kind="mount", name=fields[4], detail=f"{after.split(' ')[0]}, mount id {fields[0]}")


def _links() -> Iterator[Thing]:
    for line in Path("/proc/thread-self/net/dev").read_text().splitlines()[2:]:
        yield Thing(kind="link", name=line.partition(":")[0].strip())


def _named_networks() -> Iterator[Thing]:
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir("/run/netns"):
            yield Thing(kind="named network namespace", name=name)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Process:
    pid: int
    parent: int
    state: str
    started: str
    command: str


def _all_processes() -> Iterator[_Process]:
    """Yield every process. Source: proc_pid_stat(5); its name may hold spaces and brackets."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                stat = Path("/proc", entry, "stat").read_text()
                name, _, rest = stat.partition("(")[2].rpartition(")")
                fields = rest.split()
                words = (
                    Path("/proc", entry, "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                )
                yield _Process(
                    pid=int(entry), parent=int(fields[1]), state=fields[0], started=fields[19], command=words or name
                )


def descendants() -> list[_Process]:
    """Return all descendants of the test process, which is their sub-reaper: nobody escapes by forking twice."""
    children: dict[int, list[_Process]] = {}
    for process in _all_processes():
        children.setdefault(process.parent, []).append(process)
    found: list[_Process] = []
    unseen = [os.getpid()]
    while unseen:
        below = children.get(unseen.pop(), [])
        found += below
        unseen += [process.pid for process in below]
    return found


def is_gone(pid: int) -> bool:
    """Return whether no process has this pid any more, an ended one that nobody has collected not counted."""
    return all(process.pid != pid or process.state == "Z" for process in _all_processes())


def _processes() -> Iterator[Thing]:
    for process in descendants():
        began = f"began at {process.started}"
        yield Thing(kind="process", name=str(process.pid), detail=began, words=process.command[:120])


def _reap(before: Snapshot) -> None:
    """Collect orphans that became our children and have ended; those that were there before belong to somebody."""
    known = {thing.name for thing in before if thing.kind == "process"}
    for process in descendants():
        if process.state == "Z" and process.parent == os.getpid() and str(process.pid) not in known:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process.pid, os.WNOHANG)


def _cgroups() -> Iterator[Thing]:
    """Yield the groups that tests made: all in a world of ours; on a systemd host those below machine.slice.

    A slice itself may stay: it belongs to everybody, like a directory.
    """
    alone = reach() is not Reach.NOTHING
    for hierarchy in cgrouptree.hierarchies():
        top = hierarchy.mount_point if alone else hierarchy.mount_point / "machine.slice"
        for group in cgrouptree.groups_below(top):
            if group.suffix != ".slice" and (hierarchy.mount_point / LEAF) not in (group, *group.parents):
                yield Thing(kind="cgroup", name=str(group))


def _loops() -> Iterator[Thing]:
    """Yield loop devices over files of this session: other sessions and users of the host attach theirs meanwhile."""
    for device in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            backing = device.read_text().strip()
            if backing.startswith(f"/var/tmp/it-{os.getpid()}-"):
                yield Thing(kind="loop device", name=device.parent.parent.name, detail=backing)


_KEPT = ("/memfd:insula-entering", "anon_inode:bpf-prog")
"""What the engine of a whole module keeps for those who enter or start next: how much is bounded, and tested there."""


def _descriptors() -> Iterator[Thing]:
    """Yield the test process's descriptors but the standard three, which the test runner's capture replaces."""
    listing = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY)
    try:
        for entry in os.listdir(listing):
            if int(entry) not in (0, 1, 2, listing):
                with contextlib.suppress(FileNotFoundError):
                    detail = os.readlink(f"/proc/self/fd/{entry}")
                    if not detail.startswith(_KEPT):
                        yield Thing(kind="file descriptor", name=entry, detail=detail)
    finally:
        os.close(listing)


def _files() -> Iterator[Thing]:
    for place in map(Path, SYSTEM_PLACES):
        if place.is_dir():
            yield from (Thing(kind="file", name=str(path)) for path in everything_below(place))
    for table in ("/etc/subuid", "/etc/subgid"):
        with contextlib.suppress(FileNotFoundError):
            for line in Path(table).read_text().splitlines():
                yield Thing(kind="subordinate id range", name=line, detail=table)


def _keys() -> Iterator[Thing]:
    """Yield users that own keys and are nobody outside user namespaces. Only where the host is ours alone."""
    if reach() is Reach.EVERYTHING:
        return
    with contextlib.suppress(FileNotFoundError):
        for line in Path("/proc/key-users").read_text().splitlines():
            uid = line.partition(":")[0].strip()
            if int(uid) > 65535:
                yield Thing(kind="keyring of user", name=uid)
