"""The async client's side of a stream."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Self

from insula.rpc.connection import Connection
from insula.sdk.blocking_stream import UNSENT_MAX
from insula.sdk.inbox import Piece, StreamInbox

if TYPE_CHECKING:
    from insula.sdk.client import Client


class ClientStream:
    """A stream of one call. Its `async with` block finishes it, or aborts it if the block raises.

    Iterating gives its pieces as they come, until the daemon's end.
    """

    def __init__(self, client: "Client", wire: Connection, inbox: StreamInbox) -> None:
        self._client = client
        self._wire = wire
        self._inbox = inbox

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            await self.finish()
        elif not self._inbox.closed:
            await self.abort()

    async def __aiter__(self) -> AsyncIterator[Piece]:
        while piece := await self.read():
            yield piece

    @property
    def ended(self) -> bool:
        """Whether all that the daemon sends has come in, though maybe not been read."""
        return self._inbox.ended

    async def read(self) -> Piece:
        """Return the next piece, b"" at the end. Raises: the daemon's error, behind its last piece."""
        if not (self._inbox.has_pieces or self._inbox.ended):
            await self._client.wait_for(lambda: self._inbox.has_pieces or self._inbox.ended)
        piece = self._inbox.take()
        self._client.steer_reading()
        return piece or b""

    async def send(self, data: bytes) -> None:
        """Send bytes, waiting while too many are unsent. Raises: the daemon's error if it gave the stream up."""
        self._inbox.check()
        self._wire.send_data(self._inbox.stream, data)
        self._client.push()
        await self._client.wait_for(lambda: self._client.unsent_bytes <= UNSENT_MAX or self._inbox.closed)

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

    async def finish(self) -> None:
        """Tell the daemon that all is done, and wait until it agrees. Raises: its error if it does not."""
        self._wire.finish(self._inbox.stream)
        await self._close()
        self._inbox.check()

    async def abort(self) -> None:
        """Give the stream up, and wait until the daemon has noticed."""
        self._wire.abort(self._inbox.stream)
        await self._close()

    async def _close(self) -> None:
        if not self._inbox.closed:
            self._client.push()
            await self._client.wait_for(lambda: self._inbox.closed)
        self._client.forget_stream(self._inbox.stream)
        self._client.steer_reading()
