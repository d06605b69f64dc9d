"""Choosing the id of a domain: the pid of its init on the host, known before the clone so that groups bear it."""

import os
from pathlib import Path

_RESERVED = 300
"""Below it, the kernel itself starts over only at boot. Source: RESERVED_PIDS."""


class Pids:
    """Free pids, far from those the kernel gives out next. One that is taken meanwhile is found out by the clone."""

    def __init__(self, pids_max: int) -> None:
        self._range = range(_RESERVED, pids_max)
        self._last: int | None = None

    def next(self) -> int:
        """Return a pid that nobody has at the moment, and that was not returned lately."""
        candidate = self._halfway() if self._last is None else self._last
        for _ in self._range:
            candidate = self._range[(candidate + 1 - _RESERVED) % len(self._range)]
            if not os.path.exists(f"/proc/{candidate}"):
                self._last = candidate
                return candidate
        raise OSError(11, "every pid of the host is taken")

    def _halfway(self) -> int:
        """Return the pid that is as far as can be from the last one the kernel gave out. Source: proc(5), loadavg."""
        last = int(Path("/proc/loadavg").read_text().split()[-1])
        return self._range[(last + len(self._range) // 2) % len(self._range)]
