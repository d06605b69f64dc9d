"""What is wrong with the host, or with the daemon."""

import json

from insula.daemon.incomingcall import Answer, Handler, IncomingCall
from insula.rpc.procedures import Insula, Procedure


async def _examine(request: IncomingCall, flags: int) -> Answer:
    request.allow_flags(flags, 0)
    services = request.services
    return (json.dumps(await services.doctor.examine(request.visible(services.domains))),)


HANDLERS: dict[Procedure, Handler] = {Insula.HOST_EXAMINE: _examine}
