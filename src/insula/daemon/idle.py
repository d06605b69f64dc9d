"""When a daemon that was started on demand may go: no clients, no running guests, for some time.

That is libvirt's rule for its own daemons. Guests would survive without us; but somebody must note how they end.
"""

import asyncio
from collections.abc import Callable


class IdleWatch:
    """Calls stop once is_idle() has held for timeout seconds. `look` is to be called whenever that may have changed."""

    def __init__(self, timeout: float, *, is_idle: Callable[[], bool], stop: Callable[[], None]) -> None:
        self._timeout = timeout
        self._is_idle = is_idle
        self._stop = stop
        self._timer: asyncio.TimerHandle | None = None

    def look(self) -> None:
        """Start the time running, or stop it."""
        if not self._is_idle():
            self.cancel()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._timeout, self._expired)

    def cancel(self) -> None:
        """Forget the time that has passed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expired(self) -> None:
        self._timer = None
        if self._is_idle():
            self._stop()
