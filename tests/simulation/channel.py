"""A SOCK_SEQPACKET connection of a simulated daemon to the fake keeper: messages take their time, and stay in order."""

import array
import errno
import json
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Any

from insula.kernel.fds import Fd, close_all, duplicate
from insula.testing.fakekeeper import FakeKeeper
from tests.simulation.loop import KilledError
from tests.simulation.world import Process, World

KEEPER_PID = 4_000_000
Received = tuple[bytes, list[int]]


class SimulatedChannel:
    """The daemon's end. stopped: says whether the keeper is stopped now, and takes nothing in."""

    def __init__(self, world: World, daemon: Process, keeper: FakeKeeper, stopped: Callable[[], bool]) -> None:
        self._world = world
        self._daemon = daemon
        self._keeper = keeper
        self._stopped = stopped
        self._outbox: deque[Received] = deque()
        self._inbox: deque[Received] = deque()
        self._coming: deque[Received] = deque()
        self._ended = False
        self._closed = False
        self.on_readable: Callable[[], None] | None = None
        self._client = keeper.connect(self._told, self._lost)

    # The keeper's end

    def _told(self, body: dict[str, Any], fds: dict[str, Fd]) -> None:
        encoded = json.dumps({**body, **({"fds": list(fds)} if fds else {})}).encode()
        self._come((encoded, list(fds.values())))

    def _lost(self) -> None:
        self._come((b"", []))

    def _come(self, message: Received) -> None:
        self._coming.append(message)
        self._world.soon(self._arrive)

    def _arrive(self) -> None:
        encoded, fds = self._coming.popleft()
        if self._closed or not self._daemon.alive:
            close_all(fds)
            return
        self._inbox.append((encoded, fds))
        self.announce()

    def announce(self) -> None:
        if self.on_readable is not None and self._inbox:
            self.on_readable()

    def fds(self) -> list[int]:
        """Return the fds that are on their way."""
        return [fd for _, fds in (*self._outbox, *self._coming, *self._inbox) for fd in fds]

    def flush(self) -> None:
        """Let the keeper take in what it was sent."""
        while self._outbox and not self._stopped():
            encoded, fds = self._outbox.popleft()
            body = json.loads(encoded)
            names = body.pop("fds", [])
            if not self._keeper.alive:
                close_all(fds)
                continue
            self._keeper.hear(self._client, body, dict(zip(names, (Fd(fd) for fd in fds), strict=True)))

    def hang_up(self) -> None:
        """The daemon's end is closed."""
        if not self._closed:
            self._closed = True
            for _, fds in self._inbox:
                close_all(fds)
            self._inbox.clear()
            self._world.soon(self._hung_up)

    def _hung_up(self) -> None:
        self.flush()
        if self._keeper.alive:
            self._keeper.disconnect(self._client)

    # What the daemon asks of a socket

    def setblocking(self, blocking: bool) -> None:
        """It never blocks."""

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        return struct.pack("3i", KEEPER_PID, 0, 0)

    def sendmsg(self, parts: list[bytes], rights: list[Any]) -> int:
        if not self._daemon.alive:
            raise KilledError
        if not self._keeper.alive:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        fds = [duplicate(Fd(fd)) for _, _, each in rights for fd in each]
        self._outbox.append((b"".join(parts), list(fds)))
        self._world.soon(self.flush)
        return len(parts[0])

    def recvmsg(self, size: int, ancillary_size: int, flags: int) -> tuple[bytes, list[Any], int, Any]:
        if not self._inbox:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        encoded, fds = self._inbox.popleft()
        if encoded == b"":
            self._inbox.append((encoded, fds))  # the end stays the end
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds).tobytes())] if fds else []
        return encoded, rights, 0, None

    def close(self) -> None:
        self.hang_up()
