"""Performing what `recovery` decided: a new daemon takes over from the one before."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from insula.engine.running import Record as ContainerRecord
from insula.engine.running import Running
from insula.errors import InsulaError
from insula.service.containers import Engine
from insula.service.definitions import Definitions
from insula.service.endings import state_after
from insula.service.lifecycle import LifecycleVerbs
from insula.service.live import defined
from insula.service.managed import ManagedDomain
from insula.service.recovery import (
    UNKNOWN,
    Action,
    Adopt,
    Conclude,
    Destroy,
    Facts,
    Finish,
    Forget,
    Guest,
    Stray,
    Undo,
    decide,
    said,
)
from insula.service.registry import Registry
from insula.service.running import Kept, Next, Record, RunDirectory, StopReason
from insula.service.runs import BOOTED, PAUSED, UNPAUSED, Preparation, Runs

LOGGER = logging.getLogger(__name__)


class Recovery:
    """Brings the registry in line with what is: definitions, runs, and what the keeper holds."""

    def __init__(
        self,
        *,
        registry: Registry,
        definitions: Definitions,
        directory: RunDirectory,
        engine: Engine,
        runs: Runs,
        preparation: Preparation,
        lifecycle: LifecycleVerbs,
        boot_id: str,
    ) -> None:
        self._registry = registry
        self._definitions = definitions
        self._directory = directory
        self._engine = engine
        self._runs = runs
        self._preparation = preparation
        self._lifecycle = lifecycle
        self._boot_id = boot_id
        self._found: dict[UUID, Running] = {}

    async def recover(self) -> None:
        """Take over everything there is; called once, before anybody else may ask for anything.

        What cannot be taken over is named in the log, and stops nothing else.
        """
        definitions = await asyncio.to_thread(self._definitions.load)
        for definition in definitions:
            self._registry.add(definition.domain, config=definition.domain, autostart=definition.autostart)
        defined_ones = frozenset(each.domain.uuid for each in definitions)
        await asyncio.to_thread(self._keep_storage, defined_ones)
        kept = {each.record.uuid: _with_storage(each, defined_ones) for each in self._directory.load()}
        unreadable = self._directory.uuids() - kept.keys()
        await asyncio.to_thread(self._preparation.sweep, frozenset(kept.keys() | unreadable))
        records = [each.record for each in kept.values()]
        for action in decide(records, unreadable, await self._facts(records)):
            try:
                await self._perform(action, kept)
            except (OSError, ValueError, InsulaError) as error:
                LOGGER.error("recovery failed at %s: %s", said(action), error)
        self._found.clear()
        await self._release_ids()

    async def _release_ids(self) -> None:
        """Give back the ids of domains that are no more: whoever ended or undefined them had no time to."""
        there = self._directory.uuids() | {managed.uuid for managed in self._registry}
        try:
            await asyncio.to_thread(self._preparation.release_others, there)
        except (OSError, InsulaError) as error:
            LOGGER.error("the ids of domains that are no more are not given back: %s", error)

    def _keep_storage(self, uuids: frozenset[UUID]) -> None:
        for each in uuids:
            try:
                self._preparation.keep(each, throwaway=False)
            except OSError as error:
                LOGGER.error("the storage of domain %s, which is defined, is still marked to vanish: %s", each, error)

    async def keeper_replaced(self) -> None:
        """Hand every guest that runs to a keeper that has just begun."""
        held = {each.uuid for each in await self._engine.held()}
        for managed in list(self._registry):
            run = managed.run
            # One whose end is under way is cleared up without a keeper; the new one would never be told to forget it.
            if run is not None and not run.ending and str(managed.uuid) not in held:
                try:
                    await self._engine.adopt(run.container)
                except (OSError, InsulaError) as error:
                    LOGGER.error("domain '%s' cannot be given to the new keeper: %s", managed.name, error)

    async def _facts(self, records: Sequence[Record]) -> Facts:
        held = await self._engine.held()
        guests: dict[UUID, Guest] = {}
        for record in records:
            container = await self._find(record)
            if container is not None:
                guests[record.uuid] = Guest(status=container.status)
                # From here on the status is the decision's; the handle is one of something to be cleared up.
                container.status = None
                self._found[record.uuid] = container
        return Facts(boot_id=self._boot_id, guests=guests, held=frozenset(UUID(each.uuid) for each in held))

    async def _find(self, record: Record) -> Running | None:
        """What is left of the guest that a record tells of, None if nothing is."""
        if record.container is None or record.boot_id != self._boot_id:
            return None
        try:
            return await self._engine.recover(ContainerRecord.decode(dict(record.container)))
        except (OSError, ValueError, InsulaError) as error:
            LOGGER.error("what is left of domain '%s' cannot be found: %s", record.name, error)
            return None

    async def _perform(self, action: Action, kept: Mapping[UUID, Kept]) -> None:
        LOGGER.info("recovery: %s", said(action))
        match action:
            case Adopt(record=record):
                self._take(kept[record.uuid])
            case Finish(record=record, status=status):
                managed = self._take(kept[record.uuid])
                await self._lifecycle.ended(managed, status)
            case Destroy(record=record):
                managed = self._take(kept[record.uuid])
                await self._lifecycle.destroy(managed)
            case Undo(record=record):
                await self._engine.undo(record.note or {"uuid": str(record.uuid)})
                if record.again:
                    await self._lifecycle.repeat(self._kept(kept[record.uuid]))
                else:
                    await self._runs.forget(record)
            case Conclude(record=record):
                await self._clear(record)
                await self._go_on(kept[record.uuid], record.next)
            case Forget(record=record):
                await self._runs.forget(record)
            case Stray(uuid=uuid):
                LOGGER.error("the keeper holds a guest %s that nothing tells of: it is ended", uuid)
                await self._engine.undo({"uuid": str(uuid)})

    def _take(self, kept: Kept) -> ManagedDomain:
        """Make a guest, alive or just ended, the run of its domain again."""
        managed = self._known(kept)
        container = self._found.get(kept.record.uuid) or self._remains(kept.record)
        self._runs.take(managed, kept.domain, container, kept.record, found_again=True)
        if container.held or (container.group.exists() and container.group.frozen):
            managed.state = PAUSED
        else:
            managed.state = UNPAUSED if kept.record.resumed else BOOTED
        return managed

    def _known(self, kept: Kept) -> ManagedDomain:
        """The domain of a run; one that nothing defines is transient.

        Raises: DomainExistsError if another domain was defined with its name meanwhile.
        """
        known = self._registry.admit(kept.domain.name, kept.domain.uuid)
        return known or self._registry.add(defined(kept.domain))

    def _remains(self, record: Record) -> Running:
        """A handle for clearing up after a guest of which neither the keeper nor the kernel knows any more."""
        container = ContainerRecord.decode(dict(record.container or {}))
        return Running(record=container, group=container.group_in(self._engine.facts.hierarchies))

    async def _clear(self, record: Record) -> None:
        """Remove what is left of a run whose end was decided: the guest too, if the kill was cut short."""
        found = self._found.get(record.uuid)
        if found is not None:
            await self._engine.destroy(found)
        elif record.container is not None:
            await self._engine.release(self._remains(record), UNKNOWN)

    async def _go_on(self, kept: Kept, then: Next) -> None:
        match then:
            case Next.OFF:
                await self._runs.forget(kept.record)
            case Next.PRESERVE:
                self._kept(kept)
            case Next.RESTART:
                managed = self._kept(kept)
                await self._lifecycle.follow(managed, kept.record)

    def _kept(self, kept: Kept) -> ManagedDomain:
        """Make a run that is over and not forgotten its domain's again."""
        managed = self._known(kept)
        managed.kept = kept.record
        managed.current = defined(kept.domain)
        managed.state = state_after(kept.record.reason or StopReason.UNKNOWN, kept.record.next)
        return managed


def _with_storage(kept: Kept, defined_ones: frozenset[UUID]) -> Kept:
    """A run as it is to be continued: nothing of what is defined vanishes with it, whatever its record says."""
    if kept.record.uuid not in defined_ones or not kept.record.throwaway:
        return kept
    return replace(kept, record=replace(kept.record, throwaway=False))
