"""Performing what `recovery` decided: a new daemon takes over from the one before.

take stock   definitions, records, and what the kernel and the keeper have: every domain is there, in its true state
take over    each guest's fds and consoles, and what is to be cleared up, a domain at a time, while others are served

A guest that lives is shown as running from the first moment on. Whatever fails when it is taken over is told as a
notice, and tried again; it never makes the guest count as off.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

from insula.engine.launch.guestlabels import GuestLabels
from insula.engine.launch.holdings import Remains
from insula.engine.launch.runningcontainer import ContainerRecord, Running
from insula.engine.launch.succession import Held
from insula.errors import InsulaError
from insula.model.domain import DomainDefinition
from insula.service.containers import ContainerEngine, Preparation
from insula.service.definitions import Definitions
from insula.service.domains import Domains
from insula.service.endings import state_left_by
from insula.service.inheriteddomains import InheritedDomains
from insula.service.leftovers import Leftover
from insula.service.lifecycle import LifecycleVerbs
from insula.service.livedevices import LiveDevices
from insula.service.livelimits import LiveLimits
from insula.service.managed import ManagedDomain
from insula.service.pastruns import NOTHING
from insula.service.recoveryplan import (
    UNKNOWN,
    Action,
    Adopt,
    Conclude,
    Destroy,
    Discover,
    Drop,
    Evidence,
    Forget,
    Reset,
    Undo,
    decide,
    is_outdated,
    said,
)
from insula.service.reseating import Reseating
from insula.service.rundirectory import RunDirectory, RunEntry
from insula.service.runrecord import Next, RunRecord
from insula.service.runs import Runs
from insula.service.shutdown import ShutdownVerbs
from insula.service.statelock import nobody
from insula.service.waitingline import WaitingLine

LOGGER = logging.getLogger(__name__)

ABREAST = 16
"""Guests that are taken over at the same time: enough that nobody waits for the keeper's answers."""
RETRIES = (1.0, 5.0, 20.0, 60.0)
"""Seconds before a guest is tried again that could not be taken over; the last one is repeated."""

Work = Callable[[], Coroutine[Any, Any, None]]


class Recovery:
    """Brings the registry in line with what is: definitions, runs, and what the keeper holds."""

    def __init__(
        self,
        *,
        registry: Domains,
        definitions: Definitions[DomainDefinition],
        directory: RunDirectory,
        engine: ContainerEngine,
        runs: Runs,
        preparation: Preparation,
        lifecycle: LifecycleVerbs,
        shutdown: ShutdownVerbs,
        devices: LiveDevices,
        reseating: Reseating,
        boot_id: str,
    ) -> None:
        self._registry = registry
        self._definitions = definitions
        self._directory = directory
        self._engine = engine
        self._runs = runs
        self._preparation = preparation
        self._lifecycle = lifecycle
        self._shutdown = shutdown
        self._devices = devices
        self._reseating = reseating
        self._boot_id = boot_id
        self._inherited = InheritedDomains(
            registry=registry,
            directory=directory,
            engine=engine,
            runs=runs,
            preparation=preparation,
            boot_id=boot_id,
        )
        self._limits = LiveLimits(runs)
        self._line = WaitingLine(ABREAST)
        self._work: list[asyncio.Task[Any]] = []
        self._retries: set[asyncio.Task[None]] = set()

    async def take_stock(self) -> None:
        """Know every domain and its state; called once, before anybody else may ask for anything.

        Verbs on a domain wait from now on until it is taken over. What goes wrong with one stops no other.
        """
        with self._lifecycle.ends_held_back():
            await self._take_stock()

    async def _take_stock(self) -> None:
        asked = asyncio.create_task(self._held(), name="ask what is held")  # which takes the keeper a while, too
        definitions = await asyncio.to_thread(self._definitions.load)
        for each in definitions:
            self._inherited.defined(each)
        defined_ones = frozenset(each.uuid for each in definitions)
        self._recall(defined_ones)
        doomed = await asyncio.to_thread(self._doomed, defined_ones)
        held = await asked
        labels = self._engine.succession.labels()
        known = {UUID(each.record.spec.uuid): each for each in labels.living}
        kept = {
            each.record.uuid: self._with_storage(each.labelled(known.get(each.record.uuid)), defined_ones, doomed)
            for each in self._directory.load()
        }
        facts = self._evidence([each.record for each in kept.values()], held, labels)
        there = kept.keys() | self._directory.uuids() | facts.labelled.keys() | facts.held.keys()
        await asyncio.to_thread(self._preparation.sweep, frozenset(there))
        actions = decide([each.record for each in kept.values()], facts)
        LOGGER.info("recovery: %d runs are taken over", sum(isinstance(each, Adopt) for each in actions))
        for action in actions:
            level = logging.DEBUG if isinstance(action, Adopt) else logging.INFO
            if LOGGER.isEnabledFor(level):
                LOGGER.log(level, "recovery: %s", said(action))
            try:
                self._begin(action, kept, facts)
            except Exception as error:  # whatever it was, the other domains are to be there
                LOGGER.error("recovery failed at %s: %s", said(action), error)
        await asyncio.sleep(0)  # whoever is to be taken over is locked before anybody asks for it

    def _recall(self, uuids: frozenset[UUID]) -> None:
        """Let domains that may be off say how that came."""
        known = self._runs.past.load(uuids)
        for each in self._registry:
            each.past = known.get(each.uuid, NOTHING)
            if each.past is not NOTHING:
                each.found(state_left_by(each.past))

    async def take_over(self) -> None:
        """Return once every guest is taken over, as far as it can be, and what was left is cleared up or given up."""
        await asyncio.gather(*self._work, return_exceptions=True)
        self._work.clear()
        await self._release_ids()

    async def close(self) -> None:
        """Leave to the next daemon whom nobody waits for and whose turn has not come, and try nothing again."""
        self._line.close()
        for task in self._retries:
            task.cancel()
        await asyncio.gather(*self._retries, return_exceptions=True)
        await self._runs.leftovers.close()

    async def keeper_replaced(self) -> None:
        """Hand every guest that runs to a keeper that has just begun; one that was out of reach tells who has ended."""
        held = {each.uuid: each for each in await self._engine.succession.held()}
        for managed in list(self._registry):
            run = managed.run
            # One whose end is under way is cleared up without a keeper; the new one would never be told to forget it.
            # One that is not ours yet is handed over when it is.
            if run is None or run.ending or not run.is_ours:
                continue
            known = held.get(str(managed.uuid))
            if known is not None:
                if known.status is not None and known.pid == run.container.pid:
                    self._lifecycle.guest_ended(managed.uuid, known.status)
            else:
                try:
                    await self._engine.succession.adopt(run.container)
                except (OSError, InsulaError) as error:
                    LOGGER.error("domain '%s' cannot be given to the new keeper: %s", managed.name, error)

    # Taking stock

    async def _held(self) -> dict[UUID, Held]:
        try:
            return {UUID(each.uuid): each for each in await self._engine.succession.held()}
        except InsulaError as error:
            LOGGER.error("the keeper does not say what it holds: %s", error)
            return {}

    def _evidence(self, records: Iterable[RunRecord], held: Mapping[UUID, Held], labels: GuestLabels) -> Evidence:
        labelled, relics = (
            {UUID(each.record.spec.uuid): each.record for each in found} for found in (labels.living, labels.relics)
        )
        outdated = frozenset(each.uuid for each in records if is_outdated(each, labelled, held))
        return Evidence(boot_id=self._boot_id, held=held, labelled=labelled, relics=relics, outdated=outdated)

    def _doomed(self, defined_ones: frozenset[UUID]) -> frozenset[UUID]:
        """Return whose storage is marked to vanish; that of defined domains is from now on to stay."""
        marked = self._preparation.all_doomed()
        for each in marked & defined_ones:
            try:
                self._preparation.keep(each, ephemeral=False)
            except OSError as error:
                LOGGER.error("the storage of domain %s, which is defined, is still marked to vanish: %s", each, error)
        return marked

    def _with_storage(self, kept: RunEntry, defined_ones: frozenset[UUID], doomed: frozenset[UUID]) -> RunEntry:
        """A run as it is to be continued: nothing of what is defined vanishes with it, all of what is marked does."""
        uuid = kept.record.uuid
        ephemeral = uuid not in defined_ones and (kept.record.ephemeral or uuid in doomed)
        if ephemeral == kept.record.ephemeral:
            return kept
        return replace(kept, record=replace(kept.record, ephemeral=ephemeral))

    def _begin(self, action: Action, kept: Mapping[UUID, RunEntry], facts: Evidence) -> None:
        """Let a domain be there in its true state, and begin what is to be done about it."""
        match action:
            case Adopt(record=record) | Destroy(record=record) | Reset(record=record):
                managed = self._inherited.running(kept[record.uuid])
                self._later(managed, "take over", partial(self._taken_over, managed, action))
            case Discover(uuid=uuid):
                managed = self._inherited.unrecorded(uuid, facts)
                self._later(managed, "take over", partial(self._taken_over, managed, action))
            case Undo(record=record, again=False) | Forget(record=record):
                undo = self._runs.undo if isinstance(action, Undo) else self._runs.forget
                self._clear(record, partial(undo, record))
            case Undo(record=record):
                managed = self._inherited.ended(kept[record.uuid])
                self._later(managed, "start again", partial(self._repeated, managed, record))
            case Conclude(record=record) if record.next is Next.OFF:
                self._inherited.tell_end(record)
                self._clear(record, partial(self._concluded, record))
            case Conclude(record=record):
                managed = self._inherited.ended(kept[record.uuid])
                self._later(managed, "conclude", partial(self._continued, managed, record))
            case Drop(uuid=uuid):
                self._clear_unrecorded(uuid, facts.held.get(uuid), facts.relics.get(uuid))

    def _later(self, managed: ManagedDomain, verb: str, work: Work) -> None:
        """Do work on a domain when its turn comes. The domain is locked from now on, and what waits for it hurries."""

        async def in_turn() -> None:
            async with self._line.turn(managed.uuid):
                await work()

        async def locked() -> None:
            try:
                await managed.lock.perform_surely(verb, in_turn)
            except Exception as error:  # whatever it was, it concerns this domain alone
                LOGGER.error("cannot %s domain '%s': %s", verb, managed.name, error)
            finally:
                managed.lock.hurry = nobody

        managed.lock.hurry = partial(self._line.hurry, managed.uuid)
        self._work.append(self._lifecycle.spawn(locked(), f"{verb} {managed.name}"))

    def _clear(self, record: RunRecord, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._wait_for(self._runs.leftovers.clear(record.uuid, record.name, work))

    def _wait_for(self, leftover: Leftover) -> None:
        """Let take_over wait for the first attempt of something that is tried until it succeeds."""
        self._work.append(asyncio.create_task(leftover.attempted.wait(), name=f"clear up after {leftover.name}"))

    def _clear_unrecorded(self, uuid: UUID, held: Held | None, relic: ContainerRecord | None) -> None:
        async def drop() -> None:
            if held is not None and held.status is None:
                await self._engine.teardown.take_away(Remains(uuid=str(uuid)))
            elif held is not None:
                await self._engine.teardown.forget(Remains(uuid=str(uuid)))
            if relic is not None:
                await self._engine.teardown.release(self._engine.succession.handle(relic), UNKNOWN)

        name = str(uuid) if relic is None else relic.spec.name
        self._wait_for(self._runs.leftovers.clear(uuid, name, drop))

    # Taking over

    async def _taken_over(self, managed: ManagedDomain, action: Action, attempt: int = 0) -> None:
        """Make the guest this daemon's, and finish what the one before had begun. Callers hold the lock."""
        run = managed.run
        if run is None or run.is_ours:
            return
        try:
            found = await self._engine.succession.recover(run.container.record)
            if found is None:
                await self._lifecycle.ended(managed, UNKNOWN)
            else:
                await self._adopted(managed, found)
            if isinstance(action, Reset) and managed.run is run:
                await self._lifecycle.reset_locked(managed)
            elif isinstance(action, Destroy) and (managed.is_active or managed.will_restart):
                await self._lifecycle.destroy_locked(managed)
        except Exception as error:  # whatever it was: the guest lives, and must not count as off
            if managed.run is not run:
                raise
            LOGGER.error("domain '%s' runs, and cannot be taken over: %s", managed.name, error)
            managed.notice(f"it runs, could not be taken over from the insulad before, and is tried again: {error}")
            self._again_later(managed, action, attempt)
        finally:
            if run.adoption is not None and not run.adoption.done():
                run.adoption.set_result(None)

    async def _adopted(self, managed: ManagedDomain, found: Running) -> None:
        status, found.status = found.status, None
        found.described = managed.require_run().container.described
        try:
            if found.status is None:
                await self._limits.settle_interrupted(managed, found)
            await self._runs.adopted(managed, found)
        except BaseException:
            found.close()
            raise
        if status is not None:
            await self._lifecycle.ended(managed, status)
        else:
            self._shutdown.watch_again(managed)
            await self._reseating.settle(managed)
            await self._devices.adopt(managed, found)

    def _again_later(self, managed: ManagedDomain, action: Action, attempt: int) -> None:
        run = managed.run
        work = partial(self._taken_over, managed, action, attempt + 1)

        async def again() -> None:
            await asyncio.sleep(RETRIES[min(attempt, len(RETRIES) - 1)])
            if managed.run is run:
                await managed.lock.perform_surely("take over", work)

        task = asyncio.create_task(again(), name=f"take over {managed.name} again")
        self._retries.add(task)
        task.add_done_callback(self._retries.discard)

    async def _repeated(self, managed: ManagedDomain, record: RunRecord) -> None:
        """Make a restart again that was cut short."""
        if record.intent is not None:
            await self._cleared_or_later(managed, record, partial(self._engine.teardown.take_away, record.intent))
        await self._lifecycle.repeat(managed)

    async def _concluded(self, record: RunRecord) -> None:
        """Remove what is left of a run whose end was decided, and its record."""
        await self._cleared(record)
        await self._runs.forget(record)

    async def _continued(self, managed: ManagedDomain, record: RunRecord) -> None:
        await self._cleared_or_later(managed, record, partial(self._cleared, record))
        if record.next is Next.RESTART:
            await self._lifecycle.follow(managed, record, shown_off=True)

    async def _cleared_or_later(self, managed: ManagedDomain, record: RunRecord, clear: Work) -> None:
        """Take away what a run left; what stays is tried again, by the start that follows too."""
        try:
            await clear()
        except (OSError, InsulaError) as error:
            LOGGER.error("something of domain '%s' stays behind: %s", managed.name, error)
            self._runs.clear_later(managed, record, clear)

    async def _cleared(self, record: RunRecord) -> None:
        """Remove what is left of a run: the guest too, if the kill was cut short."""
        if record.container is None:
            return
        container = ContainerRecord.decode(dict(record.container))
        found = await self._engine.succession.recover(container)
        if found is not None:
            found.status = None  # how it ended was decided before: this is a handle of something to be cleared up
            await self._engine.teardown.destroy(found)
        else:
            handle = self._engine.succession.handle(container)
            await self._engine.teardown.release(handle, UNKNOWN)

    async def _release_ids(self) -> None:
        """Give back the ids of domains that are no more: whoever ended or undefined them had no time to."""
        there = self._directory.uuids() | {managed.uuid for managed in self._registry}
        try:
            await asyncio.to_thread(self._preparation.release_others, there)
        except (OSError, InsulaError) as error:
            LOGGER.error("the ids of domains that are no more are not given back: %s", error)
