"""The server's end of a stream: a job that sends and receives, with one unsent packet at a time.

reply ──► StreamJob(stream) runs ──► returns: EOF is sent, and the client's finish confirmed
                                └──► raises:  the stream is aborted with that error
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from insula.errors import InsulaError, OperationAbortedError
from insula.rpc.arrivals import Stream, StreamAbort, StreamData, StreamEof, StreamFinish
from insula.rpc.connection import Connection
from insula.rpc.frames import STREAM_DATA_MAX
from insula.rpc.procedure import Direction, Procedure

INPUT_BOUND = 256 * 1024
"""Bytes a client may send ahead of its streams' jobs before its socket is not read any more."""

StreamEvent = StreamData | StreamEof | StreamFinish | StreamAbort


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamJob:
    """What a stream is opened for. serve: runs while it is open; release: called when it is over, or never opened."""

    serve: Callable[["ServerStream"], Awaitable[None]]
    release: Callable[[], None] = lambda: None


class Carrier(Protocol):
    """The session, as far as streams need it."""

    @property
    def closed(self) -> bool: ...

    def flush(self) -> None:
        """Send what the connection has to send."""

    async def flushed(self) -> None:
        """The same, and return once it has left. Raises: ConnectionError when the client is gone."""

    def adjust(self) -> None:
        """There may be room for more input."""

    def told(self, error: Exception, procedure: Procedure) -> InsulaError:
        """What the client is told of an error."""


class ServerStream:
    """One stream. pending: bytes received and not yet taken."""

    def __init__(self, wire: Stream, connection: Connection, carrier: Carrier) -> None:
        self.wire = wire
        self.pending = 0
        self._connection = connection
        self._carrier = carrier
        self._incoming: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self._ended = asyncio.Event()
        self._finished = asyncio.Event()

    async def send(self, data: bytes) -> None:
        """Send bytes; return once they have left."""
        self._connection.send_data(self.wire, data)
        await self._carrier.flushed()

    async def receive(self) -> bytes:
        """Return the next bytes from the client, b"" when there will be none."""
        while not self._incoming:
            if self._ended.is_set():
                return b""
            self._arrived.clear()
            await self._arrived.wait()
        data = self._incoming.popleft()
        self.pending -= len(data)
        self._carrier.adjust()
        return data

    async def finished(self) -> None:
        """Return once the client has said that it is done."""
        await self._finished.wait()

    def feed(self, data: bytes) -> None:
        """Bytes came in."""
        self._incoming.append(data)
        self.pending += len(data)
        self._arrived.set()

    def end_input(self, *, finished: bool) -> None:
        """No more bytes come; finished: the client is done with the stream altogether."""
        self._ended.set()
        self._arrived.set()
        if finished:
            self._finished.set()


class ServerStreams:
    """The open streams of one client."""

    def __init__(self, connection: Connection, carrier: Carrier) -> None:
        self._connection = connection
        self._carrier = carrier
        self._open: dict[Stream, tuple[ServerStream, asyncio.Task[None]]] = {}

    @property
    def unread(self) -> int:
        """Bytes that came in and no job has taken yet."""
        return sum(stream.pending for stream, _ in self._open.values()) if self._open else 0

    def serve(self, wire: Stream, job: StreamJob) -> None:
        """Run job for a stream that a reply has just opened."""
        stream = ServerStream(wire, self._connection, self._carrier)
        task = asyncio.create_task(self._run(stream, job), name=f"{self._carrier} {wire}")
        self._open[wire] = (stream, task)
        task.add_done_callback(lambda _: self._over(wire, job))

    def take(self, event: StreamEvent) -> None:
        """Something came in for a stream."""
        stream, task = self._open.get(event.stream, (None, None))
        if stream is None or task is None:
            return  # late words for a stream that is over
        if isinstance(event, StreamData):
            stream.feed(event.data)
        elif isinstance(event, StreamEof):
            stream.end_input(finished=False)
        elif isinstance(event, StreamFinish) and event.stream.procedure.stream is not Direction.TO_CLIENT:
            stream.end_input(finished=True)
        else:
            task.cancel()  # the client does not want the rest
            task.add_done_callback(lambda _: self._confirm(event.stream))

    def close(self) -> None:
        """End all jobs."""
        for _, task in self._open.values():
            task.cancel()

    async def ended(self) -> None:
        """Return once no job runs any more; for after close()."""
        await asyncio.gather(*(task for _, task in self._open.values()), return_exceptions=True)

    async def _run(self, stream: ServerStream, job: StreamJob) -> None:
        try:
            await job.serve(stream)
            self._connection.send_eof(stream.wire)
            self._carrier.flush()
            await stream.finished()
            self._connection.finish(stream.wire)
        except Exception as error:
            if not self._carrier.closed:
                self._connection.abort(stream.wire, self._carrier.told(error, stream.wire.procedure))

    def _over(self, wire: Stream, job: StreamJob) -> None:
        """A job has ended; it may have been ended before it began."""
        self._open.pop(wire, None)
        job.release()
        self._carrier.flush()
        self._carrier.adjust()

    def _confirm(self, wire: Stream) -> None:
        self._connection.finish(wire)
        self._carrier.flush()


class GuestLine(Protocol):
    """One end of a line to a guest: a viewer of a console, or the host's side of a channel."""

    @property
    def taken_over(self) -> bool: ...

    async def read(self, limit: int) -> bytes:
        """Return what the guest wrote; b"" at the end."""

    async def write(self, data: bytes) -> None:
        """Hand it to the guest."""

    def close(self) -> None:
        """Leave."""


def line_job(line: GuestLine) -> StreamJob:
    """Serve a line: what the guest writes goes out, what the client sends goes in, until either leaves."""

    async def output(stream: ServerStream) -> None:
        while data := await line.read(STREAM_DATA_MAX):
            await stream.send(data)
        if line.taken_over:
            raise OperationAbortedError("somebody else took it over")

    async def typed(stream: ServerStream) -> None:
        while data := await stream.receive():
            await line.write(data)

    async def serve(stream: ServerStream) -> None:
        sending = asyncio.create_task(output(stream), name="output of a line")
        typing = asyncio.create_task(typed(stream), name="input of a line")
        leaving = asyncio.create_task(stream.finished(), name="finish of a line")
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                await sending
        finally:
            for each in (sending, typing, leaving):
                each.cancel()
            await asyncio.gather(sending, typing, leaving, return_exceptions=True)

    return StreamJob(serve=serve, release=line.close)
