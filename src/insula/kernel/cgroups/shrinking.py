"""Freeing memory of a group that is in use, until it fits a lower limit; nothing is killed for it.

A v1 group refuses a limit that its memory does not shrink to. A v2 group takes any, and kills until what is left fits:
memory.max is therefore written only once the group is seen to fit. A write to memory.reclaim frees without stopping
anybody, one to memory.high frees as much as one to memory.max would, stops programs that take more, and kills nothing.
Callers keep what was, for a process that is killed meanwhile. Source: kernel document `admin-guide/cgroup-v2`;
`memory_high_write` and `memory_max_write` in the kernel's memcontrol.c.
"""

import errno
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from insula.kernel.cgroups import files
from insula.kernel.cgroups.heldlimits import busy

_PAGE = os.sysconf("SC_PAGE_SIZE")
_SLACK = 16
_FIRST_REST = 0.02
_STALLED_MOST = 0.1
"""Share of the time for which a group's programs may all wait for memory before they get a rest."""


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def _ignore(used: int) -> None:
    """Nobody looks on."""


def _never() -> float:
    """Stalls are not accounted."""
    return 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """How memory is freed.

    step: the most bytes that are asked for at once, None: all; seconds: how long it may take, None: as long as
    something is freed; vain: how many rounds in a row may free nothing; longest_rest: seconds between two rounds.
    rest: waits so many seconds, and returns whether to give up; tell: is told the bytes in use before each round, and
    may raise; stalled: returns for how many seconds in all every program of the group waited for memory.
    """

    step: int | None = None
    seconds: float | None = 5.0
    vain: int = 3
    longest_rest: float = _FIRST_REST
    rest: Callable[[float], bool] = _sleep
    tell: Callable[[int], None] = _ignore
    stalled: Callable[[], float] = _never


AT_ONCE = Course()
"""All in a few seconds, or not at all."""


class Shrinkable(Protocol):
    """What of a group is needed to free its memory: bytes."""

    def used(self) -> int: ...

    def squeeze(self, size: int) -> None:
        """Free memory until no more than size is in use, as far as it goes, and keep it from being taken again."""

    def come_back(self) -> int:
        """Return how much of what was freed has been needed again since the group was made."""


class Shrinking(Protocol):
    """A group whose memory is being freed for a lower limit. It is ended by whoever began it, whatever happens."""

    def shrink(self, course: Course) -> None:
        """Free memory until no more than the limit is in use, and keep it so.

        Raises: OSError(EBUSY) if it does not shrink to that, OSError(ECANCELED) if course gives up; what course.tell
        raises.
        """

    def end(self, *, limited: bool) -> None:
        """Let the group take memory again: limited: up to the limit, which was set meanwhile; else as before it all."""


def shrink(group: Shrinkable, limit: int, goal: int, course: Course, path: str) -> None:
    """Free memory until no more than limit is in use, by squeezing towards goal, which is no more than that.

    A group that needs again what was freed, or whose programs stand still for memory, gets longer and longer rests.
    path: of the limit, for messages. Raises: as `Shrinking.shrink`.
    """
    deadline = None if course.seconds is None else time.monotonic() + course.seconds
    used = lowest = group.used()
    vain, rest = 0, 0.0
    while True:
        course.tell(used)
        before, came, stalled, since = used, group.come_back(), course.stalled(), time.monotonic()
        group.squeeze(goal if course.step is None else max(goal, used - course.step))
        used = group.used()
        if used <= limit:
            course.tell(used)
            return
        vain = 0 if used < lowest else vain + 1
        lowest = min(lowest, used)
        if vain > course.vain or (deadline is not None and time.monotonic() > deadline):
            raise busy(path, limit, used)
        if course.rest(rest):
            raise OSError(errno.ECANCELED, "given up", path)
        standing = (course.stalled() - stalled) / max(time.monotonic() - since, 1e-6)
        needed_again = group.come_back() - came > max(0, before - used) // 2
        rest = _next_rest(rest, course) if vain or needed_again or standing > _STALLED_MOST else 0.0


def _next_rest(rest: float, course: Course) -> float:
    return min(course.longest_rest, max(_FIRST_REST, 2 * rest))


class V2Shrinking:
    """Memory of a v2 group that is being freed for a lower memory.max: memory.high is lowered meanwhile."""

    def __init__(self, directory: str, limit: int) -> None:
        self._directory = directory
        self._limit = limit
        self._high_path = f"{directory}/memory.high"
        self._before = files.read(self._high_path)
        self._held = files.number(self._before)
        # Programs that take memory all the time make the group's use hover around memory.high, and a little above it.
        goal = limit - limit // _SLACK
        self._goal = goal if self._held is None else min(goal, self._held)
        self._lowered = False

    def shrink(self, course: Course) -> None:
        shrink(self, self._limit, self._goal, course, f"{self._directory}/memory.max")

    def used(self) -> int:
        return int(files.read(f"{self._directory}/memory.current"))

    def squeeze(self, size: int) -> None:
        excess = self.used() - size
        if excess > 0:
            try:
                files.write_if_there(f"{self._directory}/memory.reclaim", str(excess))
            except OSError as error:
                if error.errno != errno.EAGAIN:  # less was freed than asked for
                    raise
        high = size if self._held is None else min(size, self._held)
        files.write(self._high_path, str(high))
        self._lowered = True

    def come_back(self) -> int:
        return refaulted(self._directory)

    def end(self, *, limited: bool) -> None:
        if self._lowered:
            files.write(self._high_path, self._before)


def lower(directory: str, limit: int) -> None:
    """Set memory.max of a v2 group to limit (bytes), below what it is now, without anything being killed for it.

    memory.high is lowered meanwhile, and put back before returning.

    Raises: OSError(EBUSY) if what is in use does not shrink to limit; every limit is as it was then.
    """
    if not int(files.read(f"{directory}/memory.current")):
        files.write(f"{directory}/memory.max", str(limit))
        return
    shrinking = V2Shrinking(directory, limit)
    limited = False
    try:
        shrinking.shrink(AT_ONCE)
        files.write(f"{directory}/memory.max", str(limit))
        limited = True
    finally:
        shrinking.end(limited=limited)


def refaulted(directory: str, prefix: str = "") -> int:
    """Return how many bytes of what was freed a group has needed again. prefix: of the lines that count all below."""
    stat = files.flat_keyed(files.read_if_there(f"{directory}/memory.stat") or "")
    return sum(stat.get(f"{prefix}workingset_refault_{kind}", 0) for kind in ("anon", "file")) * _PAGE
