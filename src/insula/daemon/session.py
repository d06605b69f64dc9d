"""One client: its socket, its connection, its calls.

    bytes ─► Transport ─► Connection ─► Intake ─► Call ─► handler (at once, or as a task) ─► reply ─► Connection ─► …
                                           └─► stream events ─► ServerStreams ─► their jobs

Back-pressure: the socket is not read while calls are parked because too many run, while the client does not take what
was sent to it, and while a stream's job does not take what the client sent. What one read brought is handled a slice at
a time, and no further while the client does not take the answers.

What a client may cost: packets are small until it has opened the connection, and small for read-only ones; opening and
each packet have a deadline; what all its user's clients make us hold has a limit.
"""

import asyncio
import itertools
import logging
import socket
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from insula.daemon.authority.authentication import Authentication
from insula.daemon.authority.bydrivers import Jury, access_of
from insula.daemon.authority.screening import EventScreen
from insula.daemon.callqueue import CallQueue
from insula.daemon.channel import channel_of
from insula.daemon.clientbounds import (
    BACKLOG_HIGH,
    BACKLOG_LIMIT,
    FLUSH_SIZE,
    PACKET_LIMIT_READ_ONLY,
    PACKET_LIMIT_UNOPENED,
    STALL,
    SessionLimits,
)
from insula.daemon.complaints import Complaints
from insula.daemon.config import SocketAccess
from insula.daemon.dispatch.table import AUTHENTICATING, BEFORE_OPEN, answer, lane_of
from insula.daemon.incomingcall import Answer, IncomingCall, Services, Work
from insula.daemon.intake import Intake
from insula.daemon.partings import part_with
from insula.daemon.peers import Peer
from insula.daemon.punctuality import Punctuality
from insula.daemon.rounds import Rounds, Turn
from insula.daemon.serverstreams import INPUT_BOUND, ServerStreams
from insula.daemon.shares import ClientShare, Shares
from insula.daemon.subscriptions import Subscriptions
from insula.daemon.transport import Transport
from insula.errors import (
    AuthenticationError,
    AuthenticationRequiredError,
    InsulaError,
    InternalError,
    OperationAbortedError,
    OperationFailedError,
    OperationInvalidError,
    OperationUnsupportedError,
    RpcError,
)
from insula.rpc.arrivals import Arrival, Call, Role, StreamAbort, StreamData, StreamEof, StreamFinish
from insula.rpc.connection import Connection
from insula.rpc.frames import LENGTH_MAX
from insula.rpc.procedures import Procedure, Remote
from insula.rpc.wrapping import SecurityLayer

_logger = logging.getLogger(__name__)
_numbers = itertools.count(1)


class Session:
    """One client, from its connecting until it is gone: `request.Client` to handlers, `Carrier` to its streams.

    admitted: whether the peer may do anything; access: what its socket allows; authentication: what it has to prove;
    jury: who is asked about its calls, None if nobody is. proved: called once it has proved who it is; ended: called
    once, when it is over.
    """

    def __init__(
        self,
        connection: socket.socket,
        *,
        peer: Peer,
        admitted: bool,
        access: SocketAccess,
        services: Services,
        limits: SessionLimits,
        shares: Shares,
        rounds: Rounds,
        complaints: Complaints,
        authentication: Authentication,
        jury: Jury | None,
        proved: Callable[["Session"], None],
        ended: Callable[["Session"], None],
    ) -> None:
        self.number = next(_numbers)
        self.peer = peer
        self.close_callback = False
        self._admitted = admitted
        self._read_only = access is SocketAccess.READ_ONLY
        self.authentication = authentication
        self._jury = jury
        self.access = access_of(self._jury, read_only=self._read_only)
        self._opened = False
        self._closing = False
        self._services = services
        self._keepalive = limits.keepalive
        self._share = ClientShare(shares, peer.account)
        self._complaints = complaints
        self._ended = ended
        self._proved = proved
        self._loop = asyncio.get_running_loop()
        self._ping: asyncio.TimerHandle | None = None
        self._connection = Connection(Role.SERVER)
        self._connection.limit_packets(PACKET_LIMIT_UNOPENED)
        self._turn = Turn(rounds, client=self, account=peer.account)
        self._channel = channel_of(connection)
        self._transport = Transport(
            self._channel, turn=self._turn, received=self._received, lost=self._lost, drained=self.adjust
        )
        self._calls = CallQueue(usual=limits.calls, perform=self._perform, freed=self.adjust)
        self._streams = ServerStreams(self._connection, self)
        self._intake = Intake(self._turn, self._take, ready=self._takes_answers, worked=self._settle)
        self._punctuality = Punctuality(reading=lambda: self._transport.reading, late=self._give_up)
        self.authentication.begun = self._punctuality.proving
        self.authentication.proved = self._met
        self.authentication.failed = self._complain
        screen = None if self._jury is None else EventScreen(self._jury, self._give_up)
        self.subscriptions = Subscriptions(services.events, self._message, screen)

    def __str__(self) -> str:
        return f"client {self.number} ({self.peer})"

    @property
    def closed(self) -> bool:
        return self._transport.closed

    @property
    def passes_fds(self) -> bool:
        return self._channel.passes_fds

    @property
    def bulk(self) -> asyncio.Lock:
        return self._turn.bulk

    def start(self) -> None:
        """Begin to listen to the client."""
        _logger.debug("%s connected%s", self, ", read-only" if self._read_only else "")
        self._punctuality.connected()
        self._transport.resume_reading()

    def close(self, reason: str) -> None:
        """Hang up: calls are given up (what they began on a domain is completed), streams end, the fds are closed."""
        if not self._transport.closed:
            self._transport.close()
            self._finish(reason)

    async def ended_completely(self) -> None:
        """Return once no task of this session is left; for after close()."""
        await self._calls.ended()
        await self._streams.ended()

    # What handlers may do

    def open(self, *, read_only: bool) -> None:
        if self._opened:
            raise OperationInvalidError("the connection is already open")
        self._opened = True
        self._read_only = self._read_only or read_only
        self.access = access_of(self._jury, read_only=self._read_only)
        self._punctuality.opened()
        self._connection.limit_packets(PACKET_LIMIT_READ_ONLY if self._read_only else LENGTH_MAX)

    def close_soon(self) -> None:
        self._opened = False
        self._closing = True

    def start_keepalive(self) -> None:
        settings = self._keepalive
        self._connection.start_keepalive(self._loop.time(), interval=settings.interval, count=settings.count)
        self._schedule_ping()

    # What comes in

    def _received(self, data: bytes, fds: list[int]) -> bool:
        try:
            events = self._connection.receive_data(data, fds, now=self._loop.time())
        except RpcError as error:
            part_with(self._connection.unclaimed_fds())
            self._give_up(f"it broke the protocol: {error}")
            return False
        part_with(self._connection.unclaimed_fds())
        unfinished = self._connection.unfinished
        self._punctuality.heard(packets=self._connection.packets, unfinished=unfinished)
        if events or self._connection.unsent:  # a refusal or a PONG is an answer without an event
            self._intake.add(events)
        else:
            self._account()
        return unfinished

    def _takes_answers(self) -> bool:
        """Whether the next call may be looked at: what the last ones gave has gone, by and large."""
        if self._connection.unsent > FLUSH_SIZE:
            self.flush()
        return self._transport.closed or self._transport.backlog <= BACKLOG_HIGH

    def _settle(self) -> None:
        """Some calls have been looked at."""
        self.flush()
        self.adjust()

    def _take(self, event: Arrival) -> None:
        if self._transport.closed or self._closing:
            part_with(event.fds if isinstance(event, Call) else ())
        elif isinstance(event, Call):
            self._called(event)
        elif isinstance(event, StreamData | StreamEof | StreamFinish | StreamAbort):
            self._streams.take(event)

    def _called(self, call: Call) -> None:
        row = call.procedure
        request = IncomingCall(call=call, client=self, services=self._services)
        try:
            self._check_allowed(call)
            began = time.thread_time()
            answered = answer(request)
            if (spent := time.thread_time() - began) > STALL:
                self._complain(f"held everybody up for {spent * 1000:.0f} ms with {row.api}")
        except Exception as error:
            self._fail(request, error)
            return
        if isinstance(answered, Coroutine):
            self._calls.take(lane_of(row), request, answered)
        else:
            self._reply(request, answered)
            request.dispose()

    def _check_allowed(self, call: Call) -> None:
        """Raises: AuthenticationRequiredError and others if the client may not call that, or not yet."""
        row = call.procedure
        if not self.authentication.complete and row not in AUTHENTICATING:
            raise AuthenticationRequiredError("authentication required")
        if not self._admitted and (row is Remote.CONNECT_OPEN or row not in BEFORE_OPEN):
            self._complain("was refused: neither root nor a member of the socket's group")
            raise AuthenticationError("this socket is for root and its group: you are neither")
        if row.gives_fds and not self._channel.passes_fds:
            raise OperationUnsupportedError(f"{row.api} passes file descriptors, which needs a local connection")
        if not self._opened and row not in BEFORE_OPEN:
            raise OperationInvalidError(f"{row.api} before the connection was opened")

    def _met(self) -> None:
        """The client has proved who it is: whoever is asked about it knows."""
        self.peer = replace(self.peer, sasl_user=self.authentication.user)
        if self._jury is not None:
            self._jury.meet(self.peer)
        _logger.debug("%s has proved who it is", self)
        self._proved(self)

    def _wrap(self, layer: SecurityLayer) -> None:
        """The last answer went as it is; from now on all is wrapped, and nothing counts that was not."""
        if self._transport.backlog or self._intake.waiting or self._connection.unfinished:
            self._give_up("it went on in the clear")
        elif not self._transport.closed:
            self._channel.protect(layer)

    # Answers

    async def _perform(self, request: IncomingCall, work: Work) -> None:
        try:
            values = await work
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            self._fail(request, error)  # something inside gave up, not we: the client must not wait for ever
        except Exception as error:
            self._fail(request, error)
        else:
            self._reply(request, values)
        self.flush()
        if (layer := self.authentication.take_layer()) is not None:
            self._wrap(layer)

    def _reply(self, request: IncomingCall, values: Answer) -> None:
        """Answer; what came with the call is left to be disposed of behind the answer."""
        if self._transport.closed:
            return
        try:
            stream = self._connection.reply(request.call, *(values or ()), fds=request.reply_fds)
        except RpcError as error:
            self._fail(request, error)
            return
        job, request.job = request.job, None
        request.reply_fds = []  # the transport closes them once they are sent
        if stream is not None and job is not None:
            self._streams.serve(stream, job)

    def _fail(self, request: IncomingCall, error: BaseException) -> None:
        request.dispose()
        if not self._transport.closed:
            self._connection.error(request.call, self.told(error, request.call.procedure))

    def told(self, error: BaseException, procedure: Procedure) -> InsulaError:
        """What the client is told of an error; one that should not have happened goes to the log."""
        if isinstance(error, InsulaError) and not isinstance(error, RpcError):
            return error
        if isinstance(error, asyncio.CancelledError):
            return OperationAbortedError(f"{procedure.api} was given up")
        if isinstance(error, OSError):
            self._complain(f"asked for {procedure.api}, which failed", error)
            return OperationFailedError(f"{procedure.api}: {error}")
        _logger.error("%s of %s failed", procedure.api, self, exc_info=error)
        return InternalError(f"{procedure.api} failed unexpectedly ({error}); the daemon's log says more")

    def _message(self, procedure: Procedure, *values: Any) -> None:
        if not self._transport.closed:
            self._connection.message(procedure, *values)
            self.flush()

    # The socket

    def flush(self) -> None:
        """Send what the connection has to send; give the client up if it takes nothing for too long."""
        if self._transport.closed:
            return
        for data, fd in self._connection.data_to_send():
            self._transport.send(data, fd)
        if self._transport.backlog > BACKLOG_LIMIT:
            self._give_up(f"it does not read: {self._transport.backlog} bytes wait for it")
        else:
            self._account()

    def _account(self) -> None:
        """Give the client up if what its user's clients have us hold is too much."""
        if why := self._share.hold(self._connection.held + self._transport.backlog + self._streams.unread):
            self._give_up(why)

    async def flushed(self) -> None:
        self.flush()
        await self._transport.written()

    def adjust(self) -> None:
        """Read on, or do not; hang up on a client that has said good-bye and got its answer."""
        if self._transport.closed:
            return
        backlog = self._transport.backlog
        if self._closing and not backlog:
            self.close("it said good-bye")
        elif self._closing or backlog > BACKLOG_HIGH:
            self._transport.pause_reading()
        elif self._intake.waiting or self._calls.full or self._streams.unread > INPUT_BOUND:
            self._transport.pause_reading()
            self._intake.work()
        else:
            self._transport.resume_reading()

    def _schedule_ping(self) -> None:
        deadline = self._connection.deadline
        if deadline is not None and self._ping is None:
            self._ping = self._loop.call_at(deadline, self._tick)

    def _tick(self) -> None:
        self._ping = None
        if self._connection.tick(self._loop.time()):
            self.flush()
            self._schedule_ping()
        else:
            self._give_up("it did not answer keepalive pings")

    def _give_up(self, reason: str) -> None:
        """Hang up on a client that does what none should."""
        if not self._transport.closed:
            self._complain(f"is hung up on: {reason}")
            self.close(reason)

    def _complain(self, text: str, error: BaseException | None = None) -> None:
        self._complaints.complain(self.peer.account, f"{self} {text}", error=error)

    def _lost(self, error: Exception | None) -> None:
        if error is not None:
            self._complain(f"was lost: {error}")
        self._finish("it hung up")

    def _finish(self, reason: str) -> None:
        """Let go of everything; the transport is closed."""
        if self._ping is not None:
            self._ping.cancel()
        self._turn.close()
        self._punctuality.close()
        for event in self._intake.clear():
            part_with(event.fds if isinstance(event, Call) else ())
        self._share.hold(0)
        self.subscriptions.close()
        self._calls.close()
        self._streams.close()
        _logger.debug("%s is gone: %s", self, reason)
        self._ended(self)
