"""Resource limits of processes that run, by the names of getrlimit(2) in small letters without `rlimit_`."""

import contextlib
import os
import resource
from collections.abc import Callable, Iterable, Mapping

from insula.kernel.process import has_ended

Bounds = tuple[int | None, int | None]
"""Soft and hard; None is infinity."""

_KINDS = {
    name.removeprefix("RLIMIT_").lower(): number
    for name, number in vars(resource).items()
    if name.startswith("RLIMIT_") and name != "RLIMIT_OFILE"
}
_ROUNDS = 8
"""How often those that came meanwhile are looked for: who forks faster than that bears children that have the limit."""


def held(pid: int) -> dict[str, Bounds]:
    """Return the limits of a process. Raises: OSError."""
    return {name: _bounds(resource.prlimit(pid, number)) for name, number in _KINDS.items()}


def limit_all(processes: Callable[[], Iterable[int]], wanted: Mapping[str, Bounds]) -> None:
    """Put limits on processes and on those that they bear.

    processes: returns the pids of all there are. Who has ended meanwhile is passed over. Raises: OSError;
    PermissionError for more than this process may give.
    """
    limited: set[int] = set()
    for _ in range(_ROUNDS):
        fresh = set(processes()) - limited
        if not fresh:
            return
        for pid in fresh:
            with contextlib.suppress(ProcessLookupError):
                _limit(pid, wanted)
        limited |= fresh


def _limit(pid: int, wanted: Mapping[str, Bounds]) -> None:
    """A pid that was given to another process since would be seen: the descriptor is of who has it now, and lives."""
    pidfd = os.pidfd_open(pid)
    try:
        for name, (soft, hard) in wanted.items():
            if has_ended(pidfd):
                return
            resource.prlimit(pid, _KINDS[name], (_number(soft), _number(hard)))
    finally:
        os.close(pidfd)


def _bounds(pair: tuple[int, int]) -> Bounds:
    soft, hard = (None if bound == resource.RLIM_INFINITY else bound for bound in pair)
    return soft, hard


def _number(bound: int | None) -> int:
    return resource.RLIM_INFINITY if bound is None else bound
