"""What libvirt asks an agent in a guest: here none is needed. For who may log in see `accesscalls`."""

import time
from collections.abc import Sequence

from insula.daemon.incomingcall import Answer, Handler, IncomingCall
from insula.errors import ArgumentUnsupportedError, OperationUnsupportedError
from insula.model.numbers import GuestInfo
from insula.rpc.codes.requestcodes import TimeFlags
from insula.rpc.procedures import Procedure, Remote
from insula.service.managed import ManagedDomain

_NANOSECONDS = 1_000_000_000
_SAME = 2
"""Seconds: a client's time that is no further off is the host's."""


async def _info(request: IncomingCall, domain: ManagedDomain, types: int, flags: int) -> Answer:
    request.allow_flags(flags, 0)
    if types & ~sum(GuestInfo):
        raise ArgumentUnsupportedError(f"unknown kinds of information {types:#x}")
    return (await request.services.guest_system.info(domain, GuestInfo(types)),)


async def _filesystems(request: IncomingCall, domain: ManagedDomain, flags: int) -> Answer:
    request.allow_flags(flags, 0)
    found = await request.services.guest_filesystems.filesystems(domain)
    return [(each.shown, each.name, each.kind, ()) for each in found], len(found)


async def _freeze(request: IncomingCall, domain: ManagedDomain, mountpoints: Sequence[str], flags: int) -> Answer:
    request.allow_flags(flags, 0)
    return (await request.services.guest_filesystems.freeze(domain, mountpoints),)


async def _thaw(request: IncomingCall, domain: ManagedDomain, mountpoints: Sequence[str], flags: int) -> Answer:
    """All thaw at once, whichever are named: it is the guest that goes on."""
    request.allow_flags(flags, 0)
    return (await request.services.guest_filesystems.thaw(domain),)


async def _trim(
    request: IncomingCall, domain: ManagedDomain, mount_point: str | None, minimum: int, flags: int
) -> Answer:
    request.allow_flags(flags, 0)
    await request.services.guest_filesystems.trim(domain, mount_point, least=minimum)
    return None


def _time(request: IncomingCall, domain: ManagedDomain, flags: int) -> Answer:
    """The host's clock, which is the guest's."""
    request.allow_flags(flags, 0)
    domain.require_run()
    return divmod(time.time_ns(), _NANOSECONDS)


def _set_time(request: IncomingCall, domain: ManagedDomain, seconds: int, nseconds: int, flags: int) -> Answer:
    """Nothing is to be done for the time of the host, or one that is to be the host's."""
    request.allow_flags(flags, TimeFlags.SYNC)
    domain.require_run()
    if not flags & TimeFlags.SYNC and abs(seconds - time.time()) > _SAME:
        raise OperationUnsupportedError(
            f"domain '{domain.name}' has the clock of the host, which shows the same to all: set that of the host"
        )
    return None


HANDLERS: dict[Procedure, Handler] = {
    Remote.DOMAIN_GET_GUEST_INFO: _info,
    Remote.DOMAIN_GET_FSINFO: _filesystems,
    Remote.DOMAIN_FSFREEZE: _freeze,
    Remote.DOMAIN_FSTHAW: _thaw,
    Remote.DOMAIN_FSTRIM: _trim,
    Remote.DOMAIN_GET_TIME: _time,
    Remote.DOMAIN_SET_TIME: _set_time,
}
