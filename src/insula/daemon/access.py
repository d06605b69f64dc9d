"""Whether a client may do what a call needs: decided at once, or by somebody who has to be asked."""

from collections.abc import Awaitable, Callable, Hashable
from typing import TYPE_CHECKING, Protocol

from insula.rpc.arrivals import Call
from insula.rpc.refusals import forbidden_read_only

if TYPE_CHECKING:
    from insula.daemon.incomingcall import Services

Seen = frozenset[Hashable] | None
"""Keys of the things that an answer may name, or a start may start, None for all: UUIDs, names of images, and those of
ports that filters stand before."""
Asked = Callable[[], Awaitable[Seen]]
"""Asks, and returns when the call may be answered, and which things its answer may name.

Raises: InsulaError if it may not be answered.
"""


class AccessCheck(Protocol):
    """Decides by the permissions that a call's row names, and by what the call is about."""

    def check(self, call: Call, services: "Services") -> Asked | None:
        """Return what is to be asked before the call is answered; None when it may be answered at once.

        Never waits: what is asked waits in the lane of the calls that take their time.
        Raises: InsulaError if it may not be answered.
        """


class ByConnection:
    """What a connection allows by itself: a read-only one only looks. Callers have been admitted by their socket."""

    def __init__(self, *, read_only: bool) -> None:
        self._read_only = read_only

    def check(self, call: Call, services: "Services") -> Asked | None:
        """Raises: ReadOnlyError for what is more than a look on a read-only connection."""
        if self._read_only and not call.procedure.only_looks(call.arguments):
            raise forbidden_read_only(call.procedure.api)
        return None
