"""What is attached to domains and detached from them."""

from insula.daemon.incomingcall import Answer, Handler, IncomingCall
from insula.engine.spec import Bytes
from insula.model.numbers import Affect
from insula.rpc.codes.requestcodes import BlockResizeFlags, DeviceFlags
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
    request.allow_flags(flags, _AFFECT | DeviceFlags.FORCE)
    await request.services.devices.detach(domain, xml, Affect(flags & _AFFECT), force=bool(flags & DeviceFlags.FORCE))
    return None


async def _detach_alias(request: IncomingCall, domain: ManagedDomain, alias: str, flags: int) -> Answer:
    request.allow_flags(flags, _AFFECT | DeviceFlags.FORCE)
    forced = bool(flags & DeviceFlags.FORCE)
    await request.services.devices.detach_alias(domain, alias, Affect(flags & _AFFECT), force=forced)
    return None


async def _update_device(request: IncomingCall, domain: ManagedDomain, xml: str, flags: int) -> Answer:
    request.allow_flags(flags, _AFFECT | DeviceFlags.FORCE)
    await request.services.devices.update(domain, xml, Affect(flags & _AFFECT))
    return None


async def _block_info(request: IncomingCall, domain: ManagedDomain, path: str, flags: int) -> Answer:
    size = await request.services.disks.size(domain, path)
    return size.allocation, size.capacity, size.physical


async def _block_resize(request: IncomingCall, domain: ManagedDomain, disk: str, size: int, flags: int) -> Answer:
    request.allow_flags(flags, BlockResizeFlags.BYTES)
    await request.services.disks.enlarge(domain, disk, Bytes(size if flags & BlockResizeFlags.BYTES else size * 1024))
    return None


HANDLERS: dict[Procedure, Handler] = {
    Remote.DOMAIN_ATTACH_DEVICE: _attach,
    Remote.DOMAIN_ATTACH_DEVICE_FLAGS: _attach_with_flags,
    Remote.DOMAIN_DETACH_DEVICE: _detach,
    Remote.DOMAIN_DETACH_DEVICE_FLAGS: _detach_with_flags,
    Remote.DOMAIN_DETACH_DEVICE_ALIAS: _detach_alias,
    Remote.DOMAIN_UPDATE_DEVICE_FLAGS: _update_device,
    Remote.DOMAIN_GET_BLOCK_INFO: _block_info,
    Remote.DOMAIN_BLOCK_RESIZE: _block_resize,
}
