"""The blocking client's side of a stream."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Self

from insula.rpc.connection import Connection
from insula.sdk.inbox import Piece, StreamInbox

if TYPE_CHECKING:
    from insula.sdk.blocking import Blocking

UNSENT_MAX: Final = 1024 * 1024
"""Bytes that may wait for the socket before sending on a stream waits too."""


class BlockingStream:
    """A stream of one call. Its `with` block finishes it, or aborts it if the block raises.

    Iterating gives its pieces as they come, until the daemon's end.
    """

    def __init__(self, client: "Blocking", wire: Connection, inbox: StreamInbox) -> None:
        self._client = client
        self._wire = wire
        self._inbox = inbox

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.finish()
        elif not self._inbox.closed:
            self.abort()

    def __iter__(self) -> Iterator[Piece]:
        while piece := self.read():
            yield piece

    @property
    def ended(self) -> bool:
        """Whether all that the daemon sends has come in; `take` may still have pieces of it."""
        return self._inbox.ended

    def read(self) -> Piece:
        """Wait for the next piece; return b"" at the end. Raises: the daemon's error, behind its last piece."""
        self._client.wait_for(lambda: self._inbox.has_pieces or self._inbox.ended)
        return self._inbox.take() or b""

    def take(self) -> Piece | None:
        """Return a piece that has come in, None if there is none now. Raises: the daemon's error, behind the last."""
        return self._inbox.take()

    def send(self, data: bytes) -> None:
        """Send bytes, waiting while too many are unsent. Raises: the daemon's error if it gave the stream up."""
        self._inbox.check()
        self._wire.send_data(self._inbox.stream, data)
        self._client.push()
        self._client.wait_for(lambda: self._client.unsent_bytes <= UNSENT_MAX or self._inbox.closed)

    def send_hole(self, length: int) -> None:
        """Send length zero bytes as a hole."""
        self._inbox.check()
        self._wire.send_hole(self._inbox.stream, length)
        self._client.push()

    def send_eof(self) -> None:
        """Say that no more bytes follow; those of the daemon may."""
        self._inbox.check()
        self._wire.send_eof(self._inbox.stream)
        self._client.push()

    def finish(self) -> None:
        """Tell the daemon that all is done, and wait until it agrees. Raises: its error if it does not."""
        self._wire.finish(self._inbox.stream)
        self._close()
        self._inbox.check()

    def abort(self) -> None:
        """Give the stream up, and wait until the daemon has noticed."""
        self._wire.abort(self._inbox.stream)
        self._close()

    def _close(self) -> None:
        self._client.wait_for(lambda: self._inbox.closed)
        self._client.forget_stream(self._inbox.stream)
