"""What systemd leaves of scopes that have become empty: it removes the group of one, unless it is disturbed in that.

It walks through what is below the group, and gives up for good where something vanishes before it; and just then we
remove what is ours there. So whether the group has gone is looked after some time later.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from insula.kernel.cgroups import Cgroup

_DELAY = 1.0
"""Seconds that systemd is given."""
_LOOK = 0.01
"""Seconds between two looks when somebody waits."""
_LAST_PATIENCE = 5.0
"""Seconds that the end of this process waits for what is to be looked after still."""


class EmptiedScopes:
    """Looks after them, on a thread that is there while there is one. Any thread may call.

    stop: has systemd end a unit, if it knows of it, and returns whether it has heard that.
    """

    def __init__(self, stop: Callable[[str], bool]) -> None:
        self._stop = stop
        self._change = threading.Condition()
        self._waiting: deque[tuple[float, Cgroup]] = deque()
        self._thread: threading.Thread | None = None
        self._closing = False

    def add(self, scope: Cgroup) -> None:
        """Have a scope's group removed, a second from now, if it is there and empty then."""
        with self._change:
            self._waiting.append((time.monotonic() + _DELAY, scope))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="emptied scopes", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Wait until those have gone that were added; that takes a second at most, and systemd's answer."""
        with self._change:
            self._closing, thread = True, self._thread
            self._change.notify()
        if thread is not None:
            thread.join(_LAST_PATIENCE)
        with self._change:
            self._closing = False

    def _work(self) -> None:
        while (scope := self._next()) is not None:
            if _is_empty(scope) and self._stop(os.path.basename(scope.path)):
                with suppress(OSError):  # somebody has come into it meanwhile, or systemd removes it
                    scope.remove(0.0, above_too=False)

    def _next(self) -> Cgroup | None:
        """Wait until one is due that is still there, and return it; None, and the thread is over, if there is none."""
        with self._change:
            while self._waiting:
                due, scope = self._waiting[0]
                patience = due - time.monotonic()
                if not scope.exists():
                    self._waiting.popleft()
                elif patience <= 0:
                    self._waiting.popleft()
                    return scope
                else:
                    self._change.wait(min(patience, _LOOK) if self._closing else patience)
            self._thread = None
            return None


def _is_empty(scope: Cgroup) -> bool:
    try:
        return not scope.populated
    except OSError:  # it goes just now
        return False
