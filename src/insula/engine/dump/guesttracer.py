"""Stopping processes of a guest, thread by thread, and letting them go on. Should we die, the kernel lets them go on.

A number of a process may be another's tomorrow, and a guest chooses when its own end: so a thread counts as the guest's
only if the directory of /proc that was opened before still tells of it afterwards.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from insula.kernel import ptrace
from insula.kernel.cgroups import tree
from insula.kernel.fds import Fd

PASSES = 50
"""How often it is looked for processes that have begun meanwhile: each generation of them needs one."""
STOPPING = 2.0
"""Seconds for a process' threads to stop; one that waits in the kernel for what does not come is left as it is."""
_LOOK_AGAIN = 0.001
_GONE = (ProcessLookupError, FileNotFoundError)


class RestlessGuestError(OSError):
    """The guest makes processes faster than they can be stopped."""


class GuestTracer:
    """Holds the threads that it has stopped, with the signal that each goes on with. group: the guest's directory."""

    def __init__(self, group: str) -> None:
        self._group = group
        self._held: dict[int, dict[int, int | None]] = {}
        """By process and thread; None for a thread that did not stop."""
        self._late: set[int] = set()
        """Threads whose processes go on again, and that had not stopped: they may yet, and are to go on then."""

    def stop_all(self) -> None:
        """Stop every process. Raises: RestlessGuestError."""
        for _ in range(PASSES):
            found = [each for each in tree.processes_below(self._group) if each not in self._held]
            if not found:
                return
            for each in found:
                self.stop(each)
        raise RestlessGuestError("the guest makes processes faster than they can be stopped; suspend it first")

    def stop(self, pid: int) -> None:
        """Stop a process, if it is the guest's; what cannot be stopped runs on."""
        held = self._held.setdefault(pid, {})
        with suppress(*_GONE), _opened(f"/proc/{pid}") as directory:
            if pid not in tree.processes_below(self._group):
                return
            for _ in range(PASSES):
                fresh = [each for each in _threads(directory) if each not in held]
                if not fresh:
                    return
                for each in fresh:
                    held[each] = None
                    if _seized(directory, each):
                        with suppress(ProcessLookupError):
                            ptrace.interrupt(each)
                _await(held, fresh)

    def stopped(self, pid: int) -> Mapping[int, int | None]:
        """Return the threads of a process, each with the signal that it stands still with; None for one that runs."""
        return self._held.get(pid, {})

    def release(self, pid: int) -> None:
        """Let a process go on. Threads that have died meanwhile are seen off: none is quite gone before its tracer has
        done that."""
        dying = []
        held = self._held.pop(pid, {})
        self._late |= {tid for tid, signal in held.items() if signal is None}
        self._release_late()
        for tid, signal in held.items():
            if signal is not None:
                try:
                    ptrace.detach(tid, signal)
                except ProcessLookupError:
                    dying.append(tid)
        for tid in sorted(dying, key=lambda each: each == pid):  # the first thread is gone when all others are
            with suppress(ProcessLookupError):
                _await_one(tid)

    def _release_late(self) -> None:
        for tid in list(self._late):
            try:
                signal = ptrace.stopped(tid)
                if signal is not None:
                    ptrace.detach(tid, signal)
            except ProcessLookupError:
                signal = 0
            if signal is not None:
                self._late.discard(tid)

    def release_all(self) -> None:
        """Let all go on."""
        for pid in list(self._held):
            self.release(pid)


@contextmanager
def _opened(path: str) -> Iterator[Fd]:
    fd = Fd(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    try:
        yield fd
    finally:
        os.close(fd)


def _threads(directory: Fd) -> Iterator[int]:
    tasks = os.open("task", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    try:
        yield from (int(each) for each in os.listdir(tasks))
    finally:
        os.close(tasks)


def _seized(directory: Fd, tid: int) -> bool:
    """Trace a thread, and make sure that it is the one that was meant; another is let go at once."""
    try:
        ptrace.seize(tid)
    except OSError:
        return False  # traced by somebody inside, or gone
    try:
        os.stat(f"task/{tid}", dir_fd=directory)
    except OSError:
        with suppress(OSError):
            ptrace.interrupt(tid)
            _await_one(tid)
            ptrace.detach(tid, 0)
        return False
    return True


def _await_one(tid: int) -> None:
    deadline = time.monotonic() + STOPPING
    while time.monotonic() < deadline and ptrace.stopped(tid) is None:
        time.sleep(_LOOK_AGAIN)


def _await(held: dict[int, int | None], fresh: list[int]) -> None:
    """Wait until threads stand still, as far as they do."""
    deadline = time.monotonic() + STOPPING
    waiting = set(fresh)
    while waiting:
        for tid in list(waiting):
            try:
                signal = ptrace.stopped(tid)
            except ProcessLookupError:
                waiting.discard(tid)
                continue
            if signal is not None:
                held[tid] = signal
                waiting.discard(tid)
        if waiting:
            if time.monotonic() > deadline:
                return
            time.sleep(_LOOK_AGAIN)
