"""Notices when hardware of the host comes or goes: processors, devices that are plugged in and pulled out."""

import asyncio
import logging
from collections.abc import Callable

from insula.kernel.uevents import KernelEvents

LOGGER = logging.getLogger(__name__)


class HardwareWatch:
    """Follows what events tell in the event loop it is made in. changed: called when some of it came or went.

    what: it in words, for the log. Where the kernel tells nobody, which is logged, nothing is noticed.
    """

    def __init__(self, events: Callable[[], KernelEvents], what: str, changed: Callable[[], None]) -> None:
        self._what = what
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._events: KernelEvents | None = None
        try:
            self._events = events()
        except OSError as error:
            LOGGER.warning("%s that come and go are not noticed at once: %s", what, error)
        else:
            self._loop.add_reader(self._events, self._read)

    def close(self) -> None:
        """Follow nothing any more."""
        if self._events is not None:
            self._loop.remove_reader(self._events)
            self._events.close()
            self._events = None

    def _read(self) -> None:
        if self._events is not None and self._events.read():
            LOGGER.debug("%s of the host came or went", self._what)
            self._changed()
