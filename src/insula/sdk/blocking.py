"""The blocking client: a connection to the daemon for programs without an event loop.

    with connect() as client:
        domain = client.call(Remote.DOMAIN_LOOKUP_BY_NAME, "web")
        state, reason = client.call(Remote.DOMAIN_GET_STATE, dom=domain, flags=0)

For one thread at a time. Nothing happens between calls: the daemon's pings are answered, and messages taken in, only
while this client waits for something; so it never asks the daemon to ping it.
"""

import os
import select
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Self, TypeVar

from insula.errors import InsulaError, InternalError, NobodyListensError, OperationFailedError
from insula.rpc.connection import Arrival, Connection, Failure, Notification, Reply, Role, Stream
from insula.rpc.procedure import Procedure
from insula.sdk import unix
from insula.sdk.blocking_stream import BlockingStream
from insula.sdk.conversation import Acquaintance, Answer, Conversation, Request, greet, only, require_passing
from insula.sdk.inbox import MessageInbox, StreamInbox

if TYPE_CHECKING:
    from insula.layout import Layout

T = TypeVar("T")


def connect(where: "str | os.PathLike[str] | Layout | None" = None, *, read_only: bool = False) -> "Blocking":
    """Connect to a daemon and open its driver. An installation's daemon that is just starting is waited for.

    where: the socket's path, an address such as `lxc+ssh://web1/system`, or an installation's layout; None for the one
    `INSULA_PREFIX` names, else the system's.
    Raises: NobodyListensError; AuthenticationError or AccessDeniedError if we are refused.
    """
    door = Door.of(where, read_only=read_only)
    pauses = door.pauses()
    while True:
        try:
            return door.enter()
        except NobodyListensError:
            if (pause := next(pauses, None)) is None:
                raise
            time.sleep(pause)


class Door(NamedTuple):
    """Where a daemon listens. path: of its socket, or what leads to another host; layout: of the installation, if it is
    meant as such."""

    path: str
    layout: "Layout | None"
    read_only: bool

    @classmethod
    def of(cls, where: "str | os.PathLike[str] | Layout | None", *, read_only: bool) -> "Door":
        """Return the door that is meant; see `connect`."""
        if isinstance(where, str | os.PathLike):
            return cls(os.fspath(where), None, read_only)
        if where is None:
            from insula.layout import layout_from  # only who needs it pays for pathlib

            where = layout_from(None)
        return cls(os.fspath(where.socket_read_only if read_only else where.socket), where, read_only)

    def enter(self) -> "Blocking":
        """Connect, and open the driver. Raises: as `connect`, without waiting."""
        connected = self.connect()
        client = Blocking(connected, self)
        try:
            client.run(self.greeting(connected))
        except BaseException:
            client.close()
            raise
        return client

    def connect(self) -> unix.UnixSocket:
        """Return a connection, on which nothing has been said yet. Raises: as `connect`, without waiting."""
        if "://" not in self.path:
            return unix.connect(self.path)
        from insula.sdk.daemonaddress import parse_address
        from insula.sdk.tunnels import opened

        return opened(parse_address(self.path), read_only=self.read_only)

    def greeting(self, connected: unix.UnixSocket) -> Conversation[None]:
        """What is said first on a connection."""
        if "://" not in self.path:
            return greet(read_only=self.read_only)
        from insula.sdk.credentials import LOCAL, credentials_for
        from insula.sdk.daemonaddress import parse_address
        from insula.sdk.tcpsocket import TcpSocket

        address = parse_address(self.path)
        user = None if address.transport == "ssh" else address.user  # ssh's is another
        found = credentials_for(address.host, user, address.options.get("authfile"))
        tcp = connected if isinstance(connected, TcpSocket) else None
        return greet(read_only=self.read_only, acquaintance=Acquaintance(found, address.host or LOCAL, tcp))

    def pauses(self, seconds: float | None = None) -> Iterator[float]:
        """The seconds to wait before each further try, while a daemon may be on its way.

        seconds: for how long it may be that none has begun yet; None for the usual, where one can be known of.
        """
        if self.layout is None and seconds is None:
            return iter(())
        from insula.sdk.startingdaemon import UNLOCKED_SECONDS, pauses

        return pauses(self.layout, UNLOCKED_SECONDS if seconds is None else seconds)


class Pending(NamedTuple, Generic[T]):
    """A conversation under way. done: whether its first answer has come in; result: waits for its outcome, and returns
    it once, as `run`."""

    done: Callable[[], bool]
    result: Callable[[], T]


class Blocking:
    """A connection to a daemon; ends with its `with` block."""

    def __init__(self, connected: unix.UnixSocket, door: Door | None = None) -> None:
        """door: where it is connected to, for who wants to come in again."""
        self.door = door
        self._unix = connected
        self._wire = Connection(Role.CLIENT)
        self._poll = select.poll()
        self._poll.register(connected, select.POLLIN)
        self._wanted: dict[int, Reply | Failure | None] = {}
        self._streams: dict[Stream, StreamInbox] = {}
        self._messages = MessageInbox()
        self._lost: InsulaError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._unix.close()
        self._lose(OperationFailedError("the connection is closed"))

    def fileno(self) -> int:
        """The socket, to wait for it together with others; then call `receive(0)`."""
        return self._unix.fileno()

    # Calls

    def call(self, procedure: Procedure, *positional: Any, **named: Any) -> Any:
        """Call a procedure with its row's arguments, and wait for the outcome.

        Returns the only value of its results, None if it has none, else their named tuple.
        Raises: the daemon's error; OperationFailedError if the connection is lost.
        """
        result, fds = self.call_with_fds(procedure, *positional, **named)
        unix.close_fds(fds)
        return result

    def call_with_fds(
        self, procedure: Procedure, *positional: Any, fds: Sequence[int] = (), **named: Any
    ) -> tuple[Any, tuple[int, ...]]:
        """Like `call`, with descriptors to pass, which stay the caller's; those returned are the caller's too."""
        answer = self._exchange(Request(procedure, procedure.arguments.arrange(positional, named), fds))
        return only(answer.values), answer.fds

    def open_stream(self, procedure: Procedure, *positional: Any, **named: Any) -> "BlockingStream":
        """Call a procedure that opens a stream."""
        answer = self._exchange(Request(procedure, procedure.arguments.arrange(positional, named)))
        return self.stream_of(answer)

    def stream_of(self, answer: Answer) -> "BlockingStream":
        """The stream that a call opened."""
        if answer.stream is None:
            raise OperationFailedError("the call opened no stream")
        return BlockingStream(self, self._wire, self._inbox_of(answer.stream))

    def run(self, conversation: Conversation[T]) -> T:
        """Have a conversation to its end, and return its outcome."""
        return self._finish(conversation, partial(self._exchange, next(conversation)))

    def begin(self, conversation: Conversation[T]) -> Pending[T]:
        """Begin a conversation, and wait for no answer yet. Keep no connection open with what nobody waits for."""
        serial = self._send(next(conversation))
        self.push()
        return Pending(
            done=lambda: self._wanted.get(serial, True) is not None,
            result=lambda: self._finish(conversation, partial(self._await, serial)),
        )

    def _finish(self, conversation: Conversation[T], answered: Callable[[], Answer]) -> T:
        """Have the rest of a conversation. answered: waits for the answer to its first request."""
        try:
            while True:
                try:
                    answer = answered()
                except InsulaError as error:
                    request = conversation.throw(error)
                else:
                    request = conversation.send(answer)
                answered = partial(self._exchange, request)
        except StopIteration as stop:
            outcome: T = stop.value
            return outcome

    # Messages

    def next_message(self, timeout: float | None = None) -> Notification | None:
        """Wait for the next message that no `watch` claims; None if none comes within timeout seconds."""
        self.wait_for(lambda: self._messages.has_others, timeout)
        return self._messages.take()

    def watch(self, callback: int) -> deque[Notification]:
        """The queue of messages for a registered callback; it fills while this client waits for anything."""
        return self._messages.watch(callback)

    def unwatch(self, callback: int) -> None:
        """Drop a callback's queue."""
        self._messages.forget(callback)

    # Waiting

    def keepalive(self, *, interval: float, count: int) -> None:
        """Ping the daemon while waiting, every interval seconds of silence; give up after count unanswered ones."""
        self._wire.start_keepalive(time.monotonic(), interval=interval, count=count)

    def wait_for(self, ready: Callable[[], bool], timeout: float | None = None) -> bool:
        """Take in what comes until `ready()` holds; return whether it does, after timeout seconds at the latest."""
        end = None if timeout is None else time.monotonic() + timeout
        while not ready():
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                return False
            self.receive(left)
        return True

    def receive(self, timeout: float | None = None) -> None:
        """Wait until something comes in or can go out, timeout seconds at most, and take it in.

        Raises: OperationFailedError if the connection is lost; RpcError if the daemon breaks the protocol.
        """
        self.push()
        try:
            ready = self._poll.poll(self._milliseconds(timeout))
            if any(state & select.POLLOUT for _, state in ready):
                self._unix.flush()
            if any(state & ~select.POLLOUT for _, state in ready):
                self._take_in()
            if not self._wire.tick(time.monotonic()):
                raise OperationFailedError("the daemon does not answer any more")
        except OSError as error:
            raise self._lose(OperationFailedError(f"the connection to the daemon broke: {error.strerror}")) from error
        except InsulaError as error:
            self._lose(error)
            raise
        self.push()

    def push(self) -> None:
        """Send what is queued, as far as the socket takes it."""
        if self._lost is not None:
            raise self._lost
        try:
            self._unix.send(self._wire.data_to_send())
        except OSError as error:
            raise self._lose(OperationFailedError(f"the connection to the daemon broke: {error.strerror}")) from error
        self._poll.modify(self._unix, select.POLLIN | (select.POLLOUT if self._unix.has_unsent else 0))

    @property
    def unsent_bytes(self) -> int:
        """Bytes that wait for the socket."""
        return self._unix.unsent_bytes

    def _milliseconds(self, timeout: float | None) -> float | None:
        deadline = self._wire.deadline
        if deadline is not None:
            until_ping = max(0.0, deadline - time.monotonic())
            timeout = until_ping if timeout is None else min(timeout, until_ping)
        return None if timeout is None else max(0.0, timeout) * 1000

    def _take_in(self) -> None:
        received = self._unix.receive()
        if received is None:
            return
        data, fds = received
        if not data:
            raise OperationFailedError("the daemon ended the connection; its log may say why")
        try:
            events = self._wire.receive_data(data, fds, now=time.monotonic())
        finally:
            unix.close_fds(self._wire.unclaimed_fds())
        for event in events:
            self._sort(event)

    def _sort(self, event: Arrival) -> None:
        match event:
            case Reply() | Failure():
                if event.serial in self._wanted:
                    self._wanted[event.serial] = event
                else:
                    self._discard(event)
            case Notification():
                self._messages.put(event)
            case _:
                self._inbox_of(event.stream).put(event)  # type: ignore[union-attr]  # a client gets no calls

    def _exchange(self, request: Request) -> Answer:
        """Make one call, and return its answer. Raises: the error that came instead."""
        return self._await(self._send(request))

    def _send(self, request: Request) -> int:
        """Queue one call; return its serial number. Raises: OperationUnsupportedError."""
        require_passing(request, passes_fds=self._unix.passes_fds)
        serial = self._wire.call(request.procedure, *request.arguments, fds=request.fds)
        self._wanted[serial] = None
        return serial

    def _await(self, serial: int) -> Answer:
        """Wait for a call's answer. Raises: the error that came instead."""
        try:
            self.wait_for(lambda: self._wanted[serial] is not None)
        except BaseException:
            self._discard(self._wanted.pop(serial))
            raise
        match self._wanted.pop(serial):
            case Failure(_, _, error):
                raise error
            case Reply(_, _, values, fds, stream):
                return Answer(values, fds, stream)
        raise InternalError(f"call {serial} came to an end without an answer")

    def _discard(self, event: Reply | Failure | None) -> None:
        """Nobody waits for this answer any more: its asker was interrupted."""
        if isinstance(event, Reply):
            unix.close_fds(event.fds)
            if event.stream is not None:
                self._wire.abort(event.stream)

    def _inbox_of(self, stream: Stream) -> StreamInbox:
        return self._streams.setdefault(stream, StreamInbox(stream))

    def _lose(self, error: InsulaError) -> InsulaError:
        if self._lost is None:
            self._lost = error
            for inbox in self._streams.values():
                inbox.break_off(error)
        return error

    def forget_stream(self, stream: Stream) -> None:
        """Drop a stream that is closed."""
        self._streams.pop(stream, None)
