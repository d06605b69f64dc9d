"""One channel: bytes between a program in the guest and one of the host, which both open and close as they like.

    guest ── /dev/virtio-ports/NAME ── raw pty ── GuestChannel ── ChannelPeer ── a stream, or a socket of the host

Nothing is lost and nothing piles up: who writes and is not read from waits. So the guest's side is read only while
somebody has the host's, as fast as that takes it, and what a guest writes to nobody stays in its terminal, some KiB.
"""

import asyncio
import logging
import math
import os

from insula.engine.console.consoleinput import ConsoleInput
from insula.engine.console.terminalwatch import TerminalWatch
from insula.engine.tokenbucket import TokenBucket
from insula.errors import OperationAbortedError, OperationFailedError, OperationInvalidError
from insula.kernel.fds import Fd
from insula.kernel.pty import is_hung_up

BACKLOG = 64 * 1024
"""Bytes waiting for the host's side at which the guest's is not read."""
RATE = 16 * 1024 * 1024
"""Bytes a second that a guest may send on one channel in the long run, for they pass through the daemon."""

_READ_SIZE = 4096
_READS_AT_A_TIME = 16

_logger = logging.getLogger(__name__)


class GuestChannel:
    """A channel of a running container. To be made inside the running event loop.

    master: of the guest's terminal, from now on the channel's; missed: what a keeper read while there was no daemon.
    """

    def __init__(
        self,
        master: Fd,
        *,
        name: str,
        watch: TerminalWatch,
        missed: bytes = b"",
        allowance: TokenBucket | None = None,
    ) -> None:
        self.name = name
        self._loop = asyncio.get_running_loop()
        self._master = master
        os.set_blocking(master, False)
        self._watch = watch
        self._missed = missed
        self._allowance = allowance or TokenBucket(RATE, RATE)
        self._input = ConsoleInput(master, name=name, patience=math.inf, more=lambda: None)
        self._peer: ChannelPeer | None = None
        self._resting: asyncio.TimerHandle | None = None
        self._finished = False
        watch.add(master, self._ready)

    @property
    def connected(self) -> bool:
        """Whether a program in the guest has it open."""
        return not self._finished and not is_hung_up(self._master)

    @property
    def taken(self) -> bool:
        """Whether somebody has the host's side."""
        return self._peer is not None

    def attach(self, *, force: bool = False) -> "ChannelPeer":
        """Return the host's side. force: who has it sees the end, instead of keeping the newcomer out.

        Raises: OperationFailedError if somebody has it, OperationInvalidError after the guest's end.
        """
        if self._finished:
            raise OperationInvalidError(f"the {self.name} has ended: start the domain first")
        if self._peer is not None:
            if not force:
                raise OperationFailedError(f"an active session exists for the {self.name}: end it, or use force")
            self._peer.taken_over = True
            self._peer.close()
        self._peer = ChannelPeer(self, self._input)
        if self._missed:
            self._peer.feed(self._missed)
            self._missed = b""
        self._watch.again(self._master)
        return self._peer

    def left(self, peer: "ChannelPeer") -> None:
        """The host's side has been closed."""
        if peer is self._peer:
            self._peer = None

    def room(self) -> None:
        """The host's side has taken something."""
        self._watch.again(self._master)

    def finish(self) -> None:
        """The guest has ended: let the host's side read what is left, and then the end. Safe to repeat."""
        if self._finished:
            return
        if self._peer is not None:
            self._read(self._peer)
        self.let_go()
        os.close(self._master)

    def let_go(self) -> None:
        """Serve nobody any more, and let the host's side see the end; the master stays open, and the caller's."""
        if self._peer is not None:
            self._peer.end()
        self._finished = True
        self._peer = None
        if self._resting is not None:
            self._resting.cancel()
        self._watch.remove(self._master)
        self._input.close()

    def _ready(self) -> None:
        if self._input.waiting:
            self._input.flush()
        if self._peer is None or self._peer.is_full or self._resting is not None:
            return  # whoever changes that asks again
        size, more = self._read(self._peer)
        pause = self._allowance.take(size)
        if pause:
            self._resting = self._loop.call_later(pause, self._rested)
        elif more:
            self._watch.again(self._master)

    def _read(self, peer: "ChannelPeer") -> tuple[int, bool]:
        """Hand on what the guest has written, some of it; return how much, and whether there may be more."""
        total = 0
        for _ in range(_READS_AT_A_TIME):
            try:
                data = os.read(self._master, _READ_SIZE)
            except OSError:
                # EAGAIN: nothing more now. EIO: no program inside has it open.
                return total, False
            peer.feed(data)
            total += len(data)
        return total, True

    def _rested(self) -> None:
        self._resting = None
        self._watch.again(self._master)


class ChannelPeer:
    """The host's side of a channel; made by `GuestChannel.attach`."""

    def __init__(self, channel: GuestChannel, towards: ConsoleInput) -> None:
        """towards: takes what is for the guest."""
        self._channel = channel
        self._input = towards
        self._backlog = bytearray()
        self._arrived = asyncio.Event()
        self._ended = False
        self.taken_over = False
        """Whether the end came because somebody else forced it."""

    @property
    def is_full(self) -> bool:
        """Whether it should be given nothing more for now."""
        return len(self._backlog) >= BACKLOG

    async def read(self, limit: int) -> bytes:
        """Return what the guest has written, at most limit bytes; b"" once it has ended or somebody took over."""
        await self._arrived.wait()
        was_full = self.is_full
        data = bytes(self._backlog[:limit])
        del self._backlog[:limit]
        if not self._backlog and not self._ended:
            self._arrived.clear()
        if was_full and not self.is_full and not self._ended:
            self._channel.room()
        return data

    async def write(self, data: bytes) -> None:
        """Hand data to the guest; return when it is on its way, having waited as long as the guest does not read.

        Raises: OperationAbortedError when the channel ended or was taken over.
        """
        if self._ended:
            raise OperationAbortedError("the channel ended, or somebody else took it over")
        await self._input.type(data)

    def feed(self, data: bytes) -> None:
        """The guest has written data."""
        self._backlog += data
        self._arrived.set()

    def end(self) -> None:
        """Nothing more will come."""
        self._ended = True
        self._arrived.set()

    def close(self) -> None:
        """Leave; what is not read yet is lost. The guest notices nothing."""
        self._backlog.clear()
        self.end()
        self._channel.left(self)
