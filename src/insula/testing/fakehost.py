"""A host without a kernel: processes, control groups and a keeper that exist in this process's memory only.

It outlives every engine that works on it, as a host outlives daemons. What the kernel would answer with an error, or
take its time for, is decided by `before` and `later`.
"""

import os
import select
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from insula.kernel.fds import NO_FD, Fd, close_all
from insula.testing.fakegroups import FakeGroup
from insula.testing.fakekeeper import FakeKeeper
from insula.testing.fakeprocess import UNLEARNED, FakeProcess

FIRST_PID = 1 << 22
"""No real process has such a pid, or a higher one. Source: proc_sys_kernel(5), pid_max."""
KILLED = 9
"""A wait status: ended by SIGKILL."""


@dataclass(kw_only=True, slots=True, eq=False)
class FakeHost:
    """before: called with what is about to be changed ("make group …", "clone …", "execute …"), and may raise OSError,
    then it has not happened; later: called with what the kernel does by itself, which it does at once if not said
    otherwise; after: called with what happens once so many seconds have gone by, which is never if not said otherwise;
    terminal: opens both ends of a console, the keeper's first.
    """

    boot: str = "00000000-0000-0000-0000-000000000001"
    before: Callable[[str], None] = lambda _: None
    later: Callable[[Callable[[], None]], None] = lambda work: work()
    after: Callable[[float, Callable[[], None]], None] = lambda seconds, work: None
    terminal: Callable[[], tuple[int, int]] = os.openpty
    processes: dict[int, FakeProcess] = field(default_factory=dict)
    groups: dict[str, FakeGroup] = field(default_factory=dict)
    keeper: FakeKeeper | None = None
    ended: dict[tuple[int, int], int] = field(default_factory=dict)
    """How processes ended, by pid and start: what the reaper above the keeper remembers until it is told to forget."""
    entered: list[FakeProcess] = field(default_factory=list)
    """All that were ever put into guests, the oldest first."""
    signals: list[tuple[str, int]] = field(default_factory=list)
    """What guests' inits were sent, by their UUIDs."""
    pids: int = 0
    """How many have been given out."""
    births: int = 0
    """How many processes there have been."""
    _unreaped: list[FakeProcess] = field(default_factory=list)

    def next_pid(self) -> int:
        """Return a pid that no process has had, nor was given out."""
        self.pids += 1
        return FIRST_PID + self.pids

    # Processes

    def clone(self, *, uuid: str, launch: str | None, group: str, pid: int | None = None) -> FakeProcess:
        """Return a new process that has not executed anything. pid: its number, None for any. Raises: OSError."""
        self.before(f"clone {uuid}")
        return self._born(uuid, launch, group, pid=pid)

    def enter(self, uuid: str, execution: str) -> FakeProcess:
        """Return a new process in a guest, likewise. Raises: OSError."""
        self.before(f"clone {execution}")
        init = self.guests().get(uuid)
        if init is None:
            raise OSError(12, "Cannot allocate memory", uuid)  # of a pid namespace whose init is dead: clone(2)
        process = self._born(uuid, init.launch, init.group, execution)
        self.entered.append(process)
        return process

    def _born(
        self, uuid: str, launch: str | None, group: str, execution: str | None = None, pid: int | None = None
    ) -> FakeProcess:
        if group not in self.groups:
            raise FileNotFoundError(2, "No such file or directory", group)
        pid = self.next_pid() if pid is None else pid
        if pid in self.processes:
            raise FileExistsError(17, "File exists", str(pid))
        self.births += 1
        process = FakeProcess(
            pid=pid,
            born=self.births,
            uuid=uuid,
            launch=launch,
            group=group,
            ending=NO_FD,
            execution=execution,
        )
        self.revive(process)
        return process

    def revive(self, process: FakeProcess) -> None:
        """Let a process of this host be there (again)."""
        process.ending = Fd(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))
        self.processes[process.pid] = process
        self._unreaped.append(process)
        self.groups[process.group].inside.append(process.pid)

    def end(self, process: FakeProcess, status: int | None) -> None:
        """Let a process end, an init with all that was put into its guest; whoever holds a pidfd sees that, and the
        keeper tells. status: None if nobody learns how it ended."""
        if not process.lives:
            return
        if process.execution is None:
            for each in self.inside(process.uuid) if len(self.groups[process.group].inside) > 1 else ():
                if each.group == process.group:
                    self.end(each, KILLED)
        process.status = UNLEARNED if status is None else status
        os.eventfd_write(process.ending, 1)
        self.groups[process.group].inside.remove(process.pid)
        if status is not None:
            self.ended[process.pid, process.born] = status
        close_all([*([process.channel] if process.channel >= 0 else []), *process.terminals])
        process.channel = NO_FD
        process.terminals.clear()
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

    def open_consoles(self, process: FakeProcess, number: int) -> list[Fd]:
        """Let a process have so many terminals; return their masters, which are the caller's."""
        masters = []
        for _ in range(number):
            master, terminal = (Fd(fd) for fd in self.terminal())
            masters.append(master)
            process.terminals.append(terminal)
        return masters

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

    def make_group(self, path: str, *, maker: str | None = None) -> FakeGroup:
        """Make a group. maker: the launch that it is for. Raises: OSError."""
        self.before(f"make group {path}")
        if path in self.groups:
            raise FileExistsError(17, "File exists", path)
        group = self.groups[path] = FakeGroup(path, before=self.before, empty=self._empty, maker=maker)
        return group

    def group_made_by(self, launch: str) -> FakeGroup:
        """Return the group that a launch has made. Raises: FileNotFoundError."""
        for group in self.groups.values():
            if group.maker == launch:
                return group
        raise FileNotFoundError(2, "No such file or directory", launch)

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
        held = {fd for each in self._unreaped for fd in (each.ending, each.channel, *each.terminals) if fd >= 0}
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
