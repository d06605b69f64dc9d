"""Lowering the memory limit of a v2 group that is in use.

A v1 group refuses a limit that its memory does not shrink to. A v2 group takes any, and kills until what is left fits:
memory.max is therefore written only once the group is seen to fit. A write to memory.high frees as much as one to
memory.max would, stops programs that take more, and kills nothing. Source: kernel document `admin-guide/cgroup-v2`;
`memory_high_write` and `memory_max_write` in the kernel's memcontrol.c. Callers note what was (`unfinished`), for a
process that is killed meanwhile.
"""

import time

from insula.kernel.cgroups import files
from insula.kernel.cgroups.heldlimits import busy

SECONDS = 5.0
"""How long memory is being freed before a lower limit is refused."""

_SLACK = 16
_PAUSE = 0.02
_VAIN_ROUNDS = 3


def lower(directory: str, limit: int, seconds: float = SECONDS) -> None:
    """Set memory.max to limit (bytes), below what it is now, without anything being killed for it.

    memory.high is lowered meanwhile, and put back before returning.

    Raises: OSError(EBUSY) if what is in use does not shrink to limit; every limit is as it was then.
    """
    if _used(directory) == 0:
        files.write(f"{directory}/memory.max", str(limit))
        return
    path = f"{directory}/memory.high"
    before = files.read(path)
    held = files.number(before)
    # Programs that take memory all the time make the group's use hover around memory.high, and a little above it.
    high = limit - limit // _SLACK if held is None else min(limit - limit // _SLACK, held)
    try:
        _shrink(directory, limit, high, time.monotonic() + seconds)
        files.write(f"{directory}/memory.max", str(limit))
    finally:
        if high != held:
            files.write(path, before)


def _shrink(directory: str, limit: int, high: int, deadline: float) -> None:
    """Free memory until no more than limit is in use. Raises: OSError(EBUSY) if a few rounds in turn free nothing."""
    files.write(f"{directory}/memory.high", str(high))
    used, vain = _used(directory), 0
    while used > limit:
        if vain == _VAIN_ROUNDS or time.monotonic() > deadline:
            raise busy(f"{directory}/memory.max", limit, used)
        if vain:
            time.sleep(_PAUSE)
        files.write(f"{directory}/memory.high", str(high))
        before, used = used, _used(directory)
        vain = 0 if used < before else vain + 1


def _used(directory: str) -> int:
    return int(files.read(f"{directory}/memory.current"))
