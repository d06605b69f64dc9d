"""Every procedure this daemon answers, and what is special about some of them."""

from insula.daemon.dispatch import absent, domains, events, host, native, stats, tuning
from insula.daemon.request import Handler
from insula.rpc.procedures import Insula, Procedure, Remote

HANDLERS: dict[Procedure, Handler] = {
    **host.HANDLERS,
    **domains.HANDLERS,
    **tuning.HANDLERS,
    **stats.HANDLERS,
    **events.HANDLERS,
    **absent.HANDLERS,
    **native.HANDLERS,
}
"""Whatever has no line here is not supported, and the client is told so by the public API's name."""

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
