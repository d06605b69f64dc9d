"""A daemon that is on its way: how a client knows of it, and how long it waits to be listened to.

A daemon takes its lock as the first thing it does, long before it listens. So while nobody listens and somebody has the
lock, a client tries again. Who has begun a daemon a moment ago (`insulad & insula ls`) may be here before the lock is:
that moment is waited for, too.
"""

import os
import time
from collections.abc import Iterator
from typing import Final

from insula.layout import Layout

UNLOCKED_SECONDS: Final = 1.0
"""For how long it may be that a daemon which was begun just now has not come as far as its lock."""
LOCKED_SECONDS: Final = 60.0
"""For how long a daemon that has its lock may take until it listens. One that listens elsewhere never does here."""
_PAUSE = 0.02


def pauses(layout: Layout | None, unlocked_seconds: float = UNLOCKED_SECONDS) -> Iterator[float]:
    """Yield the seconds to wait before each further try to connect, for as long as it makes sense to try.

    layout: None if it is not known, and so no lock; unlocked_seconds: for how long that is while nobody has the lock.
    """
    began = time.monotonic()
    while (waited := time.monotonic() - began) < max(LOCKED_SECONDS, unlocked_seconds):
        if waited >= unlocked_seconds and (layout is None or not is_locked(layout.lock)):
            return
        yield _PAUSE


def is_locked(path: str | os.PathLike[str]) -> bool:
    """Whether somebody has a file locked for writing, which is looked at and not touched: who tried the lock would
    hold it, and keep a daemon that begins from it.

    Source: flock(2), proc_locks(5). Unknown counts as no: file systems that give their files other numbers than the
    kernel has.
    """
    try:
        found = os.stat(path)
        with open("/proc/locks", encoding="ascii", errors="replace") as locks:
            lines = locks.read().splitlines()
    except OSError:
        return False
    device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    return any({"FLOCK", "WRITE", device} <= set(each.split()) and "->" not in each for each in lines)
