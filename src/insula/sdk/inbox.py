"""What came in and was not taken yet: stream data and messages, sorted for those who wait for them."""

from collections import deque
from typing import NamedTuple

from insula.errors import InsulaError, OperationAbortedError
from insula.rpc.connection import (
    Arrival,
    Notification,
    Stream,
    StreamAbort,
    StreamData,
    StreamEof,
    StreamFinish,
    StreamHole,
)


class Hole(NamedTuple):
    """A stretch of zero bytes that did not travel. length: bytes."""

    length: int


Piece = bytes | Hole


class StreamInbox:
    """One stream's incoming side. size: bytes held; ended: no more data will come; closed: nothing at all will."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.size = 0
        self.ended = False
        self.closed = False
        self._error: InsulaError | None = None
        self._pieces: deque[Piece] = deque()

    def put(self, event: Arrival) -> None:
        """Take an event of this stream."""
        match event:
            case StreamData(_, data):
                self._pieces.append(data)
                self.size += len(data)
            case StreamHole(_, length):
                self._pieces.append(Hole(length))
            case StreamEof():
                self.ended = True
            case StreamFinish():
                self.ended = self.closed = True
            case StreamAbort(_, error):
                self._error = error or OperationAbortedError("the server gave the stream up")
                self.ended = self.closed = True

    def break_off(self, error: InsulaError) -> None:
        """The connection is lost."""
        if not self.closed:
            self._error = error
            self.ended = self.closed = True

    @property
    def has_pieces(self) -> bool:
        """Whether `take` returns something at once."""
        return bool(self._pieces)

    def take(self) -> Piece | None:
        """Return the next piece, None if none is here. Raises: the server's error, behind the last piece."""
        if self._pieces:
            piece = self._pieces.popleft()
            if isinstance(piece, bytes):
                self.size -= len(piece)
            return piece
        self.check()
        return None

    def check(self) -> None:
        """Raise the error that ended the stream, if one did."""
        if self._error is not None:
            raise self._error


class MessageInbox:
    """Messages of the server, sorted by the callback they were registered for."""

    def __init__(self) -> None:
        self._others: deque[Notification] = deque()
        self._watched: dict[int, deque[Notification]] = {}

    def put(self, message: Notification) -> None:
        """Take a message."""
        self._queue_of(message).append(message)

    def watch(self, callback: int) -> deque[Notification]:
        """Return the queue of a callback's messages, with those that came before anyone could watch."""
        queue = self._watched[callback] = deque()
        earlier, self._others = self._others, deque()
        for message in earlier:
            self._queue_of(message).append(message)
        return queue

    def forget(self, callback: int) -> None:
        """Drop a callback's queue."""
        self._watched.pop(callback, None)

    @property
    def has_others(self) -> bool:
        """Whether `take` returns something at once."""
        return bool(self._others)

    def take(self) -> Notification | None:
        """Return the next message that no watched callback claims, None if none is here."""
        return self._others.popleft() if self._others else None

    def _queue_of(self, message: Notification) -> deque[Notification]:
        names = message.procedure.arguments.names
        callback = message.values[0] if names[:1] == ("callbackID",) else None
        return self._watched.get(callback, self._others) if callback is not None else self._others
