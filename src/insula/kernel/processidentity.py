"""Processes that are not our children, known for good: by their pid together with the time of their start."""

import os
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from insula.kernel.process import ends_within, start_time

_END_PATIENCE = 10.0
"""Seconds that a process may take to end once it is asked to, and again once it is killed."""

_EXECUTION_PATIENCE = 5.0
"""Seconds within which processes that are executing a program get their command lines, on the busiest of hosts."""
_ARGUMENTS_END = 46
"""Where arg_end stands behind the name in /proc/PID/stat: proc_pid_stat(5)."""

Command = tuple[bytes, ...]
"""The words of a command line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessIdentity:
    """A process that was started. started: clock ticks since boot, which with the pid name a process for good."""

    pid: int
    started: int


def identity_of(pid: int) -> ProcessIdentity:
    """Return what names a process for good. Raises: OSError if there is none."""
    return ProcessIdentity(pid=pid, started=start_time(pid))


def opened(identity: ProcessIdentity) -> int | None:
    """Return a pidfd of the process, None if it is gone; a number that another process has by now is not followed."""
    try:
        descriptor = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return None
    with suppress(OSError, ValueError, IndexError):
        if start_time(identity.pid) == identity.started and not ends_within(descriptor, 0):
            return descriptor
    os.close(descriptor)
    return None


def lives(identity: ProcessIdentity | None) -> bool:
    """Whether the process runs."""
    descriptor = opened(identity) if identity is not None else None
    if descriptor is None:
        return False
    os.close(descriptor)
    return True


def signalled(identity: ProcessIdentity, number: signal.Signals) -> bool:
    """Send a signal; tell whether the process was there to get it."""
    descriptor = opened(identity)
    if descriptor is None:
        return False
    try:
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def processes_where(wanted: Callable[[Command, Path], bool]) -> list[ProcessIdentity]:
    """Return the processes that are wanted, which is asked with each one's command line and directory in /proc.

    What cannot be read of a process (OSError, ValueError, IndexError) makes it one that is not wanted.
    """
    found: list[ProcessIdentity] = []
    wordless = _found_among([each for each in os.listdir("/proc") if each.isdecimal()], wanted, found)
    # A process that executes a program has no words for a moment, which is long where it is not given a processor.
    deadline = monotonic() + _EXECUTION_PATIENCE
    while wordless and monotonic() < deadline:
        sleep(0.001)
        wordless = _found_among(wordless, wanted, found)
    return found


def _found_among(
    names: Iterable[str], wanted: Callable[[Command, Path], bool], found: list[ProcessIdentity]
) -> list[str]:
    """Add those of the processes that are wanted; return those that are executing a program."""
    wordless = []
    for name in names:
        with suppress(OSError, ValueError, IndexError):
            process = Path("/proc", name)
            command = tuple((process / "cmdline").read_bytes().split(b"\0")[:-1])
            if command and wanted(command, process):
                found.append(identity_of(int(name)))
            elif not command and _executes(process):
                wordless.append(name)
    return wordless


def _executes(process: Path) -> bool:
    """Whether a process has a program whose arguments the kernel has not put in their place yet.

    One that has taken its words away itself has that place; threads of the kernel and processes that have ended have
    no program. Source: the kernel's fs/exec.c and fs/binfmt_elf.c.
    """
    with suppress(OSError):
        os.readlink(process / "exe")
        return (process / "stat").read_bytes().rpartition(b")")[2].split()[_ARGUMENTS_END] == b"0"
    return False


def ended(
    identities: Iterable[ProcessIdentity], signals: Iterable[signal.Signals], *, patience: float = _END_PATIENCE
) -> list[ProcessIdentity]:
    """End processes by these signals in turn; return those that have not ended even so.

    patience: seconds that they may take after each signal.
    """
    found = [(each, descriptor) for each in identities if (descriptor := opened(each)) is not None]
    try:
        for number in signals:
            alive = [descriptor for _, descriptor in found if not ends_within(descriptor, 0)]
            for descriptor in alive:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(descriptor, number)
            deadline = monotonic() + patience
            for descriptor in alive:
                ends_within(descriptor, max(0.0, deadline - monotonic()))
        return [each for each, descriptor in found if not ends_within(descriptor, 0)]
    finally:
        for _, descriptor in found:
            os.close(descriptor)
