"""What a connection tells its owner: calls, answers, messages, and what happens on streams."""

from enum import Enum
from typing import Any, NamedTuple

from insula.errors import InsulaError
from insula.rpc.procedures import Procedure


class Role(Enum):
    """Which end of the connection this is."""

    CLIENT = "client"
    SERVER = "server"


class StreamState(Enum):
    """How far a stream is."""

    OPEN = "open"
    FINISHING = "finishing"
    ABORTING = "aborting"
    CLOSED = "closed"


class Stream:
    """A stream of one call. state: read-only for others; sparse: whether holes may be sent."""

    __slots__ = ("procedure", "serial", "sparse", "state")

    def __init__(self, procedure: Procedure, serial: int, *, sparse: bool) -> None:
        self.procedure = procedure
        self.serial = serial
        self.sparse = sparse
        self.state = StreamState.OPEN

    def __repr__(self) -> str:
        return f"<stream {self.serial} of {self.procedure}, {self.state.value}>"


class Call(NamedTuple):
    """A client's call. arguments: the row's named tuple."""

    procedure: Procedure
    serial: int
    arguments: Any
    fds: tuple[int, ...]


class Reply(NamedTuple):
    """A call succeeded. values: the row's named tuple; stream: if the call opened one."""

    procedure: Procedure
    serial: int
    values: Any
    fds: tuple[int, ...]
    stream: Stream | None


class Failure(NamedTuple):
    """A call failed."""

    procedure: Procedure
    serial: int
    error: InsulaError


class Notification(NamedTuple):
    """The server tells something unasked."""

    procedure: Procedure
    values: Any


class StreamData(NamedTuple):
    """Bytes on a stream, never empty."""

    stream: Stream
    data: bytes


class StreamHole(NamedTuple):
    """Zero bytes that were not sent one by one."""

    stream: Stream
    length: int


class StreamEof(NamedTuple):
    """The peer sends no more data on the stream."""

    stream: Stream


class StreamFinish(NamedTuple):
    """To a server: the client is done and waits for an answer. To a client: finish or abort is confirmed."""

    stream: Stream


class StreamAbort(NamedTuple):
    """The peer gave the stream up. error: the server's reason; None from a client."""

    stream: Stream
    error: InsulaError | None


Arrival = Call | Reply | Failure | Notification | StreamData | StreamHole | StreamEof | StreamFinish | StreamAbort
