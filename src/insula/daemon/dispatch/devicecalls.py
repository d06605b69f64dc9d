"""What is attached to domains and detached from them."""

from insula.daemon.incomingcall import Answer, Handler, IncomingCall
from insula.model.numbers import Affect
from insula.rpc.codes.requestcodes import DeviceFlags
from insula.rpc.procedures import Procedure, Remote
from insula.service.managed import ManagedDomain

_AFFECT = Affect.LIVE | Affect.CONFIG


async def _attach(request: IncomingCall, domain: ManagedDomain, xml: str) -> Answer:
    await request.services.devices.attach(domain, xml, Affect.LIVE)
    return None


async def _attach_with_flags(request: IncomingCall, domain: ManagedDomain, xml: str, flags: int) -> Answer:
    request.allow_flags(flags, _AFFECT)
    await request.services.devices.attach(domain, xml, Affect(flags))
    return None


async def _detach(request: IncomingCall, domain: ManagedDomain, xml: str) -> Answer:
    await request.services.devices.detach(domain, xml, Affect.LIVE)
    return None


async def _detach_with_flags(request: IncomingCall, domain: ManagedDomain, xml: str, flags: int) -> Answer:
    request.allow_flags(flags, _AFFECT)
    await request.services.devices.detach(domain, xml, Affect(flags))
    return None


async def _update_device(request: IncomingCall, domain: ManagedDomain, xml: str, flags: int) -> Answer:
    request.allow_flags(flags, _AFFECT | DeviceFlags.FORCE)
    await request.services.devices.update(domain, xml, Affect(flags & _AFFECT))
    return None


HANDLERS: dict[Procedure, Handler] = {
    Remote.DOMAIN_ATTACH_DEVICE: _attach,
    Remote.DOMAIN_ATTACH_DEVICE_FLAGS: _attach_with_flags,
    Remote.DOMAIN_DETACH_DEVICE: _detach,
    Remote.DOMAIN_DETACH_DEVICE_FLAGS: _detach_with_flags,
    Remote.DOMAIN_UPDATE_DEVICE_FLAGS: _update_device,
}
