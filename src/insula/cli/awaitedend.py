"""How a command inside ends: asked of the daemon, and of the next one if that goes. The command goes on meanwhile."""

import contextlib
from collections.abc import Iterator
from typing import Final

from insula.errors import InsulaError, OperationFailedError
from insula.sdk import verbs
from insula.sdk.blocking import Blocking, Pending

NEXT_DAEMON_SECONDS: Final = 60.0
"""For how long there may be no daemon: one that is restarted, or was killed, is back before."""
_PAUSE = 0.1


class AwaitedEnd:
    """The end of a command. client: stays the caller's; closed in the end, for the one that came after it."""

    def __init__(self, client: Blocking, handle: int) -> None:
        self._first = client
        self._handle = handle
        self._client: Blocking | None = client
        self._pending: Pending[int] = client.begin(verbs.exec_status(handle))
        self._tries: Iterator[float] = iter(())
        self._loss: OperationFailedError | None = None

    def close(self) -> None:
        if self._client is not None and self._client is not self._first:
            self._client.close()

    @property
    def sources(self) -> list[Blocking]:
        """What to wait for; then call `receive`."""
        return [] if self._client is None else [self._client]

    @property
    def patience(self) -> float | None:
        """After how many seconds to call `receive` although nothing came, None for never."""
        return _PAUSE if self._client is None else None

    def done(self) -> bool:
        return self._client is not None and self._pending.done()

    def result(self) -> int:
        """Its raw wait status, once it is done. Raises: InsulaError if nobody knows it."""
        return self._pending.result()

    def signal(self, number: int) -> None:
        """Send the command a signal; one that has ended just now does not mind."""
        if self._client is not None:
            with contextlib.suppress(InsulaError):
                self._client.run(verbs.exec_signal(self._handle, number))

    def receive(self) -> None:
        """Take in what the daemon says, or look for the next one.

        Raises: OperationFailedError if there is none for too long.
        """
        if self._client is None:
            self._seek()
            return
        try:
            self._client.receive(0)
        except OperationFailedError as error:
            self._loss = error
            self._tries = iter(()) if self._first.door is None else self._first.door.pauses(NEXT_DAEMON_SECONDS)
            self.close()
            self._client = None

    def _seek(self) -> None:
        if next(self._tries, None) is None:
            raise OperationFailedError(f"{self._loss}; no other came to tell how the command ends") from self._loss
        with contextlib.suppress(OperationFailedError):  # nobody listens, or no longer
            assert self._first.door is not None
            client = self._first.door.enter()
            self._pending = client.begin(verbs.exec_status(self._handle))
            self._client = client
