"""What the end of a guest's init means."""

import os
import signal
from dataclasses import dataclass
from enum import Enum


class ExitMeaning(Enum):
    """Why a guest ended, as far as its init's wait status tells."""

    EXITED = "exited"
    """Init returned: a plain program that was done, or `systemctl exit`."""
    KILLED = "killed"
    """A signal ended it: a crash, or a kill from the host."""
    REBOOTED = "rebooted"
    """reboot(2) inside asked for a restart."""
    POWERED_OFF = "powered off"
    """reboot(2) inside asked for power-off or halt."""
    UNKNOWN = "unknown"
    """Its keeper had died before it, and the kernel cannot tell strangers (before 6.15)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExitStatus:
    """How a guest's init ended. status: the wait status as of waitpid(2), None if unknown.

    oom_kills: how many of the guest's processes the kernel killed for want of memory while it ran.
    """

    status: int | None
    oom_kills: int = 0

    @property
    def meaning(self) -> ExitMeaning:
        """Source: reboot(2): a PID namespace's init dies of SIGHUP for a restart, of SIGINT for power-off and halt."""
        if self.status is None:
            return ExitMeaning.UNKNOWN
        if os.WIFEXITED(self.status):
            return ExitMeaning.EXITED
        killer = os.WTERMSIG(self.status)
        if killer == signal.SIGHUP:
            return ExitMeaning.REBOOTED
        if killer == signal.SIGINT:
            return ExitMeaning.POWERED_OFF
        return ExitMeaning.KILLED

    @property
    def code(self) -> int | None:
        """The exit code, None unless it exited."""
        return os.WEXITSTATUS(self.status) if self.meaning is ExitMeaning.EXITED and self.status is not None else None

    @property
    def signal(self) -> int | None:
        """The signal that ended it, None unless one did."""
        if self.status is None or not os.WIFSIGNALED(self.status):
            return None
        return os.WTERMSIG(self.status)

    @property
    def out_of_memory(self) -> bool:
        """Whether the guest ended for want of memory: its init was killed, and the kernel had to kill in the guest."""
        return self.oom_kills > 0 and self.signal == signal.SIGKILL

    def __str__(self) -> str:
        if self.out_of_memory:
            return "killed for want of memory"
        match self.meaning:
            case ExitMeaning.EXITED:
                return f"exited with {self.code}"
            case ExitMeaning.KILLED:
                return f"killed by {_signal_name(self.signal)}"
            case ExitMeaning.REBOOTED | ExitMeaning.POWERED_OFF | ExitMeaning.UNKNOWN as meaning:
                return str(meaning.value)


def _signal_name(number: int | None) -> str:
    try:
        return signal.Signals(number or 0).name
    except ValueError:
        return f"signal {number}"
