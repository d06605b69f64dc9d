"""The open streams of one connection: what may be sent on them, and what comes of what comes in.

    OPEN ── the client finishes ──► FINISHING ── the server confirms, or aborts ──► CLOSED
      ├──── the client aborts ────► ABORTING ─── the server confirms ─────────────► CLOSED
      └──── the server aborts ────────────────────────────────────────────────────► CLOSED

Either end may close while data of the other is under way; so whatever comes in for a stream that is closed is dropped,
and so is what is sent on it. Sources: libvirt's remote_daemon_stream.c, virnetclientstream.c, virnetserverprogram.c.
"""

from collections.abc import Callable
from typing import Any, Final

from insula.errors import InsulaError, InternalError, RpcError
from insula.rpc.arrivals import (
    Arrival,
    Role,
    Stream,
    StreamAbort,
    StreamData,
    StreamEof,
    StreamFinish,
    StreamHole,
    StreamState,
)
from insula.rpc.error_record import error_of, record_of, unpack_error
from insula.rpc.frames import PROTOCOL_VERSION, STREAM_DATA_MAX, Frame, PacketType, Status
from insula.rpc.notation import record
from insula.rpc.procedure import Procedure

_HOLE: Final = "length:q flags:u"


class Streams:
    """One connection's streams. send: queues a packet."""

    def __init__(self, role: Role, send: Callable[[Frame], None]) -> None:
        self._role = role
        self._send = send
        self._open: dict[tuple[int, int], Stream] = {}

    def opened(self, procedure: Procedure, serial: int, arguments: Any) -> Stream:
        """A call with these arguments opens a stream."""
        stream = Stream(procedure, serial, sparse=procedure.allows_holes(arguments))
        self._open[procedure.program, serial] = stream
        return stream

    def of(self, program: int, serial: int) -> Stream | None:
        """The stream that a call opened, while it is not closed."""
        return self._open.get((program, serial))

    def close(self, stream: Stream) -> None:
        """Forget a stream."""
        stream.state = StreamState.CLOSED
        self._open.pop((stream.procedure.program, stream.serial), None)

    # What goes out

    def send_data(self, stream: Stream, data: bytes) -> None:
        """Send bytes, in packets of at most `STREAM_DATA_MAX`."""
        if stream.state is StreamState.OPEN:
            for at in range(0, len(data), STREAM_DATA_MAX):
                self._packet(stream, Status.CONTINUE, data[at : at + STREAM_DATA_MAX])

    def send_hole(self, stream: Stream, length: int) -> None:
        """Send a hole. Raises: RpcError if the call did not allow any."""
        if not stream.sparse:
            raise RpcError(f"the call that opened the stream of {stream.procedure} allowed no holes")
        if stream.state is StreamState.OPEN:
            self._packet(stream, Status.CONTINUE, record(_HOLE).pack((length, 0)), PacketType.STREAM_HOLE)

    def send_eof(self, stream: Stream) -> None:
        """Say that no more data follows."""
        if stream.state is StreamState.OPEN:
            self._packet(stream, Status.CONTINUE, b"")

    def finish(self, stream: Stream) -> None:
        """Client: ask for the end. Server: agree to it. Raises: InternalError for a server that was not asked."""
        if self._role is Role.CLIENT:
            if stream.state is StreamState.OPEN:
                self._packet(stream, Status.OK, b"")
                stream.state = StreamState.FINISHING
        elif stream.state is StreamState.FINISHING:
            self._packet(stream, Status.OK, b"")
            self.close(stream)
        elif stream.state is StreamState.OPEN:
            raise InternalError(f"a server finishes {stream!r} only after the client did; it sends EOF instead")

    def abort(self, stream: Stream, error: InsulaError | None) -> None:
        """Client: give up. Server: close, telling why. Raises: InternalError for a server that gives no reason."""
        if stream.state in (StreamState.CLOSED, StreamState.ABORTING):
            return
        if self._role is Role.CLIENT:
            self._packet(stream, Status.ERROR, b"")
            stream.state = StreamState.ABORTING
        elif error is not None:
            self._packet(stream, Status.ERROR, record_of(error).pack())
            self.close(stream)
        else:
            raise InternalError(f"a server that aborts {stream!r} says why")

    def _packet(self, stream: Stream, status: Status, body: bytes, kind: PacketType = PacketType.STREAM) -> None:
        row = stream.procedure
        self._send(Frame(row.program, PROTOCOL_VERSION, row.number, kind, stream.serial, status, body))

    # What comes in

    def take(self, frame: Frame) -> Arrival | None:
        """Return what a packet of a stream's kind means, None if nothing. Raises: RpcError if it breaks the rules."""
        stream = self._open.get((frame.program, frame.serial))
        if stream is None or stream.procedure.number != frame.procedure:
            return None
        if frame.type == PacketType.STREAM_HOLE:
            return self._take_hole(stream, frame.body)
        if frame.status == Status.CONTINUE:
            return self._take_data(stream, frame.body)
        if frame.status == Status.OK:
            return self._take_finish(stream)
        return self._take_abort(stream, frame.body)

    def _take_data(self, stream: Stream, body: bytes) -> Arrival | None:
        if stream.state is StreamState.ABORTING:
            return None
        return StreamData(stream, body) if body else StreamEof(stream)

    def _take_hole(self, stream: Stream, body: bytes) -> Arrival | None:
        if not stream.sparse:
            raise RpcError(f"a hole in the stream of {stream.procedure}, whose call allowed none")
        length, _ = record(_HOLE).unpack(body)
        if length < 0:
            raise RpcError(f"a hole of {length} bytes in a stream")
        return StreamHole(stream, length) if stream.state is not StreamState.ABORTING else None

    def _take_finish(self, stream: Stream) -> Arrival:
        if self._role is Role.CLIENT:
            self.close(stream)
        elif stream.state is StreamState.FINISHING:
            raise RpcError(f"a second finish of {stream!r}")
        else:
            stream.state = StreamState.FINISHING
        return StreamFinish(stream)

    def _take_abort(self, stream: Stream, body: bytes) -> Arrival:
        error = None
        if self._role is Role.CLIENT:
            error = error_of(unpack_error(body))
        else:
            self._packet(stream, Status.OK, b"")
        self.close(stream)
        return StreamAbort(stream, error)
