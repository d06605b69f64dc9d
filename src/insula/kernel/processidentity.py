"""Processes that are not our children, known for good: by their pid together with the time of their start."""

import os
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from time import monotonic, sleep

from insula.kernel.process import ends_within, start_time

_END_PATIENCE = 10.0
"""Seconds that a process may take to end once it is asked to, and again once it is killed."""

_EXECUTION_PATIENCE = 5.0
"""Seconds within which processes that are executing a program get their command lines, on the busiest of hosts."""
_ENVIRONMENT_START = 47
"""Where env_start stands behind the name in /proc/PID/stat: proc_pid_stat(5). It is set behind the arguments' end."""

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


class _Seen(Enum):
    """What a process that is not wanted was when it was asked."""

    OTHER = auto()
    EXECUTING = auto()
    """It gets its words in a moment."""
    ENDED = auto()
    """Since it was listed; who it was is not known any more."""


def processes_where(wanted: Callable[[Command, Path], bool]) -> list[ProcessIdentity]:
    """Return the processes that are wanted, which is asked with each one's command line and directory in /proc.

    What cannot be read of a process (OSError, ValueError, IndexError) makes it one that is not wanted. A process that
    goes on in a child, as daemons do when they begin, is found as itself or as the child.
    """
    found: list[ProcessIdentity] = []
    names = asked = _numbers()
    deadline = monotonic() + _EXECUTION_PATIENCE
    while names:
        seen = [(each, _seen(each, wanted, found)) for each in names]
        # A process that executes a program has no words for a moment, which is long where it is not given a processor.
        names = {each for each, was in seen if was is _Seen.EXECUTING}
        if any(was is _Seen.ENDED for _, was in seen):
            # Its child may have begun behind the listing.
            begun = _numbers() - asked
            names, asked = names | begun, asked | begun
        elif names:
            sleep(0.001)
        if monotonic() > deadline:
            break
    return found


def _numbers() -> set[str]:
    return {each for each in os.listdir("/proc") if each.isdecimal()}


def _seen(name: str, wanted: Callable[[Command, Path], bool], found: list[ProcessIdentity]) -> _Seen:
    """Add the process of that number to those found, if it is wanted; else return what it was."""
    process = Path("/proc", name)
    try:
        command = _words(process)
        if not command:
            why = _without_words(process)
            # Its words may have come between the two.
            command = _words(process) if why is _Seen.OTHER else ()
            if not command:
                return why
        if wanted(command, process):
            found.append(identity_of(int(name)))
        return _Seen.OTHER
    except (FileNotFoundError, ProcessLookupError):
        return _Seen.ENDED
    except (OSError, ValueError, IndexError):
        return _Seen.OTHER


def _words(process: Path) -> Command:
    return tuple((process / "cmdline").read_bytes().split(b"\0")[:-1])


def _without_words(process: Path) -> _Seen:
    """Return why a process has no words: the kernel has not put its program's arguments in their place yet, perhaps.

    While it does, their end lies at their start; where the environment begins is known behind them only. One that has
    taken its words away itself has both places; threads of the kernel and processes that have ended have
    no program. Source: the kernel's fs/exec.c and fs/binfmt_elf.c.
    """
    fields = (process / "stat").read_bytes().rpartition(b")")[2].split()
    if fields[0] in b"ZX":
        return _Seen.ENDED
    with suppress(OSError):
        os.readlink(process / "exe")
        return _Seen.EXECUTING if fields[_ENVIRONMENT_START] == b"0" else _Seen.OTHER
    return _Seen.OTHER


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
