"""Define, undefine, autostart: what is kept of a domain whether it runs or not."""

import logging
from dataclasses import replace
from functools import partial

from insula.engine.threads import in_own_thread
from insula.errors import (
    DomainNotFoundError,
    InsulaError,
    OperationFailedError,
    OperationInvalidError,
    UnsupportedConfigError,
)
from insula.model.domain import DomainDefinition
from insula.model.domainstates import DefinedDetail, LifecycleDetail, LifecycleKind, UndefinedDetail
from insula.model.numbers import XmlFlags
from insula.model.scalars import DomainName
from insula.service.definitionchanges import DefinitionChanges
from insula.service.domains import Domains
from insula.service.events import Events, LifecycleEvent
from insula.service.jobs import OperationKind
from insula.service.managed import ManagedDomain
from insula.service.runs import Runs
from insula.service.startoptions import Storage
from insula.service.startorder import cycle_through, needs_in

_WHOLE = XmlFlags.INACTIVE | XmlFlags.SECURE
LOGGER = logging.getLogger(__name__)


class DefinitionVerbs:
    """Changes definitions: on the disk first, then in memory, then told."""

    def __init__(
        self, *, registry: Domains, definitions: DefinitionChanges[DomainDefinition], runs: Runs, events: Events
    ) -> None:
        self._registry = registry
        self._definitions = definitions
        self._runs = runs
        self._events = events

    async def define(self, domain: DomainDefinition) -> ManagedDomain:
        """Keep domain as what is defined; one that runs goes on as it is, and is persistent from now on.

        Raises: DomainExistsError if the name belongs to another UUID, or the UUID to another name;
        UnsupportedConfigError if it would depend on itself.
        """
        known = self._registry.admit(domain.name, domain.uuid)
        self._refuse_cycle(domain)
        managed = known or self._registry.new(domain, definition=domain)

        async def work() -> None:
            added = known is None or not managed.is_persistent
            try:
                await self._save_with_storage(managed, domain, new=known is None)
            except BaseException:
                if known is None:
                    try:
                        await self._runs.release(managed.uuid)  # while its name and UUID are taken
                    finally:
                        self._registry.remove(managed)
                raise
            managed.define(domain)
            self._tell(managed, LifecycleKind.DEFINED, DefinedDetail.ADDED if added else DefinedDetail.UPDATED)

        try:
            await managed.lock.perform("define", work, change=OperationKind.DEFINITION)
        except DomainNotFoundError:
            # Undefined by another client while we waited for our turn: then this is a new domain.
            return await self.define(domain)
        return managed

    async def undefine(self, managed: ManagedDomain, storage: Storage) -> None:
        """Forget what is defined; one that runs becomes transient. What is to be discarded goes at the run's end."""

        async def work() -> None:
            if not managed.is_persistent:
                raise OperationInvalidError("cannot undefine transient domain")
            if storage is Storage.DISCARD:
                await self._mark(managed, ephemeral=True)
            try:
                await self._definitions.remove(managed)
            except BaseException:
                if storage is Storage.DISCARD:
                    await self._mark_again(managed, ephemeral=False)
                raise
            # It is undefined: from here on nothing may end this half done.
            stays = managed.is_active or managed.ended_record is not None
            if not stays:
                # While its name and UUID are taken: what another domain of these has must not be taken away.
                if storage is Storage.DISCARD:
                    await self._runs.storage.discard(managed.uuid)
                await self._runs.release(managed.uuid)
                self._registry.remove(managed)
            managed.definition, managed.updated = None, False
            managed.autostart = managed.autostart_once = False
            if stays and storage is Storage.DISCARD:
                self._runs.journal.note_storage(managed, ephemeral=True)
            self._tell(managed, LifecycleKind.UNDEFINED, UndefinedDetail.REMOVED)

        await managed.lock.perform("undefine", work, change=OperationKind.DEFINITION)

    async def rename(self, managed: ManagedDomain, name: str) -> None:
        """Call what is defined and does not run otherwise; nothing else of it changes.

        Raises: OperationInvalidError if it runs, is transient, or has that name; DomainExistsError if another has it;
        XmlError if it is no name.
        """

        async def work() -> None:
            config = managed.require_config()
            if managed.is_active or managed.ended_record is not None:
                raise OperationInvalidError("cannot rename active domain")
            if name == managed.name:
                raise OperationInvalidError("can't rename domain to itself")
            named = DomainDefinition.load(replace(config, name=DomainName(name)).dump(_WHOLE), bounded=False)
            self._registry.claim(managed, name)
            try:
                await self._definitions.rename(
                    managed, named, autostart=managed.autostart, autostart_once=managed.autostart_once
                )
            except BaseException:
                self._registry.disclaim(name)
                raise
            self._tell(managed, LifecycleKind.UNDEFINED, UndefinedDetail.RENAMED)
            former = managed.name
            self._registry.rename(managed, name)
            managed.definition = managed.description = named
            managed.lock.name = name
            self._tell(managed, LifecycleKind.DEFINED, DefinedDetail.RENAMED)
            await self._runs.move_logs(former, name)

        await managed.lock.perform("rename", work, change=OperationKind.DEFINITION)

    async def set_autostart(self, managed: ManagedDomain, *, on: bool) -> None:
        """Let the domain start with the daemon, or not."""

        async def work() -> None:
            if not managed.is_persistent:
                raise OperationInvalidError("cannot set autostart for transient domain")
            await self._definitions.set_autostart(managed, on=on)
            managed.autostart = on

        await managed.lock.perform("set autostart", work, change=OperationKind.DEFINITION)

    async def set_autostart_once(self, managed: ManagedDomain, *, on: bool) -> None:
        """Let the domain start with the host's next start, or not; whatever it does at others."""

        async def work() -> None:
            if not managed.is_persistent:
                raise OperationInvalidError("cannot set autostart for transient domain")
            await self._definitions.set_autostart(managed, on=on, once=True)
            managed.autostart_once = on

        await managed.lock.perform("set autostart", work, change=OperationKind.DEFINITION)

    async def change(self, managed: ManagedDomain, config: DomainDefinition) -> None:
        """Take config as what is defined, after a change of a part of it. Callers hold the lock."""
        former = managed.config
        if former is None or config.settings.depends_on != former.settings.depends_on:
            self._refuse_cycle(config)
        await self._definitions.save(managed, config)
        managed.definition = config
        if not managed.is_active:
            managed.description = config

    def _refuse_cycle(self, domain: DomainDefinition) -> None:
        """Raises: UnsupportedConfigError if domain would depend on itself, by way of others."""

        def needs_of(name: str) -> tuple[str, ...]:
            try:
                config = self._registry.by_name(name).config
            except InsulaError:  # not there yet, or not to be made out: the host's start tells
                return ()
            return () if config is None else needs_in(config)

        if way := cycle_through(domain.name, needs_in(domain), needs_of):
            raise UnsupportedConfigError(f"domain '{domain.name}' would depend on itself: {' → '.join(way)}")

    async def _clear_place(self, domain: DomainDefinition) -> None:
        """Finish what an earlier domain with this UUID left: its storage was to vanish, and is not the new one's."""
        if not self._runs.storage.is_doomed(domain.uuid):
            return
        try:
            await in_own_thread(partial(self._runs.storage.discard_doomed, domain.uuid))
        except OSError as error:
            raise OperationFailedError(
                f"the storage of an earlier domain {domain.uuid} was to be removed, and cannot be: {error}"
            ) from error

    async def _save_with_storage(self, managed: ManagedDomain, domain: DomainDefinition, *, new: bool) -> None:
        """Save, give the domain its ids, and let what was to vanish with a transient domain's run stay.

        It stays before anything is defined: killed in between we leave a disk too many, not a domain without its disk.
        Ids that were given to one that is not defined in the end, the next daemon takes back.
        """
        if new:
            await self._clear_place(domain)
        save = partial(self._definitions.save, managed, domain, beside=partial(self._runs.get_ready, domain))
        if not self._runs.journal.is_ephemeral(managed):
            await save()
            return
        await self._mark(managed, ephemeral=False)
        try:
            await save()
        except BaseException:
            await self._mark_again(managed, ephemeral=True)
            raise
        self._runs.journal.note_storage(managed, ephemeral=False)

    async def _mark(self, managed: ManagedDomain, *, ephemeral: bool) -> None:
        """Note where it outlives us, and the run, what becomes of the storage. Raises: OperationFailedError."""
        try:
            await self._runs.storage.mark(managed.uuid, ephemeral=ephemeral)
        except OSError as error:
            raise OperationFailedError(
                f"cannot note what becomes of the storage of domain '{managed.name}': {error}"
            ) from error

    async def _mark_again(self, managed: ManagedDomain, *, ephemeral: bool) -> None:
        """Take a mark back after something else has failed. What is defined loses it at the next start anyway."""
        try:
            await self._mark(managed, ephemeral=ephemeral)
        except OperationFailedError as error:
            LOGGER.error("%s; it should %s", error, "vanish with its run" if ephemeral else "stay")

    def _tell(self, managed: ManagedDomain, kind: LifecycleKind, detail: LifecycleDetail) -> None:
        self._events.publish(LifecycleEvent(domain=managed.ref, kind=kind, detail=detail))
