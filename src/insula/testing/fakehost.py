"""A host without a kernel: processes, control groups and a keeper that exist in this process's memory only.

It outlives every engine that works on it, as a host outlives daemons. What the kernel would answer with an error, or
take its time for, is decided by `before` and `later`.
"""

import os
import select
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from insula.kernel.fds import NO_FD, Fd
from insula.testing.fakegroups import FakeGroup
from insula.testing.fakekeeper import FakeKeeper

FIRST_PID = 1 << 22
"""No real process has such a pid, or a higher one. Source: proc_sys_kernel(5), pid_max."""
KILLED = 9
"""A wait status: ended by SIGKILL."""


@dataclass(kw_only=True, slots=True, eq=False)
class FakeProcess:
    """A guest's init, or what was put into a guest. born: its start time in ticks; executed: its program runs; status:
    as wait(2) has it, None while it lives; ending: readable once it has ended, as a pidfd is; channel: where a held one
    waits to be told; execution: the id of one that was put in, None for init."""

    pid: int
    born: int
    uuid: str
    launch: str | None
    group: str
    ending: Fd
    executed: bool = False
    status: int | None = None
    channel: Fd = NO_FD
    execution: str | None = None

    @property
    def is_guest(self) -> bool:
        """Whether it is an init whose program runs, or waits for nothing but a word to run."""
        return self.execution is None and (self.executed or self.channel >= 0)

    @property
    def lives(self) -> bool:
        return self.status is None


@dataclass(kw_only=True, slots=True, eq=False)
class FakeHost:
    """before: called with what is about to be changed ("make group …", "clone …", "execute …"), and may raise OSError,
    then it has not happened; later: called with what the kernel does by itself, which it does at once if not said
    otherwise; after: called with what happens once so many seconds have gone by, which is never if not said otherwise.
    """

    boot: str = "00000000-0000-0000-0000-000000000001"
    before: Callable[[str], None] = lambda _: None
    later: Callable[[Callable[[], None]], None] = lambda work: work()
    after: Callable[[float, Callable[[], None]], None] = lambda seconds, work: None
    processes: dict[int, FakeProcess] = field(default_factory=dict)
    groups: dict[str, FakeGroup] = field(default_factory=dict)
    keeper: FakeKeeper | None = None
    ended: dict[tuple[int, int], int] = field(default_factory=dict)
    """How processes ended, by pid and start: what the reaper above the keeper remembers until it is told to forget."""
    entered: list[FakeProcess] = field(default_factory=list)
    """All that were ever put into guests, the oldest first."""
    _unreaped: list[FakeProcess] = field(default_factory=list)
    _pids: int = 0
    _launches: int = 0

    def next_launch(self) -> str:
        """Return a name that no launch has had."""
        self._launches += 1
        return f"{self._launches:016x}"

    # Processes

    def clone(self, *, uuid: str, launch: str | None, group: str) -> FakeProcess:
        """Return a new process that has not executed anything. Raises: OSError."""
        self.before(f"clone {uuid}")
        return self._born(uuid, launch, group)

    def enter(self, uuid: str, execution: str) -> FakeProcess:
        """Return a new process in a guest, likewise. Raises: OSError."""
        self.before(f"clone {execution}")
        init = self.guests().get(uuid)
        if init is None:
            raise OSError(12, "Cannot allocate memory", uuid)  # of a pid namespace whose init is dead: clone(2)
        process = self._born(uuid, init.launch, init.group, execution)
        self.entered.append(process)
        return process

    def _born(self, uuid: str, launch: str | None, group: str, execution: str | None = None) -> FakeProcess:
        if group not in self.groups:
            raise FileNotFoundError(2, "No such file or directory", group)
        self._pids += 1
        process = FakeProcess(
            pid=FIRST_PID + self._pids,
            born=self._pids,
            uuid=uuid,
            launch=launch,
            group=group,
            ending=Fd(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)),
            execution=execution,
        )
        self.processes[process.pid] = process
        self._unreaped.append(process)
        self.groups[group].inside.append(process.pid)
        return process

    def end(self, process: FakeProcess, status: int) -> None:
        """Let a process end, an init with all that was put into its guest; whoever holds a pidfd sees that, and the
        keeper tells."""
        if not process.lives:
            return
        if process.execution is None:
            for each in self.inside(process.uuid) if len(self.groups[process.group].inside) > 1 else ():
                if each.group == process.group:
                    self.end(each, KILLED)
        process.status = status
        os.eventfd_write(process.ending, 1)
        self.groups[process.group].inside.remove(process.pid)
        self.ended[process.pid, process.born] = status
        if process.channel >= 0:
            os.close(process.channel)
            process.channel = NO_FD
        del self.processes[process.pid]
        self.later(lambda: self._reaped(process))

    def kill(self, process: FakeProcess) -> None:
        """Send a process SIGKILL. Raises: OSError."""
        self.before(f"kill {process.pid}")
        self.end(process, KILLED)

    def _reaped(self, process: FakeProcess) -> None:
        if self.keeper is not None:
            self.keeper.process_ended(process.pid, process.born)
        self._unreaped.remove(process)
        os.close(process.ending)

    def pidfd_of(self, process: FakeProcess) -> Fd:
        """Return a descriptor that can be read once the process has ended; the caller closes it."""
        return Fd(os.dup(process.ending))

    def opened(self, pid: int) -> Fd:
        """Return a process's pidfd, as `pidfd_of`. Raises: ProcessLookupError."""
        if pid not in self.processes:
            raise ProcessLookupError(pid)
        return self.pidfd_of(self.processes[pid])

    def guests(self) -> dict[str, FakeProcess]:
        """Return the guests that live, by UUID: those whose program runs, or waits for nothing but a word to run."""
        return {each.uuid: each for each in self.processes.values() if each.is_guest}

    def inside(self, uuid: str) -> list[FakeProcess]:
        """Return the processes that were put into a guest and live, whether they have executed their program or not."""
        return [each for each in self.processes.values() if each.execution is not None and each.uuid == uuid]

    def hold(self, process: FakeProcess) -> Fd:
        """Let a process wait right before its program; return the way to it. It ends when nobody has that any more."""
        process.channel, way = (Fd(fd) for fd in os.pipe2(os.O_CLOEXEC))
        return way

    def settle(self) -> None:
        """End the held processes that nobody can tell to go on: called when somebody who could has died."""
        poller = select.poll()
        for process in list(self.processes.values()):
            if process.channel >= 0:
                poller.register(process.channel, select.POLLIN)
                if any(happened & select.POLLHUP for _, happened in poller.poll(0)):
                    self.end(process, KILLED)
                else:
                    poller.unregister(process.channel)

    # Groups

    def make_group(self, path: str) -> FakeGroup:
        """Raises: OSError."""
        self.before(f"make group {path}")
        group = self.groups[path] = FakeGroup(path, before=self.before, empty=self._empty)
        return group

    def group(self, path: str) -> FakeGroup:
        """Return a group, which need not exist."""
        known = self.groups.get(path)
        if known is not None:
            return known
        absent = FakeGroup(path, before=self.before, empty=self._empty)
        absent.there = False
        return absent

    def remove_group(self, path: str) -> None:
        """Remove a group, unless it is gone already. Raises: OSError, EBUSY if somebody is in it."""
        if path not in self.groups:
            return
        self.before(f"remove group {path}")
        if self.groups[path].inside:
            raise OSError(16, "Device or resource busy", path)
        self.groups.pop(path).there = False

    def label(self, path: str, label: dict[str, Any]) -> None:
        """Write on a group whose guest it holds. Raises: OSError."""
        self.before(f"label group {path}")
        self.groups[path].label = label

    def _empty(self, path: str) -> None:
        for process in [self.processes[pid] for pid in self.groups[path].inside]:
            self.end(process, KILLED)

    def fds(self) -> set[int]:
        """Return the descriptors of this process that stand for something of the host."""
        held = {fd for each in self._unreaped for fd in (each.ending, each.channel) if fd >= 0}
        return held | (set() if self.keeper is None else self.keeper.fds())

    # The keeper

    def start_keeper(self) -> FakeKeeper:
        """Return the living keeper, or a new one. Raises: OSError."""
        if self.keeper is None:
            self.before("start keeper")
            self.keeper = FakeKeeper(self)
        return self.keeper

    def kill_keeper(self) -> None:
        """End the keeper. Guests live on; what has not executed its program ends with it."""
        if self.keeper is None:
            return
        keeper, self.keeper = self.keeper, None
        keeper.close()
        for process in list(self.processes.values()):
            if not process.executed and process.channel < 0:
                self.end(process, KILLED)
        self.settle()

    def reboot(self, boot: str) -> None:
        """End everything at once, as when the host's power fails: nothing of it is told, and another boot begins."""
        self.boot = boot
        keeper, self.keeper = self.keeper, None
        if keeper is not None:
            keeper.close()
        for process in list(self.processes.values()):
            self.end(process, KILLED)
        self.ended.clear()
        for group in self.groups.values():
            group.there = False
        self.groups.clear()

    def close(self) -> None:
        """Let go of everything."""
        self.later = lambda work: work()
        self.before = lambda _: None
        self.kill_keeper()
        for process in list(self.processes.values()):
            self.end(process, KILLED)
