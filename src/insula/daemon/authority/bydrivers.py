"""Access by drivers: for each call all of them are asked about every permission it needs, and about what it lists."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from insula.daemon.access import AccessCheck, Asked, ByConnection, Seen
from insula.daemon.authority.accessdrivers import DRIVER_SECONDS, AccessDriver
from insula.daemon.authority.accessobjects import AccessObject, object_of
from insula.daemon.authority.furtherneeds import further_needs
from insula.daemon.authority.lists import listed
from insula.daemon.complaints import Complaints
from insula.daemon.incomingcall import Services
from insula.daemon.peers import Peer
from insula.errors import AccessDeniedError
from insula.rpc.arrivals import Call
from insula.rpc.permissions import Permission

_logger = logging.getLogger(__name__)

SEEING: Final = "getattr"
"""The permission by which a thing is seen: in lists, and in what is told of it unasked."""

QUESTIONS_AT_ONCE: Final = 8
"""To which drivers owe an answer about one client: fewer than polkit takes of one account."""

NamedDriver = tuple[str, AccessDriver]
"""A driver, and what it is called in the settings."""


class Jury:
    """The drivers, asked about one client. Who says no, or nothing, is named.

    drivers: those of the policy, which a reload of the settings may change; without any nobody says no.
    A long list is many questions; each one's time begins when it is its turn.
    """

    def __init__(self, drivers: Sequence[NamedDriver], peer: Peer, complaints: Complaints) -> None:
        self._drivers = drivers
        self._peer = peer
        self._complaints = complaints
        self._places = asyncio.Semaphore(QUESTIONS_AT_ONCE)

    @property
    def sits(self) -> bool:
        """Whether anybody is to be asked now."""
        return bool(self._drivers)

    def meet(self, peer: Peer) -> None:
        """Know the client better, who has proved who it is."""
        self._peer = peer

    async def refuser(self, permission: Permission, about: AccessObject) -> str | None:
        """Return the name of the driver that says no, None if all say yes."""
        for name, driver in tuple(self._drivers):
            if not await self._permits(name, driver, permission, about):
                return name
        return None

    async def sees(self, about: AccessObject) -> bool:
        """Whether the client may know that a thing is there."""
        return await self.refuser(Permission(about.kind, SEEING), about) is None

    async def _permits(self, name: str, driver: AccessDriver, permission: Permission, about: AccessObject) -> bool:
        try:
            async with self._places, asyncio.timeout(DRIVER_SECONDS):
                return await driver.permits(self._peer, permission, about) is True
        except Exception as error:
            why = f"it did not answer within {DRIVER_SECONDS:g} s" if isinstance(error, TimeoutError) else str(error)
            text = f"the access driver '{name}' denied {permission} on {about}: {why}"
            self._complaints.complain(self._peer.account, text)
            return False


class ByDrivers:
    """What a connection allows, and then the drivers."""

    def __init__(self, jury: Jury, *, read_only: bool) -> None:
        self._by_connection = ByConnection(read_only=read_only)
        self._jury = jury

    def check(self, call: Call, services: Services) -> Asked | None:
        """See `AccessCheck`."""
        self._by_connection.check(call, services)
        if not self._jury.sits:
            return None
        needed = tuple(dict.fromkeys(call.procedure.permissions(call.arguments)))
        if not needed:
            return None

        async def ask() -> Seen:
            for permission in needed:
                await self._require(permission, call, services)
            for permission, about in await further_needs(call, services):
                _refuse(await self._jury.refuser(permission, about), permission, about)
            return await self._seen(call, services)

        return ask

    async def _require(self, permission: Permission, call: Call, services: Services) -> None:
        """Raises: AccessDeniedError unless all drivers say yes, to what is still the same thing afterwards."""
        about = await object_of(call, permission.object, services)
        if about is None:
            return  # it is not there: the answer says so
        refuser = await self._jury.refuser(permission, about)
        if refuser is None and await object_of(call, permission.object, services) != about:
            raise AccessDeniedError(f"{about} has become another while it was asked who may do what with it")
        _refuse(refuser, permission, about)

    async def _seen(self, call: Call, services: Services) -> Seen:
        things = await listed(call, services)
        if things is None:
            return None
        verdicts = await asyncio.gather(*(self._jury.refuser(need, about) for _, need, about in things))
        return frozenset(key for (key, *_), refuser in zip(things, verdicts, strict=True) if refuser is None)


def _refuse(refuser: str | None, permission: Permission, about: AccessObject) -> None:
    """Raises: AccessDeniedError if a driver says no."""
    if refuser is not None:
        raise AccessDeniedError(f"'{refuser}' denied access: {permission} on {about}")


def access_of(jury: Jury | None, *, read_only: bool) -> AccessCheck:
    """Return what decides about a client's calls."""
    return ByConnection(read_only=read_only) if jury is None else ByDrivers(jury, read_only=read_only)
