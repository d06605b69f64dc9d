"""One end of a libvirt connection, without I/O: bytes, descriptors and the time come in as arguments, events come out.

Both ends
---------
    events = connection.receive_data(data, fds, now=monotonic())   # what recvmsg(2) gave; on RpcError: hang up
    for fd in connection.unclaimed_fds(): os.close(fd)              # after every receive_data, also when it raised
    for data, fd in connection.data_to_send():                      # after every receive_data and every send
        ...                                                         # fd is None: write data, however split
        ...                                                         # else: one sendmsg(2) of data, fd attached

Descriptors are never closed here. Those in an event belong to whoever takes the event; those given to `reply` and
`call` stay the giver's, and must stay open until what `data_to_send` returned has been written.

A server
--------
    connection = Connection(Role.SERVER)

    Call(procedure, serial, arguments, fds)
        A client wants something: `procedure` is the row of the table, `arguments` a named tuple in the row's order.
        Answer each exactly once, in any order:
            connection.reply(call, *values, fds=())      returns the row's Stream, or None; on RpcError, use error()
            connection.error(call, InsulaError(...))     its `message` is what the client prints
        Not checked here, but the session's business: authentication (all but AUTH_* needs it), the order of OPEN and
        CLOSE, what the client may do, and how many calls may be `outstanding` until it stops reading.
        Unknown programs and procedures, and arguments that make no sense, are answered here, with libvirt's errors.
    connection.message(Remote.DOMAIN_EVENT_CALLBACK_LIFECYCLE, callback_id, (domain, event, detail))
        Tell the client something unasked.

    Streams (consoles, logs, volumes): after reply() both sides may send.
        StreamData(stream, data)      bytes from the client
        StreamHole(stream, length)    that many zero bytes; only if the call allowed holes
        StreamEof(stream)             the client will send no more data (few do)
        StreamFinish(stream)          the client is done and waits: finish(stream) confirms, abort(stream, error) denies
        StreamAbort(stream, None)     the client gave up; already confirmed, the stream is closed
        connection.send_data(stream, data), send_hole(stream, length), send_eof(stream)
        connection.abort(stream, error)      something broke: the client is told, the stream is closed
        A server never finishes on its own: it sends EOF, and the client finishes. Whatever is sent on a closed stream,
        or still comes in for it, is dropped, because both ends may close at the same moment.

    Keepalive: PINGs are answered here. To watch the client, once it asked for feature KEEPALIVE (never before: a client
    without an event loop would not answer):
        connection.start_keepalive(now)
        connection.deadline           when to call tick() at the latest, or None
        connection.tick(now)          may put a PING into data_to_send(); returns False when the client is dead: hang up

A client
--------
    connection = Connection(Role.CLIENT)
    serial = connection.call(Remote.DOMAIN_GET_STATE, domain, 0)         or dom=domain, flags=0
    Reply(procedure, serial, values, fds, stream), Failure(procedure, serial, error), Notification(procedure, values)
    and the stream events: StreamFinish confirms finish() or abort(), StreamAbort(stream, error) is a failure there.

Sources: libvirt's virnetprotocol.x, virnetserverprogram.c, remote_daemon_stream.c, virnetclient.c.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from insula.errors import InsulaError, InternalError, NoSupportError, RpcError
from insula.rpc.arrivals import (
    Arrival,
    Call,
    Failure,
    Notification,
    Reply,
    Role,
    Stream,
    StreamAbort,
    StreamData,
    StreamEof,
    StreamFinish,
    StreamHole,
    StreamState,
)
from insula.rpc.error_record import UNKNOWN_PROCEDURE, error_of, record_of, unpack_error
from insula.rpc.frames import (
    FD_CARRIER,
    PROTOCOL_VERSION,
    Frame,
    PacketType,
    RpcProgram,
    Splitter,
    Status,
    pack_frame,
)
from insula.rpc.keepalive import COUNT, INTERVAL, Countdown, Due
from insula.rpc.procedures import PROGRAMS, Keepalive, Procedure, procedure
from insula.rpc.refusals import ABSENT, not_supported
from insula.rpc.streams import Streams

__all__ = [
    "Arrival",
    "Call",
    "Connection",
    "Failure",
    "Notification",
    "Reply",
    "Role",
    "Stream",
    "StreamAbort",
    "StreamData",
    "StreamEof",
    "StreamFinish",
    "StreamHole",
    "StreamState",
]

CALL_COST: Final = 4096
"""Bytes that a call without an answer takes, beside its own: the task, and what it was given."""
BYTES_A_CHARACTER: Final = 4
"""What a character of one byte takes in a text that has also others."""
_SERIALS: Final = 1 << 32
_CALLS: Final = (PacketType.CALL, PacketType.CALL_WITH_FDS)
_REPLIES: Final = (PacketType.REPLY, PacketType.REPLY_WITH_FDS)
_STREAMS: Final = (PacketType.STREAM, PacketType.STREAM_HOLE)


class Connection:
    """One end of one connection; see the module's text for how to drive it."""

    def __init__(self, role: Role) -> None:
        self._role = role
        self._splitter = Splitter()
        self._unclaimed: list[int] = []
        self._written: list[bytes] = []
        self._outgoing: list[tuple[bytes, int | None]] = []
        self._calls: dict[tuple[int, int], Procedure] = {}
        self._sizes: dict[tuple[int, int], int] = {}
        self._outstanding_bytes = 0
        self._unsent = 0
        self._packets = 0
        self._streams = Streams(role, self._send)
        self._next_serial = 0
        self._countdown: Countdown | None = None

    # Both ends

    @property
    def outstanding(self) -> int:
        """How many calls wait for their answer."""
        return len(self._calls)

    @property
    def held(self) -> int:
        """Bytes of the packet that has not come whole yet, and of the calls that have no answer yet."""
        return self._splitter.buffered + self._outstanding_bytes

    @property
    def unfinished(self) -> bool:
        """Whether a packet has begun to come and is not all there."""
        return self._splitter.buffered > 0

    @property
    def packets(self) -> int:
        """How many packets have come whole."""
        return self._packets

    @property
    def unsent(self) -> int:
        """Bytes that wait for `data_to_send`."""
        return self._unsent

    def limit_packets(self, limit: int) -> None:
        """Take no packet of more bytes than that from now on; before, as many as the protocol allows."""
        self._splitter.limit = limit

    def receive_data(self, data: bytes, fds: Iterable[int] = (), *, now: float = 0.0) -> list[Arrival]:
        """Take what was read, and return what it means.

        fds: the descriptors that came with `data`; now: seconds of a monotonic clock, needed once keepalive runs.
        Raises: RpcError if the peer breaks the protocol: nothing more can be read from it.
        """
        try:
            frames = self._splitter.feed(data, fds)
        except RpcError:
            self._unclaimed += self._splitter.take_fds()
            raise
        self._packets += len(frames)
        if frames and self._countdown is not None:
            self._countdown.heard(now)
        events: list[Arrival] = []
        for index, frame in enumerate(frames):
            try:
                self._take(frame, events)
            except RpcError:
                self._disclaim(frames[index:], events)
                raise
        return events

    def data_to_send(self) -> list[tuple[bytes, int | None]]:
        """Hand over what is to be written: bytes alone, or a carrier byte with the descriptor to attach to it."""
        self._cut_written()
        outgoing, self._outgoing = self._outgoing, []
        self._unsent = 0
        return outgoing

    def unclaimed_fds(self) -> list[int]:
        """Hand over the descriptors that came in and that no event carries, to be closed."""
        unclaimed, self._unclaimed = self._unclaimed, []
        return unclaimed

    # A server's answers

    def reply(self, call: Call, *values: Any, fds: Sequence[int] = ()) -> Stream | None:
        """Answer a call with the values of its row's results; return the stream if the row opens one.

        Raises: RpcError if a value does not fit; the call is then still unanswered.
        """
        row, serial = call.procedure, call.serial
        self._check_unanswered(call)
        body = row.results.pack(values)
        kind = PacketType.REPLY_WITH_FDS if fds else PacketType.REPLY
        self._send(Frame(row.program, PROTOCOL_VERSION, row.number, kind, serial, Status.OK, body, tuple(fds)))
        self._answered(row.program, serial)
        if row.stream is None:
            return None
        return self._streams.opened(row, serial, call.arguments)

    def error(self, call: Call, error: InsulaError) -> None:
        """Answer a call with an error."""
        self._check_unanswered(call)
        row = call.procedure
        self._answered(row.program, call.serial)
        self._refuse(row.program, PROTOCOL_VERSION, row.number, call.serial, error)

    def message(self, procedure: Procedure, *values: Any) -> None:
        """Tell the client something unasked. Raises: RpcError if a value does not fit."""
        body = procedure.arguments.pack(values)
        number = procedure.number
        self._send(Frame(procedure.program, PROTOCOL_VERSION, number, PacketType.MESSAGE, 0, Status.OK, body))

    # A client's questions

    def call(self, procedure: Procedure, *positional: Any, fds: Sequence[int] = (), **named: Any) -> int:
        """Ask for a procedure; return the serial that the answer will carry.

        positional, named: the row's arguments. Raises: RpcError if they do not fit.
        """
        arguments = procedure.arguments.arrange(positional, named)
        body = procedure.arguments.pack(arguments)
        kind = PacketType.CALL_WITH_FDS if fds else PacketType.CALL
        serial = self._next_serial
        number = procedure.number
        self._send(Frame(procedure.program, PROTOCOL_VERSION, number, kind, serial, Status.OK, body, tuple(fds)))
        self._next_serial = (serial + 1) % _SERIALS
        self._calls[procedure.program, serial] = procedure
        if procedure.stream is not None:
            self._streams.opened(procedure, serial, arguments)
        return serial

    # Streams

    def send_data(self, stream: Stream, data: bytes) -> None:
        """Send bytes on a stream, in packets of at most `STREAM_DATA_MAX`; dropped if it is closed."""
        self._streams.send_data(stream, data)

    def send_hole(self, stream: Stream, length: int) -> None:
        """Send a hole of `length` zero bytes. Raises: RpcError if the call did not allow holes."""
        self._streams.send_hole(stream, length)

    def send_eof(self, stream: Stream) -> None:
        """Say that no more data follows; the other direction stays open."""
        self._streams.send_eof(stream)

    def finish(self, stream: Stream) -> None:
        """Client: say that all went well; StreamFinish or StreamAbort follows. Server: confirm that, and close."""
        self._streams.finish(stream)

    def abort(self, stream: Stream, error: InsulaError | None = None) -> None:
        """Client: give up; StreamFinish follows. Server: close the stream, and tell why (`error` must be given)."""
        self._streams.abort(stream, error)

    # Keepalive

    def start_keepalive(self, now: float, *, interval: float = INTERVAL, count: int = COUNT) -> None:
        """Watch the peer from now on; interval: seconds, 0 for not at all; count: pings that may stay unanswered."""
        if self._countdown is None and interval > 0:
            self._countdown = Countdown(now=now, interval=interval, count=count)

    @property
    def deadline(self) -> float | None:
        """When to call `tick` at the latest, on the clock of `now`; None if keepalive does not run."""
        return self._countdown.deadline if self._countdown is not None else None

    def tick(self, now: float) -> bool:
        """Let time pass, which may queue a PING; return whether the peer still counts as alive."""
        due = self._countdown.due(now) if self._countdown is not None else Due.NOTHING
        if due is Due.PING:
            self.message(Keepalive.PING)
        return due is not Due.DEATH

    # What comes in

    def _take(self, frame: Frame, events: list[Arrival]) -> None:
        kind = frame.type
        if frame.program == RpcProgram.KEEPALIVE and frame.version == PROTOCOL_VERSION and kind == PacketType.MESSAGE:
            if frame.procedure == Keepalive.PING.number:
                self.message(Keepalive.PONG)
        elif kind in _STREAMS:
            if (event := self._streams.take(frame)) is not None:
                events.append(event)
        elif self._role is Role.SERVER and kind in _CALLS:
            self._take_call(frame, events)
        elif self._role is Role.CLIENT and kind in _REPLIES:
            self._take_reply(frame, events)
        elif self._role is Role.CLIENT and kind == PacketType.MESSAGE:
            self._take_message(frame, events)
        else:
            raise RpcError(f"a packet of type {kind}, which a {self._role.value} does not take")

    def _take_call(self, frame: Frame, events: list[Arrival]) -> None:
        program, version, number, _, serial, status, body, fds = frame
        key = program, serial
        if key in self._calls or self._streams.of(program, serial) is not None:
            raise RpcError(f"a second call with the serial {serial} of one that is still going on")
        try:
            row = self._called(program, version, number)
            if status != Status.OK:
                raise RpcError(f"unexpected message status {status}")
            if fds and not row.takes_fds:
                raise RpcError(f"{row.name} takes no file descriptors")
            arguments = row.arguments.unpack(body)
        except (RpcError, NoSupportError) as error:
            self._unclaimed += fds
            self._refuse(program, version, number, serial, error)
            return
        self._calls[key] = row
        self._sizes[key] = CALL_COST + BYTES_A_CHARACTER * len(body)
        self._outstanding_bytes += self._sizes[key]
        events.append(Call(row, serial, arguments, fds))

    def _called(self, program: int, version: int, number: int) -> Procedure:
        if program not in (*PROGRAMS, *ABSENT) or version != PROTOCOL_VERSION:
            raise RpcError(f"Cannot find program {program} version {version}")
        row = procedure(program, number)
        if row is not None and not row.is_event:
            return row
        if number in ABSENT.get(program, ()):
            raise not_supported(ABSENT[program][number])
        raise RpcError(f"{UNKNOWN_PROCEDURE}: {number}")

    def _take_reply(self, frame: Frame, events: list[Arrival]) -> None:
        key = frame.program, frame.serial
        row = self._calls.get(key)
        if row is None or row.number != frame.procedure:
            raise RpcError(
                f"a reply to the procedure {frame.procedure} with the serial {frame.serial}, which nobody called"
            )
        stream = self._streams.of(*key)
        if frame.status == Status.OK:
            if frame.fds and not row.gives_fds:
                raise RpcError(f"a reply to {row.name} with file descriptors")
            events.append(Reply(row, frame.serial, row.results.unpack(frame.body), frame.fds, stream))
        else:
            events.append(Failure(row, frame.serial, error_of(unpack_error(frame.body))))
            self._unclaimed += frame.fds
            if stream is not None:
                self._streams.close(stream)
        del self._calls[key]

    def _take_message(self, frame: Frame, events: list[Arrival]) -> None:
        row = procedure(frame.program, frame.procedure)
        if row is not None and row.is_event:  # a newer server may know events that we do not
            events.append(Notification(row, row.arguments.unpack(frame.body)))

    def _disclaim(self, frames: Sequence[Frame], events: Sequence[Arrival]) -> None:
        """Keep the descriptors of frames and events that nobody will get to see."""
        for frame in frames:
            self._unclaimed += frame.fds
        for event in events:
            if isinstance(event, Call | Reply):
                self._unclaimed += event.fds

    # What goes out

    def _send(self, frame: Frame) -> None:
        packet = pack_frame(frame)
        self._written.append(packet)
        self._unsent += len(packet)
        if frame.fds:
            self._cut_written()
            self._outgoing += [(FD_CARRIER, fd) for fd in frame.fds]

    def _cut_written(self) -> None:
        """Close the present run of plain bytes."""
        if self._written:
            self._outgoing.append((b"".join(self._written), None))
            self._written.clear()

    def _refuse(self, program: int, version: int, number: int, serial: int, error: InsulaError) -> None:
        body = record_of(error).pack()
        self._send(Frame(program, version, number, PacketType.REPLY, serial, Status.ERROR, body))

    def _answered(self, program: int, serial: int) -> None:
        del self._calls[program, serial]
        self._outstanding_bytes -= self._sizes.pop((program, serial))

    def _check_unanswered(self, call: Call) -> None:
        if self._calls.get((call.procedure.program, call.serial)) is not call.procedure:
            raise InternalError(f"the call of {call.procedure} with the serial {call.serial} has its answer already")
