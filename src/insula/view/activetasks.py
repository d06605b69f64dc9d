"""How many tasks of a guest run or wait uninterruptibly: what its load averages are made of.

On v1 the kernel counts a group's tasks itself (`kernel.taskstats`), at the cost of one question. On v2 nobody does: the
threads of the guest's groups are looked at one by one, at most `MOST` of them in at most `GROUPS` groups, and not at
all if the group has used no processor and waited for no device since the last sample, as an idle guest's has. Of a
guest with more groups each sample looks into the next ones; what is found there stands for all.
"""

import os
from dataclasses import dataclass

from insula.kernel.taskstats import CgroupStats
from insula.view.groupfiles import GroupFiles

MOST = 512
"""Threads that are looked at for one sample; of more, these stand for all."""
GROUPS = 128
"""Groups of a guest's that are looked into for one sample: more than systemd makes for fifty services."""
_AWAKE = 2_000
"""Microseconds of processor time between two samples: who used less was running at the sample once in 2500 times."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ActiveTasks:
    """newest: the highest pid on the host that was seen, 0 if none was."""

    running: int
    waiting: int
    newest: int = 0


class TaskCount:
    """Counts the active tasks of one guest, time and again."""

    def __init__(self, files: GroupFiles, stats: CgroupStats | None) -> None:
        self._files = files
        self._stats = stats
        self._used = -1
        self._stalled: int | None = None
        self._last = ActiveTasks(running=0, waiting=0)
        self._ahead: list[str] = []
        """Groups that the next sample begins with; none: with the uppermost."""

    def count(self) -> ActiveTasks:
        """Return them now. Raises: OSError."""
        group = self._files.v1_with_tasks
        if group is not None and self._stats is not None:
            states = self._stats.states(group)
            return ActiveTasks(running=states.running, waiting=states.waiting, newest=_newest(group))
        if self._sleeps():
            return ActiveTasks(running=0, waiting=0)
        if group is not None:
            threads, total = _threads(group), 0
        else:
            threads, total = self._threads_in_turn()
        # Groups without any thread say nothing of the others.
        self._last = _looked_at(threads, max(total, len(threads))) if threads or not total else self._last
        return self._last

    def _threads_in_turn(self) -> tuple[list[int], int]:
        """Return threads in the groups whose turn it is, and how many there are in all if that is not known by these,
        else 0."""
        top = self._files.v2
        if top is None:
            return [], 0
        whole = not self._ahead
        waiting = self._ahead or [top]
        threads: list[int] = []
        for _ in range(GROUPS):
            if not waiting:
                break
            group = waiting.pop()
            threads += _threads(group)
            waiting += _groups_in(group)
        self._ahead = waiting
        return threads, 0 if whole and not waiting else self._files.tasks()

    def _sleeps(self) -> bool:
        """Whether nothing has run since the last time, and nothing waited then or does now."""
        used, stalled = self._files.times().whole // 1000, self._files.stalled()
        quiet = self._used >= 0 and used - self._used < _AWAKE and stalled is not None and stalled == self._stalled
        self._used, self._stalled = used, stalled
        return quiet and not self._last.waiting


def _newest(group: str) -> int:
    try:
        fd = os.open(f"{group}/cgroup.procs", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        pids = os.read(fd, 1 << 16).split()
    finally:
        os.close(fd)
    return max(map(int, pids), default=0)


def _groups_in(group: str) -> list[str]:
    """Return the groups right in a v2 group, none if it is gone."""
    try:
        with os.scandir(group) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _looked_at(threads: list[int], total: int) -> ActiveTasks:
    """Return how many of total threads are active, by the first of these."""
    running = waiting = 0
    looked = threads[:MOST]
    for thread in looked:
        state = _state(thread)
        running += state == b"R"
        waiting += state == b"D"
    if total > len(looked) > 0:
        running, waiting = (-(-each * total // len(looked)) for each in (running, waiting))
    return ActiveTasks(running=running, waiting=waiting, newest=max(threads, default=0))


def _threads(group: str) -> list[int]:
    for name in ("cgroup.threads", "tasks"):
        try:
            fd = os.open(f"{group}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            text = more = os.read(fd, 1 << 16)
            while more:
                more = os.read(fd, 1 << 16)
                text += more
        except OSError:
            return []  # a group that is gone, or one of threads whose processes stand above it
        finally:
            os.close(fd)
        return [int(each) for each in text.split() if each != b"0"]
    return []


def _state(thread: int) -> bytes:
    try:
        fd = os.open(f"/proc/{thread}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        text = os.read(fd, 512)
    except OSError:
        return b""
    finally:
        os.close(fd)
    _, _, rest = text.rpartition(b") ")
    return rest[:1]
