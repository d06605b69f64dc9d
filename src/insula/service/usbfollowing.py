"""Follows USB devices that are pulled out and plugged in again: guests that run have those they were given by model.

the kernel tells of a device ─► a moment later, what is plugged in is read once for each guest that has USB devices
─► its nodes go and come in its lock ─► the live definition and the run's record ─► device-removed, device-added
"""

import asyncio
import logging
from uuid import UUID

from insula.errors import InsulaError
from insula.model.domain import DomainDefinition
from insula.service.domains import Domains
from insula.service.events import DeviceAdded, DeviceRemoved, Events
from insula.service.livedevices import LiveDevices
from insula.service.managed import ManagedDomain
from insula.service.runs import Runs
from insula.service.unread import UnreadDefinition
from insula.service.usbchoice import UsbChoice, has_usb, usb_address

LOGGER = logging.getLogger(__name__)

PAUSE = 0.2
"""Seconds from the kernel's word until it is acted on: one plug makes dozens, and the node appears among them."""


class UsbFollowing:
    """Gives and takes nodes by what is plugged in, from `begin` on."""

    def __init__(
        self,
        *,
        domains: Domains,
        runs: Runs,
        devices: LiveDevices,
        choice: UsbChoice,
        events: Events,
        pause: float = PAUSE,
    ) -> None:
        self._domains = domains
        self._runs = runs
        self._devices = devices
        self._choice = choice
        self._events = events
        self._pause = pause
        self._due: asyncio.TimerHandle | None = None
        self._waiting: set[UUID] = set()
        """Domains whose turn has not come yet, and which need no second one."""
        self._begun = False

    def begin(self) -> None:
        """Every guest is this daemon's now: what was plugged in or pulled out while none ran is made up for."""
        self._begun = True
        self._choice.concerned |= {each.uuid for each in self._domains if each.is_active and _may_have_usb(each)}
        self.soon()

    def close(self) -> None:
        """Follow nothing any more."""
        self._begun = False
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def soon(self) -> None:
        """Take the word that devices came or went. Returns at once."""
        if self._begun and self._due is None and self._choice.concerned:
            self._due = asyncio.get_running_loop().call_later(self._pause, self._look)

    def _look(self) -> None:
        self._due = None
        for uuid in sorted(self._choice.concerned):
            managed = self._domains.find(uuid)
            # One that starts was given what was plugged in when it began: it is looked at once it runs.
            if managed is None or not (managed.is_active or uuid in self._choice.choosing):
                self._choice.concerned.discard(uuid)
                continue
            if uuid in self._waiting:
                continue
            self._waiting.add(uuid)
            self._domains.tasks.begin(self._followed(managed), f"follow the USB devices of {managed.name}")

    async def _followed(self, managed: ManagedDomain) -> None:
        try:
            await managed.lock.perform_surely("follow the USB devices of", lambda: self._follow(managed))
        except (InsulaError, OSError) as error:
            LOGGER.error("domain '%s': its USB devices stay as they were: %s", managed.name, error)
            managed.notice(f"its USB devices stay as they were: {error}")
        finally:
            self._waiting.discard(managed.uuid)

    async def _follow(self, managed: ManagedDomain) -> None:
        self._waiting.discard(managed.uuid)
        run = managed.run
        if run is None or run.ending or not run.is_ours:
            return
        before = managed.current
        async with self._choice.found_again(managed) as located:
            if located.domain == before:
                self._choice.tell(managed, located)
                return
            # By force: what was pulled out is of no use to who has it open.
            await self._devices.put(managed, located.domain, force=True)
            self._runs.journal.change_domain(managed, located.domain)
        self._choice.tell(managed, located)
        self._tell(managed, before, located.domain)

    def _tell(self, managed: ManagedDomain, before: DomainDefinition, now: DomainDefinition) -> None:
        """Say which devices have lost a node, and which have one: of one that moved both."""
        places, former = _places(now), _places(before)
        for alias, place in former.items():
            if places.get(alias) != place:
                LOGGER.info("domain '%s': the USB device %s, %s, was pulled out", managed.name, place, alias)
                self._events.publish(DeviceRemoved(domain=managed.ref, alias=alias))
        for alias, place in places.items():
            if former.get(alias) != place:
                LOGGER.info("domain '%s': the USB device %s, %s, was plugged in", managed.name, place, alias)
                self._events.publish(DeviceAdded(domain=managed.ref, alias=alias))


def _places(domain: DomainDefinition) -> dict[str, str]:
    """Where each USB device that is plugged in is, by alias."""
    found = ((each.alias, usb_address(each)) for each in domain.devices.host_devices)
    return {alias: str(address) for alias, address in found if alias and address is not None}


def _may_have_usb(managed: ManagedDomain) -> bool:
    """Whether it is worth while to read what describes a domain."""
    described = managed.known_description
    if isinstance(described, UnreadDefinition):
        return described.text is None or "usb" in described.text
    return has_usb(described)
