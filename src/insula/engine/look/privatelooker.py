"""The looker of one program without a daemon: started when it is first needed, ended with the engine that has it."""

import select
import subprocess
import threading
import time
from collections.abc import Mapping
from socket import socket
from typing import Any

from insula.engine.keeper.protocol import Message
from insula.engine.look.looking import (
    PATIENCE,
    Child,
    LookerGoneError,
    Sight,
    await_beginning,
    end_looker,
    seen,
    start_looker,
)
from insula.errors import OperationFailedError
from insula.kernel.fds import close_all


class PrivateLooker:
    """Looks into guests while its caller waits; several threads may."""

    def __init__(self) -> None:
        self._started: tuple[socket, subprocess.Popen[bytes]] | None = None
        self._begun = False
        self._starting = threading.Lock()

    def start(self) -> None:
        """Start it now, and not with the first look. May be called again."""
        with self._starting:
            if self._started is None:
                self._started = start_looker()

    def look(
        self,
        sight: Sight,
        look: str,
        arguments: Mapping[str, Any],
        fds: Mapping[str, int],
        *,
        seconds: float = PATIENCE,
    ) -> Any:
        """Return what a look sees; raises as `looking.Looker.look`."""
        child = self.begin(look, arguments, fds)
        try:
            return seen(said_next(child, sight, seconds))
        finally:
            dismiss(child)

    def begin(self, look: str, arguments: Mapping[str, Any], fds: Mapping[str, int]) -> Child:
        """Begin a look; the caller dismisses it. The fds stay the caller's. Raises: OperationFailedError."""
        with self._starting:
            try:
                return Child(self._channel(), look, arguments, fds)
            except LookerGoneError:
                self._end()
                return Child(self._channel(), look, arguments, fds)

    def _channel(self) -> socket:
        """Return the channel of a looker that has begun. Raises: OperationFailedError."""
        if self._started is None:
            self._started = start_looker()
        channel, _ = self._started
        if not self._begun:
            try:
                await_beginning(channel)
            except OperationFailedError:
                self._end()
                raise
            self._begun = True
        return channel

    def close(self) -> None:
        """End it. What is left of looks ends with the guests."""
        with self._starting:
            self._end()

    def _end(self) -> None:
        if self._started is not None:
            channel, process = self._started
            self._started, self._begun = None, False
            channel.close()
            end_looker(process)


def said_next(child: Child, sight: Sight, seconds: float) -> Message:
    """Return what a look says next. Raises: OperationTimeoutError, LookerGoneError."""
    poller = select.poll()
    poller.register(child.answers, select.POLLIN)
    deadline = time.monotonic() + seconds
    while (message := child.heard()) is None:
        if not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise sight.no_answer()
    return message


def dismiss(child: Child) -> None:
    """Have no more of a look: it is killed unless it has ended; one that the guest holds ends with that."""
    close_all([left] if (left := child.kill()) is not None else [])
    child.close()
