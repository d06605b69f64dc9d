"""Helpers of guests' interfaces that end by themselves, or are killed: begun anew, and the administrator is told."""

import logging
from dataclasses import replace
from functools import partial
from typing import Protocol
from uuid import UUID

from insula.engine.interfaceperformer import InterfaceHelper
from insula.engine.launch.runningcontainer import ContainerRecord
from insula.errors import InsulaError, OperationInvalidError
from insula.kernel.processidentity import ProcessIdentity
from insula.model.domainstates import LifecycleKind
from insula.service.containers import ContainerEngine
from insula.service.domains import Domains
from insula.service.events import DeviceAdded, DeviceRemoved, Event, LifecycleEvent, Reboot
from insula.service.managed import ManagedDomain
from insula.service.runs import Runs

LOGGER = logging.getLogger(__name__)


class ProcessFollowing(Protocol):
    """Notices that processes end; see `network.processwatch`."""

    def follow(self, name: str, identity: ProcessIdentity | None) -> None: ...

    def forget(self, name: str) -> None: ...


class HelperRevival:
    """Follows the helpers of running guests, by what is told of domains."""

    def __init__(self, *, domains: Domains, engine: ContainerEngine, runs: Runs) -> None:
        self._domains = domains
        self._engine = engine
        self._runs = runs
        self._following: ProcessFollowing | None = None
        self._followed: dict[UUID, dict[str, InterfaceHelper]] = {}
        """By domains and their interfaces inside."""

    def attend(self, following: ProcessFollowing) -> None:
        """Follow the helpers of guests from now on; called once those that run are known."""
        self._following = following
        for each in self._domains:
            self._look(each.uuid)

    def heard(self, event: Event) -> None:
        """Take note of what has happened; a subscriber of `Events`."""
        match event:
            case LifecycleEvent(kind=LifecycleKind.STARTED | LifecycleKind.STOPPED):
                self._look(event.domain.uuid)
            case DeviceAdded() | DeviceRemoved() | Reboot():
                self._look(event.domain.uuid)

    def _look(self, uuid: UUID) -> None:
        """Follow a domain's helpers as they are now."""
        if self._following is None:
            return
        managed = self._domains.find(uuid)
        run = managed.run if managed is not None else None
        connected = run.container.record.connected if run is not None else ()
        now = {each.guest: each.helper for each in connected if each.helper is not None}
        former = self._followed.pop(uuid, {})
        for guest in former.keys() - now.keys():
            self._following.forget(_name(uuid, guest))
        for guest, helper in now.items():
            if former.get(guest) != helper:
                self._following.follow(_name(uuid, guest), helper.process)
        if now:
            self._followed[uuid] = now

    def ended(self, name: str) -> None:
        """Take the word that the helper followed by a name has ended. Returns at once."""
        uuid, _, guest = name.partition(" ")
        managed = self._domains.find(UUID(uuid))
        if managed is not None:
            work = managed.lock.perform_surely("revive a helper of", partial(self._revived, managed, guest))
            self._domains.tasks.begin(work, f"revive the helper of interface {guest} of {managed.name}")

    async def _revived(self, managed: ManagedDomain, guest: str) -> None:
        run, helper = managed.run, self._followed.get(managed.uuid, {}).get(guest)
        if run is None or helper is None or helper not in [each.helper for each in run.container.record.connected]:
            return  # the guest has ended, or the interface is gone
        what = f"the {helper.program.value} of its interface '{guest}' ended"
        try:
            await self._engine.interfaces.revive(run.container, guest, partial(self._write, managed))
        except (OSError, InsulaError) as error:
            LOGGER.error("domain '%s': %s, and is not begun anew: %s", managed.name, what, error)
            managed.notice(f"{what}, and is not begun anew: {error}")
            if self._following is not None and not isinstance(error, OperationInvalidError):
                self._following.follow(_name(managed.uuid, guest), helper.process)  # which tells again after a while
            return
        LOGGER.warning("domain '%s': %s, and was begun anew", managed.name, what)
        managed.notice(f"{what}, and was begun anew")
        self._look(managed.uuid)

    def _write(self, managed: ManagedDomain, record: ContainerRecord) -> None:
        run = managed.require_run()
        self._runs.journal.change(managed, replace(run.record, container=record.encode()))


def _name(uuid: UUID, guest: str) -> str:
    return f"{uuid} {guest}"
