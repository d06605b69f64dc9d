"""The async client: a connection to the daemon on asyncio's event loop; many calls, streams and messages at a time.

async with await connect() as client:
    domain = await client.call(Remote.DOMAIN_LOOKUP_BY_NAME, "web")
    states = await asyncio.gather(*(client.call(Remote.DOMAIN_GET_STATE, each, 0) for each in domains))
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from insula.errors import InsulaError, NobodyListensError, OperationFailedError
from insula.rpc.connection import Arrival, Connection, Failure, Notification, Reply, Role, Stream
from insula.rpc.procedure import Procedure
from insula.sdk import unix
from insula.sdk.blocking import Door
from insula.sdk.client_stream import ClientStream
from insula.sdk.conversation import Answer, Conversation, Request, only, require_passing
from insula.sdk.inbox import MessageInbox, StreamInbox

if TYPE_CHECKING:
    from insula.layout import Layout

T = TypeVar("T")

HELD_MAX: Final = 4 * 1024 * 1024
"""Bytes of a stream that may lie here untaken; then, unless something waits, the socket is not read."""


async def connect(where: "str | os.PathLike[str] | Layout | None" = None, *, read_only: bool = False) -> "Client":
    """Connect to a daemon and open its driver; arguments and errors are those of `blocking.connect`."""
    door = Door.of(where, read_only=read_only)
    pauses = door.pauses()
    while True:
        try:
            connected = await asyncio.to_thread(door.connect) if "://" in door.path else door.connect()
            break
        except NobodyListensError:
            if (pause := next(pauses, None)) is None:
                raise
            await asyncio.sleep(pause)
    client = Client(connected)
    try:
        await client.run(door.greeting(connected))
    except BaseException:
        client.close()
        raise
    return client


class Client:
    """A connection to a daemon; ends with its `async with` block. For the event loop it was made on."""

    def __init__(self, connected: unix.UnixSocket) -> None:
        self._unix = connected
        self._wire = Connection(Role.CLIENT)
        self._loop = asyncio.get_running_loop()
        self._calls: dict[int, asyncio.Future[Answer]] = {}
        self._streams: dict[Stream, StreamInbox] = {}
        self._messages = MessageInbox()
        self._waiters: set[asyncio.Future[None]] = set()
        self._lost: InsulaError | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._loop.add_reader(connected, self._readable)
        self._reading = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up; whoever still waits is told."""
        self._lose(OperationFailedError("the connection is closed"))

    # Calls

    async def call(self, procedure: Procedure, *positional: Any, **named: Any) -> Any:
        """Call a procedure with its row's arguments.

        Returns the only value of its results, None if it has none, else their named tuple.
        Raises: the daemon's error; OperationFailedError if the connection is lost.
        """
        result, fds = await self.call_with_fds(procedure, *positional, **named)
        unix.close_fds(fds)
        return result

    async def call_with_fds(
        self, procedure: Procedure, *positional: Any, fds: Sequence[int] = (), **named: Any
    ) -> tuple[Any, tuple[int, ...]]:
        """Like `call`, with descriptors to pass, which stay the caller's; those returned are the caller's too."""
        answer = await self._exchange(Request(procedure, procedure.arguments.arrange(positional, named), fds))
        return only(answer.values), answer.fds

    async def open_stream(self, procedure: Procedure, *positional: Any, **named: Any) -> ClientStream:
        """Call a procedure that opens a stream."""
        answer = await self._exchange(Request(procedure, procedure.arguments.arrange(positional, named)))
        return self.stream_of(answer)

    def stream_of(self, answer: Answer) -> ClientStream:
        """The stream that a call opened."""
        if answer.stream is None:
            raise OperationFailedError("the call opened no stream")
        return ClientStream(self, self._wire, self._inbox_of(answer.stream))

    async def run(self, conversation: Conversation[T]) -> T:
        """Have a conversation to its end, and return its outcome."""
        try:
            request = next(conversation)
            while True:
                try:
                    answer = await self._exchange(request)
                except InsulaError as error:
                    request = conversation.throw(error)
                else:
                    request = conversation.send(answer)
        except StopIteration as stop:
            outcome: T = stop.value
            return outcome

    # Messages

    async def next_message(self) -> Notification:
        """Wait for the next message that no `watch` claims."""
        await self.wait_for(lambda: self._messages.has_others)
        message = self._messages.take()
        return message if message is not None else await self.next_message()

    def watch(self, callback: int) -> deque[Notification]:
        """The queue of messages for a registered callback; wait for it with `wait_for`."""
        return self._messages.watch(callback)

    def unwatch(self, callback: int) -> None:
        """Drop a callback's queue."""
        self._messages.forget(callback)

    # Waiting

    def keepalive(self, *, interval: float, count: int) -> None:
        """Ping the daemon every interval seconds of silence; give up after count unanswered pings."""
        self._wire.start_keepalive(self._loop.time(), interval=interval, count=count)
        self._tick()

    async def wait_for(self, ready: Callable[[], bool]) -> None:
        """Return once `ready()` holds. Raises: the error that ended the connection before."""
        while not ready():
            if self._lost is not None:
                raise self._lost
            waiter = self._loop.create_future()
            self._waiters.add(waiter)
            self.steer_reading()
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)

    def push(self) -> None:
        """Send what is queued, as far as the socket takes it; the rest follows by itself.

        Raises: OperationFailedError if the connection is lost.
        """
        if self._lost is not None:
            raise self._lost
        try:
            self._unix.send(self._wire.data_to_send())
        except OSError as error:
            self._lose(_broken(error))
        if self._unix.has_unsent:
            self._loop.add_writer(self._unix, self._writable)

    def steer_reading(self) -> None:
        """Stop reading while too much lies here and nobody waits for more; go on when that has changed."""
        overfull = any(inbox.size > HELD_MAX for inbox in self._streams.values())
        wanted = self._lost is None and (bool(self._calls) or bool(self._waiters) or not overfull)
        if wanted and not self._reading:
            self._loop.add_reader(self._unix, self._readable)
        elif self._reading and not wanted:
            self._loop.remove_reader(self._unix)
        self._reading = wanted

    @property
    def unsent_bytes(self) -> int:
        """Bytes that wait for the socket."""
        return self._unix.unsent_bytes

    def forget_stream(self, stream: Stream) -> None:
        """Drop a stream that is closed."""
        self._streams.pop(stream, None)

    # What happens on the socket

    def _readable(self) -> None:
        try:
            received = self._unix.receive()
            if received is not None:
                self._take_in(*received)
        except OSError as error:
            self._lose(_broken(error))
        except InsulaError as error:
            self._lose(error)

    def _writable(self) -> None:
        try:
            self._unix.flush()
        except OSError as error:
            self._lose(_broken(error))
            return
        if not self._unix.has_unsent:
            self._loop.remove_writer(self._unix)
        self._wake()

    def _take_in(self, data: bytes, fds: list[int]) -> None:
        if not data:
            raise OperationFailedError("the daemon ended the connection; its log may say why")
        try:
            events = self._wire.receive_data(data, fds, now=self._loop.time())
        finally:
            unix.close_fds(self._wire.unclaimed_fds())
        for event in events:
            self._sort(event)
        self.push()
        self._wake()
        self.steer_reading()

    def _sort(self, event: Arrival) -> None:
        match event:
            case Failure(_, serial, error):
                if (future := self._calls.pop(serial, None)) is not None and not future.done():
                    future.set_exception(error)
            case Reply(_, serial, values, fds, stream):
                future = self._calls.pop(serial, None)
                if future is not None and not future.done():
                    future.set_result(Answer(values, fds, stream))
                else:
                    self._discard(event)
            case Notification():
                self._messages.put(event)
            case _:
                self._inbox_of(event.stream).put(event)  # type: ignore[union-attr]  # a client gets no calls

    async def _exchange(self, request: Request) -> Answer:
        """Make one call, and return its answer. Raises: the error that came instead."""
        if self._lost is not None:
            raise self._lost
        require_passing(request, passes_fds=self._unix.passes_fds)
        serial = self._wire.call(request.procedure, *request.arguments, fds=request.fds)
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._calls[serial] = future
        self.push()
        self.steer_reading()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self._discard(future.result())  # the answer came, and then its asker was cancelled
            raise

    def _discard(self, answer: Reply | Answer) -> None:
        """Nobody waits for this answer any more."""
        unix.close_fds(answer.fds)
        if answer.stream is not None and self._lost is None:
            self._wire.abort(answer.stream)
            self.push()

    def _inbox_of(self, stream: Stream) -> StreamInbox:
        return self._streams.setdefault(stream, StreamInbox(stream))

    def _tick(self) -> None:
        """Ping when it is time to, and come back at the next deadline."""
        if self._lost is not None:
            return
        if not self._wire.tick(self._loop.time()):
            self._lose(OperationFailedError("the daemon does not answer any more"))
            return
        self.push()
        if (deadline := self._wire.deadline) is not None:
            self._ticker = self._loop.call_at(deadline, self._tick)

    def _lose(self, error: InsulaError) -> None:
        """End the connection, and tell whoever waits."""
        if self._lost is not None:
            return
        self._lost = error
        self.steer_reading()
        self._loop.remove_writer(self._unix)
        if self._ticker is not None:
            self._ticker.cancel()
        self._unix.close()
        for inbox in self._streams.values():
            inbox.break_off(error)
        for future in self._calls.values():
            if not future.done():
                future.set_exception(error)
        self._calls.clear()
        self._wake()

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)


def _broken(error: OSError) -> OperationFailedError:
    return OperationFailedError(f"the connection to the daemon broke: {error.strerror or error}")
