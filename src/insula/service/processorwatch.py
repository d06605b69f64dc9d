"""Notices when processors of the host go online or offline, and has guests moved."""

import asyncio
import logging
from collections.abc import Callable

from insula.kernel.uevents import ProcessorEvents

LOGGER = logging.getLogger(__name__)


class ProcessorWatch:
    """Follows the host's processors in the event loop it is made in. changed: called when some came or went.

    Where the kernel tells nobody, which is logged, guests are moved when the next one starts or ends.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._events: ProcessorEvents | None = None
        try:
            self._events = ProcessorEvents()
        except OSError as error:
            LOGGER.warning("processors that go on- and offline are not noticed at once: %s", error)
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
            LOGGER.info("processors of the host went on- or offline")
            self._changed()
