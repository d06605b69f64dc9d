"""Every procedure this daemon answers, how it is called, and what is special about some of them."""

from collections.abc import Coroutine, Sequence
from inspect import iscoroutinefunction
from typing import Any, NamedTuple

from insula.daemon.access import Asked
from insula.daemon.callqueue import Lane
from insula.daemon.dispatch import (
    absentcalls,
    accesscalls,
    authenticationcalls,
    conversioncalls,
    devicecalls,
    doctorcalls,
    domaincalls,
    eventcalls,
    explaincalls,
    guestcalls,
    guestsystemcalls,
    hostcalls,
    jobcalls,
    lifecyclecalls,
    nativecalls,
    networkcalls,
    networkoverviewcalls,
    nwfiltercalls,
    overviewcalls,
    statscalls,
    tuningcalls,
    vcpucalls,
)
from insula.daemon.incomingcall import Answer, Handler, IncomingCall, Work
from insula.rpc.procedures import Insula, Priority, Procedure, Remote
from insula.rpc.refusals import not_supported

HANDLERS: dict[Procedure, Handler] = {
    **authenticationcalls.HANDLERS,
    **hostcalls.HANDLERS,
    **domaincalls.HANDLERS,
    **lifecyclecalls.HANDLERS,
    **devicecalls.HANDLERS,
    **guestcalls.HANDLERS,
    **guestsystemcalls.HANDLERS,
    **accesscalls.HANDLERS,
    **jobcalls.HANDLERS,
    **tuningcalls.HANDLERS,
    **vcpucalls.HANDLERS,
    **statscalls.HANDLERS,
    **eventcalls.HANDLERS,
    **networkcalls.HANDLERS,
    **nwfiltercalls.HANDLERS,
    **networkoverviewcalls.HANDLERS,
    **absentcalls.HANDLERS,
    **nativecalls.HANDLERS,
    **conversioncalls.HANDLERS,
    **explaincalls.HANDLERS,
    **doctorcalls.HANDLERS,
    **overviewcalls.HANDLERS,
}
"""Whatever has no line here is not supported, and the client is told so by the public API's name."""

OF_DOMAIN = "dom"
"""What the first argument of a procedure is that is about one domain."""
OF_NETWORK = "net"


class _Handling(NamedTuple):
    """How a row is answered. of_domain, of_network: its first argument refers to one; waits: its handler is a
    coroutine."""

    handler: Handler
    of_domain: bool
    of_network: bool
    waits: bool


_ROUTES: dict[Procedure, _Handling] = {
    row: _Handling(handler, row.refers_to == OF_DOMAIN, row.refers_to == OF_NETWORK, iscoroutinefunction(handler))
    for row, handler in HANDLERS.items()
}


def answer(request: IncomingCall) -> Answer | Work:
    """Return the answer of a call that needs not wait, or the work that brings it.

    Only the UUID of a domain's reference counts: a client may remember an old name or id. A guest that an earlier
    daemon ran may be looked at; what is more than a look waits until it is taken over.
    Raises: what the client's access check raises, NoSupportError, DomainNotFoundError, NetworkNotFoundError, and what
    the handler raises.
    """
    row, arguments = request.call.procedure, request.call.arguments
    asked = request.client.access.check(request.call, request.services)
    route = _ROUTES.get(row)
    if route is None:
        raise not_supported(row.api)
    if route.waits or asked is not None:
        return _worked(route, request, asked)
    if not route.of_domain:
        return route.handler(request, *_found(route, request, arguments))
    domain = request.services.domains.by_bytes(arguments[0].uuid)
    if not row.only_looks(arguments) and domain.settling() is not None:
        return _worked(route, request, None)
    return route.handler(request, domain, *arguments[1:])


async def _worked(route: _Handling, request: IncomingCall, asked: Asked | None) -> Answer:
    """Answer a call that waits: for who decides whether it may be made, its guest's taking over, its handler."""
    row, arguments = request.call.procedure, request.call.arguments
    if asked is not None:
        request.seen = await asked()
    if not route.of_domain:
        answered = route.handler(request, *_found(route, request, arguments))
    else:
        domain = request.services.domains.by_bytes(arguments[0].uuid)
        if not row.only_looks(arguments) and (settling := domain.settling()) is not None:
            await settling
        answered = route.handler(request, domain, *arguments[1:])
    return await answered if isinstance(answered, Coroutine) else answered


def _found(route: _Handling, request: IncomingCall, arguments: Sequence[Any]) -> Sequence[Any]:
    """Return the arguments with the network that the first refers to, if it does; by its UUID alone, as a domain."""
    if not route.of_network:
        return arguments
    return (request.services.networks.by_bytes(arguments[0].uuid), *arguments[1:])


AUTHENTICATING = frozenset(
    {
        Remote.AUTH_LIST,
        Remote.AUTH_SASL_INIT,
        Remote.AUTH_SASL_START,
        Remote.AUTH_SASL_STEP,
        Remote.AUTH_POLKIT,
    }
)
"""What a client may call before it has proved who it is."""

BEFORE_OPEN = AUTHENTICATING | frozenset(
    {
        Remote.CONNECT_SUPPORTS_FEATURE,
        Remote.CONNECT_OPEN,
        Remote.CONNECT_CLOSE,
    }
)
"""What a client may call before it has opened the connection."""

BULK = frozenset({Remote.CONNECT_GET_ALL_DOMAIN_STATS})
"""Calls whose answers may be large: one at a time of each client."""

WAITING = frozenset({Insula.DOMAIN_WAIT, Insula.DOMAIN_WAIT_READY, Insula.EXEC_WAIT, Insula.EXEC_EXPLANATION})
"""Calls that only wait for something to happen: they take no other call's turn."""


def lane_of(procedure: Procedure) -> Lane:
    """Return with which other calls one of this procedure takes turns."""
    if procedure in WAITING:
        return Lane.WAITING
    if procedure in BULK:
        return Lane.BULK
    return Lane.URGENT if procedure.priority is Priority.HIGH else Lane.USUAL
