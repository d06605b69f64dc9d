"""Define, undefine, autostart: what is kept of a domain whether it runs or not."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from insula.errors import DomainNotFoundError, OperationFailedError, OperationInvalidError
from insula.model.domain import Domain
from insula.model.lifecycle import DefinedDetail, LifecycleDetail, LifecycleKind, UndefinedDetail
from insula.service.definitions import Definitions
from insula.service.events import Events, Lifecycle
from insula.service.managed import ManagedDomain
from insula.service.registry import Registry
from insula.service.requests import Storage
from insula.service.running import Next
from insula.service.runs import Runs

LOGGER = logging.getLogger(__name__)


class DefinitionVerbs:
    """Changes definitions: on the disk first, then in memory, then told."""

    def __init__(self, *, registry: Registry, definitions: Definitions, runs: Runs, events: Events) -> None:
        self._registry = registry
        self._definitions = definitions
        self._runs = runs
        self._events = events

    async def define(self, domain: Domain) -> ManagedDomain:
        """Keep domain as what is defined; one that runs goes on as it is, and is persistent from now on.

        Raises: DomainExistsError if the name belongs to another UUID, or the UUID to another name.
        """
        known = self._registry.admit(domain.name, domain.uuid)
        managed = known or self._registry.add(domain, config=domain)

        async def work() -> None:
            added = known is None or not managed.is_persistent
            try:
                await self._save_with_storage(managed, domain)
            except BaseException:
                if known is None:
                    self._registry.remove(managed)
                raise
            managed.define(domain)
            if managed.kept is not None and managed.kept.next is Next.PRESERVE:
                managed.kept = replace(managed.kept, throwaway=False)  # recovery does the same to the one on the disk
            await self._runs.reserve(domain)
            self._tell(managed, LifecycleKind.DEFINED, DefinedDetail.ADDED if added else DefinedDetail.UPDATED)

        try:
            await managed.perform("define", work)
        except DomainNotFoundError:
            # Undefined by another client while we waited for our turn: then this is a new domain.
            return await self.define(domain)
        return managed

    async def undefine(self, managed: ManagedDomain, storage: Storage) -> None:
        """Forget what is defined; one that runs becomes transient. What is to be discarded goes at the run's end."""

        async def work() -> None:
            if not managed.is_persistent:
                raise OperationInvalidError("cannot undefine transient domain")
            await _on_disk(lambda: self._definitions.remove(managed.name), f"forget domain '{managed.name}'")
            managed.config, managed.autostart, managed.updated = None, False, False
            if managed.is_active:
                if storage is Storage.DISCARD:
                    await self._runs.keep_storage(managed, throwaway=True)
            elif managed.kept is not None:
                if storage is Storage.DISCARD:
                    self._runs.discard_later(managed)
            else:
                self._registry.remove(managed)
                await self._runs.release(managed.uuid)
                if storage is Storage.DISCARD:
                    await self._runs.discard_storage(managed.uuid)
            self._tell(managed, LifecycleKind.UNDEFINED, UndefinedDetail.REMOVED)

        await managed.perform("undefine", work)

    async def set_autostart(self, managed: ManagedDomain, *, on: bool) -> None:
        """Let the domain start with the daemon, or not."""

        async def work() -> None:
            if not managed.is_persistent:
                raise OperationInvalidError("cannot set autostart for transient domain")
            await _on_disk(
                lambda: self._definitions.set_autostart(managed.name, on=on),
                f"change whether domain '{managed.name}' starts with the daemon",
            )
            managed.autostart = on

        await managed.perform("set autostart", work)

    async def save(self, domain: Domain) -> None:
        """Write a definition to the disk. Raises: OperationFailedError, and the old one stands."""
        await _on_disk(lambda: self._definitions.save(domain), f"save the definition of domain '{domain.name}'")

    async def change(self, managed: ManagedDomain, config: Domain) -> None:
        """Take config as what is defined, after a change of a part of it. Callers hold the lock."""
        await self.save(config)
        managed.config = config
        if not managed.is_active:
            managed.current = config

    async def _save_with_storage(self, managed: ManagedDomain, domain: Domain) -> None:
        """Save, and let what was to vanish with a transient domain's run stay.

        It stays before anything is defined: killed in between we leave a disk too many, not a domain without its disk.
        """
        if managed.run is None or not managed.run.record.throwaway:
            await self.save(domain)
            return
        await self._keep_storage(managed, throwaway=False)
        try:
            await self.save(domain)
        except BaseException:
            try:
                await self._keep_storage(managed, throwaway=True)
            except OperationFailedError as error:
                LOGGER.error("%s; it stays when the domain ends", error)
            raise

    async def _keep_storage(self, managed: ManagedDomain, *, throwaway: bool) -> None:
        try:
            await self._runs.keep_storage(managed, throwaway=throwaway)
        except OSError as error:
            raise OperationFailedError(
                f"cannot note what becomes of the storage of domain '{managed.name}': {error}"
            ) from error

    def _tell(self, managed: ManagedDomain, kind: LifecycleKind, detail: LifecycleDetail) -> None:
        self._events.publish(Lifecycle(domain=managed.ref, kind=kind, detail=detail))


async def _on_disk(work: Callable[[], None], what: str) -> None:
    """Do what waits for the disk beside the loop. Raises: OperationFailedError."""
    try:
        await asyncio.to_thread(work)
    except OSError as error:
        raise OperationFailedError(f"cannot {what}: {error}") from error
