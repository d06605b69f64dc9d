"""All clients of the daemon: who comes in, how many at most, and that all are gone at the end."""

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from insula.daemon.afar.certificates import Certificates
from insula.daemon.afar.handshakes import Handshakes
from insula.daemon.authority.policy import AccessPolicy
from insula.daemon.channel import channel_of
from insula.daemon.clientbounds import SessionLimits
from insula.daemon.complaints import Complaints
from insula.daemon.config import Settings, SocketAccess
from insula.daemon.incomingcall import Services
from insula.daemon.listener import Endpoint, EndpointKind, Listener, readmission, readmitted, withdrawn
from insula.daemon.partings import hang_up
from insula.daemon.peers import Account, Peer, peer_of
from insula.daemon.rounds import Rounds
from insula.daemon.session import Session
from insula.daemon.shares import Shares

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Capacity:
    """How many clients may be connected at once: all of them, those of one account other than root and our own, and
    those that have not proved yet who they are, though they have to. Those from other machines, who prove it by
    shaking hands, have as many places of their own: they take none from local ones."""

    clients: int
    of_one_user: int
    anonymous: int = 20

    @property
    def anonymous_of_one(self) -> int:
        """How many of the latter may be one account's."""
        return max(1, self.anonymous // 4)

    @property
    def read_only(self) -> int:
        """How many may come in by read-only sockets, which are everybody's: three quarters of all."""
        return max(1, self.clients - self.clients // 4)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Origin:
    """Whose client it is, and by which kind of socket it came."""

    account: Account
    read_only: bool


def capacity_of(settings: Settings, descriptors: int) -> Capacity:
    """Return how many clients there may be by the settings: half of the descriptors, at most, are theirs."""
    most = descriptors // 2
    if settings.max_clients > most:
        _logger.warning("at most %d clients are served: this process may have %d descriptors", most, descriptors)
    return Capacity(
        clients=min(settings.max_clients, most),
        of_one_user=settings.max_clients_per_user,
        anonymous=settings.max_anonymous_clients,
    )


def session_limits(settings: Settings) -> SessionLimits:
    """Return what each client is held to by the settings."""
    return SessionLimits(calls=settings.max_client_requests, keepalive=settings.keepalive)


class _SomebodyCameError(Exception):
    """A client came while the door was being closed."""


class Server:
    """Accepts clients at its endpoints and keeps their sessions.

    capacity: further clients wait to be accepted, further ones of one account are hung up on. policy: what they have to
    prove, and who is asked about their calls. changed: called when a client came or went. certificates: by which
    clients from afar are known; without they are hung up on.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        *,
        services: Services,
        limits: SessionLimits,
        capacity: Capacity,
        policy: AccessPolicy,
        changed: Callable[[], None],
        certificates: Certificates | None = None,
    ) -> None:
        self._policy = policy
        self._services = services
        self._limits = limits
        self._capacity = capacity
        self._changed = changed
        self._shares = Shares()
        self._rounds = Rounds()
        self._complaints = Complaints()
        self._handshakes: Handshakes | None = None
        if certificates is not None:
            self._handshakes = Handshakes(certificates, self._complaints, self._welcome)
        self._sessions: dict[Session, _Origin] = {}
        self._of_account: Counter[Account] = Counter()
        self._anonymous: dict[Session, Account] = {}
        """Those who have not proved yet who they are, and whose they are; none of root's, nor of our own user's."""
        self._gone: Counter[Account] = Counter()
        """Those of them who hung up right after they had failed: their places stay taken for a while."""
        self._read_only_clients = 0
        self._full = False
        self._ending: set[asyncio.Task[None]] = set()
        self._listeners = [Listener(each, self._accepted) for each in endpoints]
        self._stopping = False

    @property
    def clients(self) -> int:
        """How many are connected."""
        return len(self._sessions)

    def start(self) -> None:
        """Accept clients."""
        self._admit()

    def limit(self, limits: SessionLimits, capacity: Capacity) -> None:
        """Hold new clients to other limits from now on."""
        self._limits = limits
        self._capacity = capacity
        self._admit()

    def renewal(self, settings: Settings, capacity: Capacity) -> Callable[[], None]:
        """Return what holds new clients to other settings, lets in whom these name, and has their drivers asked.

        Raises: ConfigurationError; then all is as it was.
        """
        renew_policy = self._policy.renewal(settings)
        readmissions = [readmission(each.endpoint, settings) for each in self._listeners]

        def renew() -> None:
            renew_policy()
            for listener, found in zip(self._listeners, readmissions, strict=True):
                listener.endpoint = readmitted(listener.endpoint, found)
            self.limit(session_limits(settings), capacity)

        return renew

    def close_door(self) -> bool:
        """Accept nobody any more, if nobody is there or has just come; return whether that is so.

        A client that connected a moment ago is served, not reset. Who comes after this waits for the next daemon in a
        socket that systemd keeps, or finds that there is none.
        """
        with suppress(_SomebodyCameError), withdrawn([each.endpoint for each in self._listeners]):
            for listener in self._listeners:
                listener.accept_waiting()
            if self._sessions or self._handshakes:
                raise _SomebodyCameError
            self._stopping = True
            for listener in self._listeners:
                listener.pause()
        return self._stopping

    async def stop(self) -> None:
        """Accept nobody any more, hang up on everybody, and return once nothing runs for any of them.

        That may take seconds: meanwhile our sockets' files are gone, so that nobody waits at a door that stays shut.
        """
        self._stopping = True
        with withdrawn([each.endpoint for each in self._listeners]):
            pass
        for listener in self._listeners:
            listener.pause()
        if self._handshakes is not None:
            await self._handshakes.close()
        for session in list(self._sessions):
            session.close("the daemon stops")
        await asyncio.gather(*self._ending)

    def _accepted(self, connection: socket.socket, endpoint: Endpoint) -> None:
        try:
            peer = peer_of(connection)
        except OSError as error:
            _logger.warning("a client on %s was gone before it was there: %s", endpoint, error)
            hang_up(connection)
            return
        if endpoint.kind is not EndpointKind.TLS:
            self._welcome(connection, peer, endpoint)
        elif self._handshakes is None or self._are_many_handshakes(self._handshakes, peer):
            connection.close()
        else:
            self._handshakes.make_room(self._capacity.anonymous)
            self._handshakes.begin(connection, peer, endpoint)

    def _welcome(self, connection: socket.socket, peer: Peer, endpoint: Endpoint) -> None:
        """Begin a session with a client of whom is known what there is to be known before it says anything."""
        authentication = self._policy.authentication(peer, endpoint.access, endpoint.kind)
        full = endpoint.path is None and self._is_full()
        if self._stopping or full or self._is_crowd(peer, proved=authentication.complete):
            channel_of(connection).hang_up()
            return
        counted = not authentication.complete and not peer.is_privileged
        if counted:
            self._make_room(peer.account)
        session = Session(
            connection,
            peer=peer,
            admitted=endpoint.admission.permits(peer),
            access=endpoint.access,
            services=self._services,
            limits=self._limits,
            shares=self._shares,
            rounds=self._rounds,
            complaints=self._complaints,
            authentication=authentication,
            jury=self._policy.jury(peer, self._complaints),
            proved=self._proved,
            ended=self._ended,
        )
        self._sessions[session] = _Origin(account=peer.account, read_only=endpoint.access is SocketAccess.READ_ONLY)
        self._of_account[peer.account] += 1
        if counted:
            self._anonymous[session] = peer.account
        self._read_only_clients += self._sessions[session].read_only
        session.start()
        self._admit()
        self._changed()

    def _admit(self) -> None:
        """Accept further clients, or let them wait."""
        if self._stopping:
            return
        full = self._is_full()
        full_for_readers = full or self._read_only_clients >= self._capacity.read_only
        if full_for_readers and not self._full:
            _logger.warning(
                "%d clients are connected, %d read-only: further ones wait",
                len(self._sessions),
                self._read_only_clients,
            )
        self._full = full_for_readers
        for listener in self._listeners:
            if full_for_readers if listener.endpoint.access is SocketAccess.READ_ONLY else full:
                listener.pause()
            else:
                listener.resume()

    def _is_full(self) -> bool:
        """Whether as many clients are connected as may be. While hands are shaken the last place may be taken."""
        return len(self._sessions) >= self._capacity.clients

    def _are_many_handshakes(self, handshakes: Handshakes, peer: Peer) -> bool:
        """Whether the network that a client comes from has as many handshakes under way as it may have."""
        number = handshakes.of(peer.account)
        if number < self._capacity.anonymous_of_one:
            return False
        text = f"clients {peer.account} have {number} handshakes under way: further ones are hung up on"
        self._complaints.complain(peer.account, text)
        return True

    def _make_room(self, newcomer: Account) -> None:
        """Have fewer clients than may be that have not proved who they are: the first of the busiest account goes.

        Clients of this host and those from afar make room for their own kind alone.
        """
        unproved = {session: each for session, each in self._anonymous.items() if type(each) is type(newcomer)}
        if len(unproved) < self._capacity.anonymous:
            return
        account, _ = Counter(unproved.values()).most_common(1)[0]
        whose = account if isinstance(account, str) else f"of user {account}"
        self._complaints.complain(account, f"clients {whose} do not prove who they are, and others wait")
        next(session for session, each in unproved.items() if each == account).close("others wait")

    def _is_crowd(self, peer: Peer, *, proved: bool) -> bool:
        """Whether an account has as many clients as it may have, or as may be that have not proved who they are."""
        if peer.is_privileged:
            return False
        account, present = peer.account, self._of_account[peer.account]
        anonymous = self._gone[account] + sum(each == account for each in self._anonymous.values())
        if not proved and anonymous >= self._capacity.anonymous_of_one:
            text = f"user {account} has {anonymous} clients that have not proved who they are"
        elif present >= self._capacity.of_one_user:
            text = f"user {account} has {present} clients"
        else:
            return False
        self._complaints.complain(account, f"{text}: further ones are hung up on")
        return True

    def _proved(self, session: Session) -> None:
        self._anonymous.pop(session, None)

    def _ended(self, session: Session) -> None:
        origin = self._sessions.pop(session)
        if self._anonymous.pop(session, None) is not None:
            self._keep_place(origin.account, session.authentication.place_until)
        self._read_only_clients -= origin.read_only
        self._of_account[origin.account] -= 1
        if not self._of_account[origin.account]:
            del self._of_account[origin.account]
        task = asyncio.create_task(self._clean_up(session), name=f"end of {session}")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        self._admit()
        self._changed()

    def _keep_place(self, account: Account, until: float) -> None:
        """Let a place of an account stay taken until then, by the loop's clock."""

        def release() -> None:
            self._gone -= Counter([account])  # which keeps no zeros

        loop = asyncio.get_running_loop()
        if until > loop.time():
            self._gone[account] += 1
            loop.call_at(until, release)

    async def _clean_up(self, session: Session) -> None:
        """Wait for the session's tasks, and end the programs and the domains that were to end with it."""
        await session.ended_completely()
        try:
            if not self._stopping:  # else its client has not gone: it looks for the next daemon
                await self._services.guest.connection_closed(session)
            await self._services.lifecycle.connection_closed(session)
        except Exception:
            _logger.exception("what was to end with %s did not", session)
