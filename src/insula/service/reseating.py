"""Moves guests to other processors when guests, or processors, have come and gone: by events, never by a clock.

what is to move is found out at once for all ─► guest by guest, in its lock: the control group ─► the run's record

A daemon that dies in between leaves every guest on processors that it may have. The next one reads in the kernel which
those are (`Runs.adopted`), and levels anew.
"""

import asyncio
import logging
from dataclasses import replace
from functools import partial

from insula.engine.threads import in_own_thread
from insula.errors import InsulaError, OperationFailedError, OperationInvalidError
from insula.kernel.cgroups.cpusets import reseat
from insula.model.domain import DomainDefinition
from insula.model.domainstates import LifecycleKind
from insula.service import seats
from insula.service.domains import Domains
from insula.service.events import Event, LifecycleEvent
from insula.service.jobs import OperationKind
from insula.service.managed import ManagedDomain
from insula.service.runs import Runs
from insula.service.seating import Seating
from insula.service.seats import Seated
from insula.service.tasks import BackgroundTasks, tell_failure

LOGGER = logging.getLogger(__name__)

PAUSE = 1.0
"""Seconds between what happened and the moves: what comes and goes together is levelled once, and no start waits."""


class Reseating:
    """Levels the seats of a daemon's guests, from `begin` on."""

    def __init__(self, *, registry: Domains, runs: Runs, seating: Seating, pause: float = PAUSE) -> None:
        self._registry = registry
        self._runs = runs
        self.seating = seating
        self._pause = pause
        self._tasks = BackgroundTasks()
        self._due: asyncio.TimerHandle | None = None
        self._begun = self._closed = self._levelling = False
        self._renewing = False

    def begin(self) -> None:
        """Every guest is this daemon's now: what died amid a levelling is levelled."""
        self._begun = True
        self.soon()

    async def close(self, seconds: float) -> None:
        """Move nobody any more."""
        self._closed = True
        if self._due is not None:
            self._due.cancel()
        await self._tasks.ended(seconds)

    def heard(self, event: Event) -> None:
        """Take the word that something happened to a domain. Returns at once."""
        if isinstance(event, LifecycleEvent) and event.kind is LifecycleKind.STOPPED:
            self.seating.take(event.domain.uuid)
            self.soon()
        elif isinstance(event, LifecycleEvent) and event.kind is LifecycleKind.STARTED:
            self.soon()

    def processors_changed(self) -> None:
        """Take the word that processors went online or offline. Returns at once."""
        self._renewing = True
        self.soon()

    def soon(self) -> None:
        """Level in a moment, once, however often this is said meanwhile."""
        if self._begun and not self._closed and self._due is None:
            self._due = asyncio.get_running_loop().call_later(self._pause, self._begin)

    def _begin(self) -> None:
        self._due = None
        if self._levelling:
            self.soon()
        else:
            task = self._tasks.begin(self._levelled(), "level the seats of guests")
            task.add_done_callback(tell_failure)

    async def _levelled(self) -> None:
        self._levelling = True
        try:
            await self.level()
        finally:
            self._levelling = False

    async def level(self) -> None:
        """Move whom it takes. Who cannot be moved stays, and is told."""
        renewing, self._renewing = self._renewing, False
        self._forget_ended()
        try:
            before, host = self.seating.guests(), self.seating.host
            changed = await asyncio.to_thread(seats.moves, host, before)
        except Exception:
            self._renewing |= renewing  # the next levelling makes up for it
            raise
        # v1 groups have lost processors that went offline, also those whose guests are to have what they had.
        concerned = before if renewing else changed
        for uuid in concerned:
            managed = self._registry.find(uuid)
            if managed is not None and managed.run is not None:
                wanted = Seated(claim=before[uuid].claim, cpus=changed.get(uuid, before[uuid].cpus))
                await self._moved(managed, before[uuid], wanted)
        if changed:
            LOGGER.info("%d guests have other processors than before", len(changed))

    async def _moved(self, managed: ManagedDomain, before: Seated, wanted: Seated) -> None:
        async def work() -> None:
            run = managed.run
            # Its processors may have been changed, or it may have ended, while this waited for its turn.
            if run is not None and not run.ending and run.is_ours and self.seating.of(managed.uuid) == before:
                await self._put(managed, wanted)
                self._runs.journal.record_container(managed, run.container)

        try:
            await managed.lock.perform("choose processors", work, change=OperationKind.LIMITS)
        except (InsulaError, OSError) as error:
            LOGGER.warning("domain '%s' stays on its processors: %s", managed.name, error)

    async def claim(self, managed: ManagedDomain, domain: DomainDefinition) -> None:
        """Give a running guest what a changed definition claims, before that counts. Callers hold its lock.

        Raises: OperationInvalidError, InvalidArgumentError, OperationFailedError; it stays on what it has then.
        """
        run = managed.require_run()
        if not self.seating.is_possible:
            raise OperationInvalidError(
                f"domain '{managed.name}': this host has no cpuset controller for control groups"
            )
        wanted = self.seating.find(domain, self.seating.claim(domain, run.container.record.spec.cgroup.partition))
        try:
            # Should the daemon die before the definition is written, the next one goes by the former definition.
            self._runs.journal.change(managed, replace(run.record, claiming=True))
            await self._put(managed, wanted)
        except OSError as error:
            self._runs.journal.record_container(managed, run.container)
            raise OperationFailedError(
                f"the processors of domain '{managed.name}' stay: {error.strerror} ({error.filename})"
            ) from error
        self.soon()

    async def settle(self, managed: ManagedDomain) -> None:
        """Give the guest what its live definition claims, after a change that the daemon before did not live to finish.

        Callers hold its lock. Where that cannot be done, the administrator is told.
        """
        run = managed.require_run()
        if run.record.claiming:
            try:
                await self.claim(managed, managed.current)
            except InsulaError as error:
                LOGGER.error("domain '%s' may have processors that nobody was told of: %s", managed.name, error)
                managed.notice(f"it may have processors that nobody was told of: {error}")
            if managed.run is run:
                self._runs.journal.record_container(managed, run.container)

    async def _put(self, managed: ManagedDomain, wanted: Seated) -> None:
        """Have a running guest on other processors; written down is that by the caller.

        Raises: OSError from its control group, and it stays where it was.
        """
        group = managed.require_run().container.group
        await managed.lock.unless_overtaken(in_own_thread(partial(reseat, group, self.seating.written(wanted))))
        self.seating.give(managed.uuid, wanted)

    def _forget_ended(self) -> None:
        """Whoever ended without a word, as one that could not be started again, has no seats any more."""
        for uuid in self.seating.guests():
            managed = self._registry.find(uuid)
            if managed is None or (managed.run is None and not managed.will_restart and managed.lock.holder is None):
                self.seating.take(uuid)
