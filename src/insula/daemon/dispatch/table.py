"""Every procedure this daemon answers, how it is called, and what is special about some of them."""

from collections.abc import Coroutine
from inspect import iscoroutinefunction
from typing import NamedTuple

from insula.daemon.access import Asked
from insula.daemon.dispatch import (
    absentcalls,
    devicecalls,
    domaincalls,
    eventcalls,
    guestcalls,
    hostcalls,
    jobcalls,
    lifecyclecalls,
    nativecalls,
    overviewcalls,
    statscalls,
    tuningcalls,
)
from insula.daemon.incomingcall import Answer, Handler, IncomingCall, Work
from insula.rpc.procedures import Insula, Procedure, Remote
from insula.rpc.refusals import not_supported

HANDLERS: dict[Procedure, Handler] = {
    **hostcalls.HANDLERS,
    **domaincalls.HANDLERS,
    **lifecyclecalls.HANDLERS,
    **devicecalls.HANDLERS,
    **guestcalls.HANDLERS,
    **jobcalls.HANDLERS,
    **tuningcalls.HANDLERS,
    **statscalls.HANDLERS,
    **eventcalls.HANDLERS,
    **absentcalls.HANDLERS,
    **nativecalls.HANDLERS,
    **overviewcalls.HANDLERS,
}
"""Whatever has no line here is not supported, and the client is told so by the public API's name."""

OF_DOMAIN = "dom"
"""The first argument of a procedure that is about one domain."""


class _Handling(NamedTuple):
    """How a row is answered. of_domain: its first argument refers to a domain; waits: its handler is a coroutine."""

    handler: Handler
    of_domain: bool
    waits: bool


_ROUTES: dict[Procedure, _Handling] = {
    row: _Handling(handler, row.arguments_notation.startswith(f"{OF_DOMAIN}:"), iscoroutinefunction(handler))
    for row, handler in HANDLERS.items()
}


def answer(request: IncomingCall) -> Answer | Work:
    """Return the answer of a call that needs not wait, or the work that brings it.

    Only the UUID of a domain's reference counts: a client may remember an old name or id. A guest that an earlier
    daemon ran may be looked at; what is more than a look waits until it is taken over.
    Raises: what the client's access check raises, NoSupportError, DomainNotFoundError, and what the handler raises.
    """
    row, arguments = request.call.procedure, request.call.arguments
    asked = request.client.access.check(request.call)
    route = _ROUTES.get(row)
    if route is None:
        raise not_supported(row.api)
    if route.waits or asked is not None:
        return _worked(route, request, asked)
    if not route.of_domain:
        return route.handler(request, *arguments)
    domain = request.services.domains.by_bytes(arguments[0].uuid)
    if not row.only_looks(arguments) and domain.settling() is not None:
        return _worked(route, request, None)
    return route.handler(request, domain, *arguments[1:])


async def _worked(route: _Handling, request: IncomingCall, asked: Asked | None) -> Answer:
    """Answer a call that waits: for who decides whether it may be made, its guest's taking over, its handler."""
    row, arguments = request.call.procedure, request.call.arguments
    if asked is not None:
        await asked()
    if not route.of_domain:
        answered = route.handler(request, *arguments)
    else:
        domain = request.services.domains.by_bytes(arguments[0].uuid)
        if not row.only_looks(arguments) and (settling := domain.settling()) is not None:
            await settling
        answered = route.handler(request, domain, *arguments[1:])
    return await answered if isinstance(answered, Coroutine) else answered


BEFORE_OPEN = frozenset(
    {
        Remote.AUTH_LIST,
        Remote.AUTH_SASL_INIT,
        Remote.AUTH_SASL_START,
        Remote.AUTH_SASL_STEP,
        Remote.AUTH_POLKIT,
        Remote.CONNECT_SUPPORTS_FEATURE,
        Remote.CONNECT_OPEN,
        Remote.CONNECT_CLOSE,
    }
)
"""What a client may call before it has opened the connection."""

BULK = frozenset({Remote.CONNECT_GET_ALL_DOMAIN_STATS})
"""Calls whose answers may be large: one at a time of each client."""

WAITING = frozenset({Insula.DOMAIN_WAIT, Insula.EXEC_WAIT})
"""Calls that only wait for something to happen: they take no other call's turn."""
