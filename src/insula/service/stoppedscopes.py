"""Guests whose scope somebody has systemd stop: they are shut down as their inits know it, else killed."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from insula.engine.launch.placement import unit_around
from insula.engine.launch.scopestops import ScopeStops
from insula.engine.launch.systemdscope import Manager
from insula.errors import InsulaError, OperationInvalidError
from insula.model.domainstates import DomainState
from insula.model.numbers import ShutdownMode
from insula.service.domains import Domains
from insula.service.events import DomainEvent, Event, Events
from insula.service.lifecycle import LifecycleVerbs
from insula.service.managed import ManagedDomain, Run
from insula.service.shutdown import ShutdownVerbs

LOGGER = logging.getLogger(__name__)


class Watching(Protocol):
    """Tells of stops until it is closed; see `engine.launch.scopestops`."""

    def close(self) -> None: ...


Watch = Callable[[Callable[[str], None]], Watching]


REMEMBERED = 64
"""Scopes that were stopped while no guest was known in them, the latest ones: each is used for one guest at most."""


class StoppedScopes:
    """Ends guests that systemd waits for. watch: begins to tell of stops, on any thread.

    A scope that is stopped after a start has taken it, and before its guest is known, is remembered until that is.
    """

    def __init__(
        self,
        *,
        registry: Domains,
        lifecycle: LifecycleVerbs,
        shutdown: ShutdownVerbs,
        events: Events,
        watch: Watch = ScopeStops,
    ) -> None:
        self._registry = registry
        self._lifecycle = lifecycle
        self._shutdown = shutdown
        self._watch = watch
        self._events = events
        self._watching: Watching | None = None
        self._unknown: deque[str] = deque(maxlen=REMEMBERED)
        self._unsubscribe: Callable[[], None] = lambda: None

    def begin(self, manager: Manager, otherwise: Callable[[str], None]) -> None:
        """Learn of stops from now on; called once the guests that run are known.

        otherwise: takes the name of a scope that no guest is in.
        """
        loop = asyncio.get_running_loop()

        def told(unit: str) -> None:
            if not self.told(unit):
                self._unknown.append(unit)
                otherwise(unit)

        def told_by_thread(unit: str) -> None:
            loop.call_soon_threadsafe(told, unit)

        if manager is not Manager.NONE:
            self._unsubscribe = self._events.subscribe(self._heard)
            self._watching = self._watch(told_by_thread)

    def close(self) -> None:
        """Learn of nothing any more."""
        self._unsubscribe()
        if self._watching is not None:
            self._watching.close()

    def told(self, unit: str) -> bool:
        """Have the guest of a scope shut down soon; return whether it is a guest's at all."""
        for managed in self._registry:
            run = managed.run
            if run is not None and unit_around(run.container.record.group) == unit:
                self._lifecycle.spawn(self._end(managed, run), f"shutdown of '{managed.name}', whose scope is stopped")
                return True
        return False

    def _heard(self, event: Event) -> None:
        """Look whether a guest that something happens to has begun in a scope that is being stopped."""
        if not self._unknown or not isinstance(event, DomainEvent):
            return
        managed = self._registry.find(event.domain.uuid)
        if managed is None or managed.run is None:
            return
        unit = unit_around(managed.run.container.record.group)
        if unit in self._unknown:
            self._unknown.remove(unit)
            self.told(unit)

    async def _end(self, managed: ManagedDomain, run: Run) -> None:
        """One that is paused goes on first; one that cannot be asked is killed.

        Who has rebooted meanwhile has another scope, and goes on.
        """
        try:
            if managed.state.state is DomainState.PAUSED:
                with suppress(OperationInvalidError):  # somebody else lets it go on, or it has ended
                    await self._lifecycle.resume(managed)
            await self._shutdown.shutdown(managed, ShutdownMode(0), run=run)
            LOGGER.info("domain '%s' is asked to shut down, as systemd is to stop its scope", managed.name)
        except InsulaError as error:
            if managed.run is run:
                LOGGER.warning("domain '%s' is killed, as systemd is to stop its scope: %s", managed.name, error)
                await self._lifecycle.destroy(managed, run=run)
