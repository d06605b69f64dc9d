"""Why operations were refused in a guest: of a program that was traced, and of what holds the guest at all."""

import json

from insula.daemon.incomingcall import Answer, Handler, IncomingCall
from insula.rpc.procedures import Insula, Procedure
from insula.service.managed import ManagedDomain


async def _explanation(request: IncomingCall, exec_: int) -> Answer:
    return (json.dumps(await request.services.explaining.explained(exec_)),)


async def _confinement(request: IncomingCall, domain: ManagedDomain, flags: int) -> Answer:
    request.allow_flags(flags, 0)
    return (json.dumps(await request.services.explaining.confinement(domain)),)


HANDLERS: dict[Procedure, Handler] = {
    Insula.EXEC_EXPLANATION: _explanation,
    Insula.DOMAIN_CONFINEMENT: _confinement,
}
