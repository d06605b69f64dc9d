"""Resource limits of a process that runs, by the names of getrlimit(2) in small letters without `rlimit_`."""

import resource

Bounds = tuple[int | None, int | None]
"""Soft and hard; None is infinity."""

_KINDS = {
    name.removeprefix("RLIMIT_").lower(): number
    for name, number in vars(resource).items()
    if name.startswith("RLIMIT_") and name != "RLIMIT_OFILE"
}


def held(pid: int) -> dict[str, Bounds]:
    """Return the limits of a process. Raises: OSError."""
    return {name: _bounds(resource.prlimit(pid, number)) for name, number in _KINDS.items()}


def _bounds(pair: tuple[int, int]) -> Bounds:
    soft, hard = (None if bound == resource.RLIM_INFINITY else bound for bound in pair)
    return soft, hard
