"""How processes end that are not the keeper's children: guests whose own keeper died, handed to this one.

Three are asked. The process itself, which shows its status (field 52 of /proc/PID/stat) until its parent reaps it; the
reaper, which became its parent if it was there when the keeper died, and remembers; and the kernel, which remembers
what it can (PIDFD_GET_INFO, since 6.15): not whether an init called reboot(2), so what may be that counts as unknown.
"""

import os
import signal
from collections.abc import Callable

from insula.engine.keeper.held import HeldProcess
from insula.engine.keeper.reaperlink import ReaperLink, Results
from insula.kernel.fds import Fd
from insula.kernel.process import exit_of_stranger, start_time_in, status_of_zombie

_UNKNOWN_BIRTH = -1
_AMBIGUOUS = (0, signal.SIGKILL)
"""What the kernel says of an init that called reboot(2), and of one in whose namespace another process did."""


class Strangers:
    """All adopted processes. A directory of /proc stays its process's own, whoever gets the pid after it."""

    def __init__(self, reaper: ReaperLink) -> None:
        self._reaper = reaper
        self._known: dict[HeldProcess, tuple[Fd | None, int]] = {}

    def meet(self, process: HeldProcess, born: int | None) -> None:
        """Get ready to learn of its end. born: its start time, if that is known."""
        directory: Fd | None = None
        try:
            directory = Fd(os.open(f"/proc/{process.pid}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
            signal.pidfd_send_signal(process.pidfd, 0)  # not reaped yet, so the pid is its own and was so before
            born = start_time_in(directory)
        except OSError:
            if directory is not None:
                os.close(directory)
            directory = None
        self._known[process] = (directory, _UNKNOWN_BIRTH if born is None else born)

    def learn(self, process: HeldProcess, told: Callable[[int | None], None]) -> None:
        """Have `told` called with the wait status of one that has ended, None if nobody knows it."""
        directory, born = self._known[process]
        shown = None if directory is None else status_of_zombie(directory)
        if shown:
            told(shown)
            return

        def answered(results: Results) -> None:
            # What is shown as 0 may have been withheld from us.
            told(int(results[0]) if results else self.of_kernel(process) if shown is None else shown)

        self._reaper.ask("status", process.pid, born, told=answered)

    def of_kernel(self, process: HeldProcess) -> int | None:
        """Return the wait status as far as the kernel tells it to strangers."""
        status = exit_of_stranger(process.pidfd)
        return None if process.execution is None and status in _AMBIGUOUS else status

    def of_the_past(self, pid: int, born: int, told: Callable[[int | None], None]) -> None:
        """Have `told` called with how a process ended that no keeper held, None if nobody knows it."""
        self._reaper.ask("status", pid, born, told=lambda results: told(int(results[0]) if results else None))

    def forget(self, process: HeldProcess) -> None:
        """Its end is written down."""
        directory, born = self._known.pop(process, (None, _UNKNOWN_BIRTH))
        if directory is not None:
            os.close(directory)
        self.forget_past(process.pid, born)

    def forget_past(self, pid: int, born: int) -> None:
        """The same, for one that no keeper held."""
        self._reaper.ask("forget", pid, born)

    def forget_all(self, done: Callable[[], None]) -> None:
        """Nobody will ask for any end any more."""

        def listed(results: Results) -> None:
            for result in results or ():
                pid, born, _ = result.split()
                self.forget_past(int(pid), int(born))
            done()

        self._reaper.ask("list", told=listed)
