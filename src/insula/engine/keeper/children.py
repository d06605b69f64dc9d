"""Children that the keeper did not make, and children that made it their tracer.

What is executed in a guest is the keeper's child, so two calls of its reach the keeper:

- PTRACE_TRACEME makes the keeper its tracer. Its next signal would stop it for a tracer that never comes.
- clone(CLONE_PARENT) makes the keeper the parent of one more. Were that not reaped, its PID namespace could not end:
  the guest's init waits in the kernel for every process of it (pid_namespaces(7)), and `destroy` for init.

Neither can be refused by a filter without taking debuggers and some runtimes away from guests. Nor does anything but
a look at all children tell of them, which takes the kernel the longer the more guests there are (0.3 ms of 1000). So
that waits a little, and no start, exec or destroy for it: what is held tells its end by its own descriptor.
"""

import os
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from insula.engine.keeper.eventloop import READABLE, EventLoop
from insula.kernel.ptrace import detach

_ALL_KINDS = 0x40000000
"""__WALL: also children that tell their end by another signal, or none. Source: waitid(2)."""
_LOOKS = os.WEXITED | os.WNOHANG | os.WNOWAIT | _ALL_KINDS
_A_TURN = 64
"""Children attended before others get their turn."""
_AT_THE_END = 10_000
_DELAY = 0.05
"""Seconds from the kernel's word to the look, which is for all that is told meanwhile: what a guest does on purpose,
again and again, is not to cost the keeper's time."""
_DETACHMENTS_MAX = 16
"""How often a process may make the keeper its tracer, before it is killed."""


class Children:
    """Attends to the keeper's children soon after the kernel has told of one.

    ended: called with the pid of one that has ended; reaps it and returns True if it is known.
    """

    def __init__(self, loop: EventLoop, ended: Callable[[int], bool]) -> None:
        self._loop = loop
        self._ended = ended
        self._detachments: Counter[int] = Counter()
        self._reader, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def watch(self) -> None:
        """Begin: from now on SIGCHLD wakes the loop."""
        signal.signal(signal.SIGCHLD, _ignore)
        signal.siginterrupt(signal.SIGCHLD, False)  # no call is cut short: the wake-up fd alone tells of it
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._listen()

    def _listen(self) -> None:
        self._loop.watch(self._reader, READABLE, lambda _: self._told())

    def _told(self) -> None:
        self._loop.unwatch(self._reader)
        self._loop.after(_DELAY, self._attend)

    def _attend(self) -> None:
        self._listen()
        with suppress(BlockingIOError):
            os.read(self._reader, 4096)  # before the look: whoever comes to an end during it tells anew
        for _ in range(_A_TURN):
            if not self._attend_one():
                return
        with suppress(BlockingIOError):
            os.write(self._writer, b"\0")  # there are more: come back

    def attend_all(self) -> None:
        """Attend at once to all that have something to tell: who ends now leaves them to the reaper, to be remembered.

        A guest could make more without an end: those beyond many are left.
        """
        for _ in range(_AT_THE_END):
            if not self._attend_one():
                return

    def _attend_one(self) -> bool:
        """Attend to one child that has something to tell; return whether there was one."""
        try:
            told = os.waitid(os.P_ALL, 0, _LOOKS)
        except ChildProcessError:
            return False
        if told is None:
            return False
        if told.si_code == os.CLD_TRAPPED:
            self._release(told.si_pid, told.si_status & 0x7F)
        else:
            self._detachments.pop(told.si_pid, None)
            if not self._ended(told.si_pid):
                with suppress(ChildProcessError):
                    os.waitid(os.P_PID, told.si_pid, os.WEXITED | os.WNOHANG | _ALL_KINDS)
        return True

    def _release(self, pid: int, number: int) -> None:
        """Let a process go that stands still for us. number: the signal that it stands before."""
        self._detachments[pid] += 1
        with suppress(ProcessLookupError):
            if self._detachments[pid] > _DETACHMENTS_MAX:
                os.kill(pid, signal.SIGKILL)
            # An exec under a tracer is told by SIGTRAP, which nobody means for the program.
            detach(pid, 0 if number == signal.SIGTRAP else number)


def forget_children() -> None:
    """In a child: have nothing of the keeper's hear of signals."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _ignore(_number: int, _frame: object) -> None:
    """Python needs a handler to write to the wake-up fd."""
