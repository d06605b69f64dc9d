"""Events on their way to a client that may not see everything: each is asked about, and they keep their order."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from insula.daemon.authority.accessobjects import AccessObject, domain_object, network_object
from insula.daemon.authority.bydrivers import Jury
from insula.service.events import DomainEvent, Event, VirtualNetworkEvent

WAITING_MAX: Final = 4096
"""Events that wait for a verdict; a client that has more is given up."""

Send = Callable[[], None]


def about_event(event: Event) -> AccessObject | None:
    """Return what an event tells of, None for what anybody may hear."""
    match event:
        case DomainEvent():
            return domain_object(event.domain.name, event.domain.uuid)
        case VirtualNetworkEvent():
            return network_object(event.network.name, event.network.uuid)
    return None


class EventScreen:
    """One client's. full: called once, with the reason, when too many events wait."""

    def __init__(self, jury: Jury, full: Callable[[str], None]) -> None:
        self._jury = jury
        self._full = full
        self._waiting: deque[tuple[AccessObject, Send]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def pass_on(self, event: Event, send: Send) -> None:
        """Call send once it is known that the client may hear of the event, and after those before."""
        if self._closed:
            return
        if not self._waiting and not self._jury.sits:
            send()
            return
        about = about_event(event)
        if about is None:
            return
        if len(self._waiting) >= WAITING_MAX:
            self.close()
            self._full(f"{WAITING_MAX} events wait for its access driver's verdict")
            return
        self._waiting.append((about, send))
        if self._task is None:
            self._task = asyncio.create_task(self._work(), name="screening events")

    def close(self) -> None:
        """Pass on nothing any more."""
        self._closed = True
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()

    async def _work(self) -> None:
        try:
            while self._waiting:
                about, send = self._waiting[0]
                seen = await self._jury.sees(about)
                self._waiting.popleft()
                if seen:
                    send()
        finally:
            self._task = None
