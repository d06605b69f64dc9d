"""The content of all guests' views: a `ViewedContent`.

What it needs of the host that the view leaves behind, it opens at once: the host's kernel log, a question to the kernel
about tasks, a timer. Without one of them, the others serve.
"""

import logging
import os
import time
from collections import deque
from collections.abc import Sequence

from insula.kernel.fds import Fd
from insula.kernel.taskstats import CgroupStats
from insula.kernel.timers import TimerDescriptor
from insula.view.guestlog import GuestLog
from insula.view.hostmachine import HostMachine
from insula.view.keptcells import KeptCells
from insula.view.killrecords import HostRecord, KillRecords, host_record
from insula.view.machinetree import GuestMachine, MachineTree, inner_pid
from insula.view.messagering import MessageRing
from insula.view.viewedfiles import ViewedGuest, ViewedTree

logger = logging.getLogger(__name__)

KERNEL_LOG = "/dev/kmsg"
_RECORD = 8192
_AT_ONCE = 2000
"""Records of the host's that are read in one go."""
_REMEMBERED = 512
"""Records about kills of which guests that are shown later, by a view that took over, are told."""
_TOGETHER = 100_000_000
"""Nanoseconds: guests whose samples are due within these are sampled together."""
_AT_A_TIME = 20_000_000
"""Nanoseconds of processor time after which samples make room for readers, until `_TOGETHER` has passed."""


class MachineContent:
    """Makes the trees, samples guests' loads, and tells guests what the host's kernel log says of them."""

    def __init__(self, host: HostMachine | None = None, kernel_log: str = KERNEL_LOG) -> None:
        self._host = HostMachine() if host is None else host
        self._trees: dict[str, MachineTree] = {}
        """By launch."""
        self._kills = KillRecords(inner_pid)
        self._former: deque[HostRecord] = deque(maxlen=_REMEMBERED)
        self._last = 0
        """The sequence of the host's record that was read last."""
        self._timer = TimerDescriptor()
        self._stats = _task_statistics()
        self._log = _opened(kernel_log)
        if self._log is not None:
            self._read_log(self._log)

    def tree(self, guest: ViewedGuest, kept: int | None) -> ViewedTree:
        cells = KeptCells(kept)
        machine = GuestMachine(guest, self._host, cells, self._stats)
        tree = MachineTree(machine, cells, GuestLog(guest, MessageRing(cells.log)), self._forget)
        self._trees[guest.launch] = tree
        self._catch_up(tree)
        self._rest()
        return tree

    def wakes(self) -> Sequence[int]:
        return (self._timer.fd,) if self._log is None else (self._timer.fd, self._log)

    def stirred(self, descriptor: int) -> Sequence[ViewedTree]:
        if descriptor == self._timer.fd:
            self._timer.take()
            self._sample()
            return ()
        return () if self._log is None else self._tell(self._read_log(self._log))

    def close(self) -> None:
        self._timer.close()
        if self._stats is not None:
            self._stats.close()
        if self._log is not None:
            os.close(self._log)

    def _forget(self, tree: MachineTree) -> None:
        if self._trees.get(tree.machine.guest.launch) is tree:
            del self._trees[tree.machine.guest.launch]

    # Loads

    def _sample(self) -> None:
        soon = time.clock_gettime_ns(time.CLOCK_BOOTTIME) + _TOGETHER
        end = time.thread_time_ns() + _AT_A_TIME
        due = [tree.machine for tree in self._trees.values() if tree.machine.sample_due <= soon]
        for machine in sorted(due, key=lambda each: each.sample_due):
            machine.sample_load()
            if time.thread_time_ns() >= end:
                break  # the others are due still, and readers come first
        self._rest()

    def _rest(self) -> None:
        """Wait for whose sample is due next."""
        due = min((tree.machine.sample_due for tree in self._trees.values()), default=0)
        now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        self._timer.set(max(due, now + _TOGETHER) if self._trees else 0)

    # The host's kernel log

    def _read_log(self, log: Fd) -> list[HostRecord]:
        """Return new records about kills."""
        found: list[HostRecord] = []
        for _ in range(_AT_ONCE):
            try:
                record = host_record(os.read(log, _RECORD))
            except BlockingIOError:
                break
            except BrokenPipeError:
                continue  # records that were overwritten before they were read
            except OSError as error:
                logger.warning("the host's kernel log cannot be read: %s", error)
                break
            if record is not None:
                self._last = record.sequence
                if "oom" in record.text or "Killed process" in record.text:
                    found.append(record)
        self._former.extend(found)
        return found

    def _tell(self, records: Sequence[HostRecord]) -> Sequence[ViewedTree]:
        told: list[ViewedTree] = []
        guests = [tree.machine.guest for tree in self._trees.values()] if records else []
        for record in records:
            kill = self._kills.take(record, guests)
            tree = None if kill is None else self._trees.get(kill.launch)
            if kill is not None and tree is not None:
                tree.log.tell(kill.text, priority=kill.priority)
                tree.kept.host_sequence = kill.sequence + 1
                told.append(tree)
        return told

    def _catch_up(self, tree: MachineTree) -> None:
        """Tell a guest what the host's log had for it while no view was there; for a new one, begin from now on."""
        if not tree.kept.host_sequence:
            tree.kept.host_sequence = self._last + 1
            return
        since = tree.kept.host_sequence
        self._tell([each for each in self._former if each.sequence >= since])


def _opened(path: str) -> Fd | None:
    """Open the host's kernel log at its beginning; None where it may not be read."""
    try:
        return Fd(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        logger.warning("guests' logs will not tell whom the kernel kills: %s", error)
        return None


def _task_statistics() -> CgroupStats | None:
    try:
        return CgroupStats()
    except OSError:
        return None  # tasks are looked at one by one
