"""Whether guests are well: tried again and again by a probe, and acted upon where one is not.

How a guest is, is found out anew by each daemon; how often one was restarted for it, and when, outlives daemons.
"""

import asyncio
import logging
import random
import time
from dataclasses import dataclass, replace
from uuid import UUID

from insula.errors import InsulaError
from insula.model.domainstates import DomainState, LifecycleKind
from insula.model.healthchecks import DefinedHealthCheck, HealthAction
from insula.model.numbers import MetadataType, ShutdownMode, WatchdogAction
from insula.model.visible import visible
from insula.service.domains import Domains
from insula.service.events import Event, Events, LifecycleEvent, MetadataChange, Reboot, Watchdog
from insula.service.guestcondition import GuestCondition, Health
from insula.service.jobs import OperationKind
from insula.service.lifecycle import LifecycleVerbs
from insula.service.managed import ManagedDomain, Run
from insula.service.pastruns import UnhealthyRestarts
from insula.service.probing import Probing
from insula.service.runs import Runs
from insula.service.shutdown import ShutdownVerbs

LOGGER = logging.getLogger(__name__)

FIRST_DELAY, DELAY_MAX = 10.0, 300.0
"""Seconds from one restart of an unhealthy guest to the next, the least: the first, doubled each time, and the most."""
FORGIVEN = 600.0
"""Seconds: who was not restarted for so long, and for twice the last delay, begins anew."""
AT_ONCE = 8
"""Probes of all guests that are tried at the same time: a burst of them never takes the host from the guests."""
REASON_MAX = 200
"""Characters of why a try failed that are kept."""
_SECOND = 1.0
"""What an interval's second is."""


@dataclass(slots=True, kw_only=True, eq=False)
class _LookedAfter:
    """A run, and what looks after it."""

    run: Run
    task: asyncio.Task[None]


class GuestHealth:
    """Looks after guests whose definition says how, by what is told of domains."""

    def __init__(
        self,
        *,
        registry: Domains,
        runs: Runs,
        probing: Probing,
        lifecycle: LifecycleVerbs,
        shutdown: ShutdownVerbs,
        events: Events,
    ) -> None:
        self._registry = registry
        self._runs = runs
        self._probing = probing
        self._lifecycle = lifecycle
        self._shutdown = shutdown
        self._events = events
        self._places = asyncio.Semaphore(AT_ONCE)
        self._looked_after: dict[UUID, _LookedAfter] = {}
        self._begun = False

    def begin(self) -> None:
        """Look after all guests that run now too; called once they are known."""
        self._begun = True
        for managed in self._registry:
            self._look(managed)

    def close(self) -> None:
        self._begun = False
        for uuid in list(self._looked_after):
            self._let_go(uuid)

    def heard(self, event: Event) -> None:
        """Take note of guests that begin and end, and of definitions that change; a subscriber of `Events`."""
        match event:
            case LifecycleEvent(kind=LifecycleKind.STARTED | LifecycleKind.STOPPED) | Reboot():
                self._look_again(event.domain.uuid, changed=False)
            case MetadataChange(kind=MetadataType.ELEMENT):
                self._look_again(event.domain.uuid, changed=True)

    def _look_again(self, uuid: UUID, *, changed: bool) -> None:
        managed, former = self._registry.find(uuid), self._looked_after.get(uuid)
        if former is not None and (changed or managed is None or managed.run is not former.run):
            self._let_go(uuid)
        if managed is None:
            return
        if changed and managed.run is not None and not managed.run.record.probed:
            self._registry.tasks.begin(self._note_probed(managed, managed.run), f"health of {managed.name}")
        else:
            self._look(managed)

    async def _note_probed(self, managed: ManagedDomain, run: Run) -> None:
        """Have the next daemon know that the live definition may say how the guest is looked after."""

        async def work() -> None:
            if managed.run is run and managed.current.settings.health is not None:
                self._runs.journal.write_record(managed, replace(run.record, probed=True))

        try:
            await managed.lock.perform_surely("note a probe", work, change=OperationKind.DEFINITION)
        except InsulaError:  # it is gone meanwhile
            return
        self._look(managed)

    def _look(self, managed: ManagedDomain) -> None:
        run = managed.run
        if not self._begun or run is None or not run.record.probed or managed.uuid in self._looked_after:
            return
        try:
            check = managed.current.settings.health
        except InsulaError as error:
            LOGGER.warning("domain '%s': how it is looked after cannot be found out: %s", managed.name, error)
            return
        if check is not None:
            run.condition = GuestCondition()
            task = self._registry.tasks.begin(self._watch(managed, run, check), f"health of {managed.name}")
            self._looked_after[managed.uuid] = _LookedAfter(run=run, task=task)

    async def _watch(self, managed: ManagedDomain, run: Run, check: DefinedHealthCheck) -> None:
        if (settling := managed.settling()) is not None:
            await settling
        await asyncio.sleep(
            check.interval * _SECOND * random.random()
        )  # guests that were started together are not tried so
        while managed.run is run:
            await asyncio.sleep(check.interval * _SECOND)
            try:
                await self._try(managed, run, check)
            except Exception as error:  # whatever it was, the guest is looked after on
                LOGGER.error("domain '%s': whether it is well is not known: %s", managed.name, error, exc_info=error)

    async def _try(self, managed: ManagedDomain, run: Run, check: DefinedHealthCheck) -> None:
        if not _can_answer(managed, run):
            return
        async with self._places:
            if not _can_answer(managed, run):
                return
            reason = await self._probing.failure(managed, check, check.timeout)
        if not _can_answer(managed, run):
            return  # what it was not able to say then says nothing
        if reason is None:
            _well(managed, run)
        else:
            await self._unwell(managed, run, check, visible(reason)[:REASON_MAX])

    async def _unwell(self, managed: ManagedDomain, run: Run, check: DefinedHealthCheck, reason: str) -> None:
        condition = run.condition
        if condition is None:
            return
        condition.says = reason
        if condition.health is Health.STARTING and run.record.age < check.start_period:
            return
        condition.failures += 1
        if condition.failures < check.retries:
            return
        if condition.health is not Health.UNHEALTHY:
            condition.health = Health.UNHEALTHY
            LOGGER.warning("domain '%s' is unhealthy: %s", managed.name, reason)
            if check.action is not HealthAction.RESTART:
                self._events.publish(Watchdog(domain=managed.ref, action=_TOLD[check.action]))
                await self._end(managed, run, check.action)
        if check.action is HealthAction.RESTART:
            await self._restart_in_time(managed, run, condition)

    async def _end(self, managed: ManagedDomain, run: Run, action: HealthAction) -> None:
        try:
            match action:
                case HealthAction.DESTROY:
                    await self._lifecycle.destroy(managed, run=run)
                case HealthAction.SHUTDOWN:
                    await self._shutdown.shutdown(managed, ShutdownMode.DEFAULT, run=run)
                case _:
                    pass
        except InsulaError as error:
            if managed.run is not run:
                return  # it has ended by itself
            LOGGER.error("domain '%s' is unhealthy and was to be ended: %s", managed.name, error)
            managed.notice(f"it is unhealthy, and cannot be ended for it: {error}")

    async def _restart_in_time(self, managed: ManagedDomain, run: Run, condition: GuestCondition) -> None:
        """Restart an unhealthy guest, unless it was restarted for that so lately that it is given more time."""
        now, before = time.time(), managed.past.unhealthy
        if before is not None and before.at > now:  # the host's clock was set back: how long ago that was is not known
            before = UnhealthyRestarts(count=before.count, at=now)
            managed.past = self._runs.past.restarted(managed.uuid, before)
        if before is not None and now - before.at > max(FORGIVEN, 2 * _delay(before)):
            before = None
        if before is not None and now < before.at + _delay(before):
            condition.restart_at = before.at + _delay(before)
            return
        count = 1 if before is None else before.count + 1
        condition.restart_at = None
        self._events.publish(Watchdog(domain=managed.ref, action=_TOLD[HealthAction.RESTART]))
        managed.past = self._runs.past.restarted(managed.uuid, UnhealthyRestarts(count=count, at=now))
        LOGGER.warning("domain '%s' is restarted, as it is unhealthy, the %d. time in a row", managed.name, count)
        try:
            await self._lifecycle.reset(managed, run=run)
        except InsulaError as error:
            LOGGER.error("domain '%s' is unhealthy, and cannot be restarted: %s", managed.name, error)

    def _let_go(self, uuid: UUID) -> None:
        former = self._looked_after.pop(uuid)
        former.run.condition = None
        if former.task is not asyncio.current_task():
            former.task.cancel()


_TOLD = {
    HealthAction.NONE: WatchdogAction.NONE,
    HealthAction.RESTART: WatchdogAction.RESET,
    HealthAction.DESTROY: WatchdogAction.POWEROFF,
    HealthAction.SHUTDOWN: WatchdogAction.SHUTDOWN,
}


def _well(managed: ManagedDomain, run: Run) -> None:
    if run.condition is not None and run.condition.health is Health.UNHEALTHY:
        LOGGER.info("domain '%s' is healthy again", managed.name)
    run.condition = GuestCondition(health=Health.HEALTHY)


def _delay(before: UnhealthyRestarts) -> float:
    """Seconds from the last of so many restarts to the next."""
    return min(FIRST_DELAY * 2.0 ** min(before.count - 1, 16), DELAY_MAX)


def _can_answer(managed: ManagedDomain, run: Run) -> bool:
    """Whether what a guest says now counts: not while it stands still, is asked to end, or something is done to it."""
    return (
        managed.run is run
        and run.is_ours
        and not run.ending
        and run.record.asked is None
        and managed.state.state is DomainState.RUNNING
        and managed.lock.job is None
        and run.memory_job is None
    )
