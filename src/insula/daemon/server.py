"""All clients of the daemon: who comes in, how many at most, and that all are gone at the end."""

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence

from insula.daemon.listener import Entrance, Listener
from insula.daemon.peers import peer_of
from insula.daemon.request import Services
from insula.daemon.session import Session, SessionLimits

_logger = logging.getLogger(__name__)


class Server:
    """Accepts clients at its entrances and keeps their sessions.

    max_clients: at once; further ones wait to be accepted. changed: called when a client came or went.
    """

    def __init__(
        self,
        entrances: Sequence[Entrance],
        *,
        services: Services,
        limits: SessionLimits,
        max_clients: int,
        changed: Callable[[], None],
    ) -> None:
        self._services = services
        self._limits = limits
        self._max_clients = max_clients
        self._changed = changed
        self._sessions: set[Session] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._listeners = [Listener(each, self._accepted) for each in entrances]
        self._stopping = False

    @property
    def clients(self) -> int:
        """How many are connected."""
        return len(self._sessions)

    def start(self) -> None:
        """Accept clients."""
        self._admit()

    def limit(self, limits: SessionLimits, max_clients: int) -> None:
        """Hold new clients to other limits from now on."""
        self._limits = limits
        self._max_clients = max_clients
        self._admit()

    async def stop(self) -> None:
        """Accept nobody any more, hang up on everybody, and return once nothing runs for any of them."""
        self._stopping = True
        for listener in self._listeners:
            listener.pause()
        for session in list(self._sessions):
            session.close("the daemon stops")
        await asyncio.gather(*self._ending)

    def _accepted(self, connection: socket.socket, entrance: Entrance) -> None:
        try:
            peer = peer_of(connection)
        except OSError as error:
            _logger.warning("a client on %s was gone before it was there: %s", entrance.path, error)
            connection.close()
            return
        session = Session(
            connection,
            peer=peer,
            admitted=entrance.admission.permits(peer),
            access=entrance.access,
            services=self._services,
            limits=self._limits,
            ended=self._ended,
        )
        self._sessions.add(session)
        session.start()
        self._admit()
        self._changed()

    def _admit(self) -> None:
        """Accept further clients, or let them wait."""
        if self._stopping:
            return
        full = len(self._sessions) >= self._max_clients
        if full:
            _logger.warning("%d clients are connected: further ones wait", len(self._sessions))
        for listener in self._listeners:
            if full:
                listener.pause()
            else:
                listener.resume()

    def _ended(self, session: Session) -> None:
        self._sessions.discard(session)
        task = asyncio.create_task(self._clean_up(session), name=f"end of {session}")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        self._admit()
        self._changed()

    async def _clean_up(self, session: Session) -> None:
        """Wait for the session's tasks, and end the domains that were to end with it."""
        await session.ended_completely()
        try:
            await self._services.domains.connection_closed(session)
        except Exception:
            _logger.exception("what was to end with %s did not", session)
