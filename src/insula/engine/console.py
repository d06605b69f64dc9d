"""The hub of one console: the guest's terminal on one side, a log and any number of viewers on the other.

    guest ── pty ── ConsoleHub ──► ring buffer (what a late viewer sees first)
                       │  │  └───► ConsoleLog (a file, rotated)
                       │  └──────► ConsoleChannel  interactive: one at a time, may type
                       └─────────► ConsoleChannel  watching: any number

The hub reads at once and always, so a guest nobody looks at is never held. While an interactive viewer is attached and
slow, the guest is held, as a serial line would hold it, so that nothing is lost; but no longer than PATIENCE seconds
without the viewer taking anything. After that the viewer loses the oldest bytes and is told how many.
Bytes pass unchanged, whatever they are.
"""

import asyncio
import errno
import logging
import os
import re
from contextlib import suppress
from enum import Enum
from pathlib import Path

from insula.engine.consolelog import ConsoleLog, tail
from insula.engine.consolering import RING_BYTES, ConsoleRing, kept, news
from insula.errors import OperationAbortedError, OperationFailedError, OperationInvalidError
from insula.kernel.fds import Fd
from insula.kernel.pty import open_slave, set_window

BACKLOG_HIGH = 256 * 1024
"""Bytes waiting for an interactive viewer at which the guest is held; for a watching one the bound of its backlog."""
BACKLOG_LOW = 64 * 1024
INPUT_BOUND = 64 * 1024
"""Bytes typed and not yet read by the guest at which a writer waits."""
PATIENCE = 10.0
"""Seconds without any progress after which a side that does not read loses bytes instead of holding the other."""

_BURST = 256 * 1024
_HANGUP_RETRY = 0.2
_TERMINAL_QUERY = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[cnxt]"  # device attributes, status and position reports, parameters, window reports
    rb"|\x1b\][0-9;]*\?(?:\x07|\x1b\\)"  # colours
    rb"|\x1bP[+$]q[^\x1b]*\x1b\\"  # terminfo and setting requests
    rb"|\x1bZ|\x05"  # identify, enquiry
)

_logger = logging.getLogger(__name__)


class Viewing(Enum):
    """What a viewer may do."""

    INTERACTIVE = "interactive"
    WATCHING = "watching"


class ConsoleChannel:
    """One viewer's end of a console; made by `ConsoleHub.attach`."""

    def __init__(self, hub: "ConsoleHub", viewing: Viewing, replay: bytes) -> None:
        self.viewing = viewing
        self._hub = hub
        self._backlog = bytearray(replay)
        self._skipped = 0
        self._ended = False
        self.taken_over = False
        """Whether the end came because somebody else forced it."""
        self._arrived = asyncio.Event()
        if replay:
            self._arrived.set()

    @property
    def backlog(self) -> int:
        """Bytes that arrived and were not read."""
        return len(self._backlog)

    async def read(self, limit: int = 65536) -> bytes:
        """Return the next bytes, at most limit; b"" once the console ended, was closed or was taken over."""
        await self._arrived.wait()
        if self._skipped:
            notice, self._skipped = b"\r\n[insula: %d bytes were skipped]\r\n" % self._skipped, 0
            return notice
        data = bytes(self._backlog[:limit])
        del self._backlog[:limit]
        if not self._backlog and not self._ended:
            self._arrived.clear()
        self._hub._taken(self)
        return data

    async def write(self, data: bytes) -> None:
        """Type data; return when it is on its way, having waited for a guest that does not read.

        Raises: OperationAbortedError when the console ended or was taken over, OperationInvalidError when watching.
        """
        if self.viewing is not Viewing.INTERACTIVE:
            raise OperationInvalidError("this viewer only watches the console")
        if self._ended:
            raise OperationAbortedError("the console ended, or somebody else took it over")
        await self._hub._type(data)

    def resize(self, rows: int, columns: int) -> None:
        """Tell the guest the viewer's window size; only an interactive viewer has a say."""
        if self.viewing is Viewing.INTERACTIVE and not self._ended:
            self._hub.resize(rows, columns)

    def close(self) -> None:
        """Leave. The guest and other viewers notice nothing."""
        self._backlog.clear()
        self._end()
        self._hub._left(self)

    def _feed(self, data: bytes) -> None:
        self._backlog += data
        self._arrived.set()

    def _skip(self, keep: int) -> None:
        """Give up all but the newest keep bytes."""
        surplus = len(self._backlog) - keep
        if surplus > 0:
            self._skipped += surplus
            del self._backlog[:surplus]

    def _end(self) -> None:
        self._ended = True
        self._arrived.set()


class ConsoleHub:
    """One console of a running container. To be made inside the running event loop; it starts reading at once.

    master: the pty's master; duplicated, so the caller's stays the caller's, but set non-blocking, which both share.
    log: the file to append to, none for no log. ring: the file that keeps what a late viewer sees, on a file system in
    memory. resumed: the console was there before this process: that file is read, or else the log's end. missed: what
    the guest wrote meanwhile, as the keeper kept it. patience: see PATIENCE.
    """

    def __init__(
        self,
        master: int,
        *,
        log: Path | None = None,
        ring: Path | None = None,
        name: str = "console",
        resumed: bool = False,
        missed: bytes = b"",
        patience: float = PATIENCE,
    ) -> None:
        self.name = name
        self._loop = asyncio.get_running_loop()
        self._patience = patience
        self._log = ConsoleLog(log) if log is not None else None
        self._ring = ConsoleRing(ring, self._said_before(ring, log) if resumed else b"")
        self._master = os.dup(master)
        os.set_blocking(self._master, False)
        self._slave = _hold_slave(self._master)
        self._viewers: set[ConsoleChannel] = set()
        self._interactive: ConsoleChannel | None = None
        self._holding: asyncio.TimerHandle | None = None
        self._lagging = False
        self._input = bytearray()
        self._input_room = asyncio.Event()
        self._input_room.set()
        self._input_taken = 0
        self._retry: asyncio.TimerHandle | None = None
        self._finished = False
        if missed:
            self._spread(missed)
        self._loop.add_reader(self._master, self._readable)

    @property
    def finished(self) -> bool:
        return self._finished

    @property
    def interactive(self) -> bool:
        """Whether somebody has the console."""
        return self._interactive is not None

    def attach(
        self, viewing: Viewing = Viewing.INTERACTIVE, *, force: bool = False, replay: bool = True
    ) -> ConsoleChannel:
        """Return a new viewer's channel, which first reads what was written lately.

        force: an interactive viewer that is there sees the end instead of keeping the newcomer out.
        Raises: OperationFailedError if somebody has the console, OperationInvalidError after the guest's end.
        """
        if self._finished:
            raise OperationInvalidError(f"the {self.name} has ended: start the domain first")
        if viewing is Viewing.INTERACTIVE and self._interactive is not None:
            if not force:
                raise OperationFailedError(
                    f"an active session exists for the {self.name}: end it, or take it over with force"
                )
            self._interactive.taken_over = True
            self._interactive.close()
        channel = ConsoleChannel(self, viewing, self._replay(viewing) if replay else b"")
        self._viewers.add(channel)
        if viewing is Viewing.INTERACTIVE:
            self._interactive = channel
        return channel

    def resize(self, rows: int, columns: int) -> None:
        """Set the terminal's size; the guest's foreground processes get SIGWINCH when it differs."""
        if not self._finished:
            set_window(self._master, rows, columns)

    async def finish(self) -> None:
        """The guest ended: read what is left, let every viewer see the end, complete the log. Safe to repeat."""
        if not self._finished:
            self._drain()
            self._finished = True
            self._release()
            for viewer in list(self._viewers):
                viewer._end()
            self._viewers.clear()
            self._interactive = None
        if self._log is not None:
            await self._log.close()

    def _replay(self, viewing: Viewing) -> bytes:
        """What a new viewer reads first. An interactive terminal must not answer questions asked long ago: the answers
        would be typed into the guest."""
        ring = self._ring.latest()
        return ring if viewing is Viewing.WATCHING else _TERMINAL_QUERY.sub(b"", ring)

    # From the guest ---------------------------------------------------------------------------------------------------

    def _said_before(self, ring: Path | None, log: Path | None) -> bytes:
        """Return what an earlier process was told last; what it had no time to write into the log goes there now."""
        said = None if ring is None else kept(ring)
        logged = b"" if log is None else tail(log, RING_BYTES)
        if said is None:
            return logged
        if self._log is not None:
            self._log.append(news(said, logged))
        return said

    def _readable(self) -> None:
        data, hung_up = _read_available(self._master, _BURST)
        if data:
            self._spread(data)
        if hung_up:
            self._wait_for_slave()

    def _spread(self, data: bytes) -> None:
        self._ring.append(data)
        if self._log is not None:
            self._log.append(data)
        for viewer in self._viewers:
            viewer._feed(data)
            if viewer.backlog > BACKLOG_HIGH and (viewer is not self._interactive or self._lagging):
                viewer._skip(BACKLOG_HIGH)
        if self._interactive is not None and self._interactive.backlog > BACKLOG_HIGH:
            self._hold()

    def _hold(self) -> None:
        """Stop reading: the pty fills and the guest waits, for a while."""
        if self._holding is None and not self._lagging:
            self._loop.remove_reader(self._master)
            self._holding = self._loop.call_later(self._patience, self._give_up)

    def _give_up(self) -> None:
        _logger.info("the viewer of the %s does not read; it will miss bytes", self.name)
        self._lagging = True
        self._resume()

    def _resume(self) -> None:
        if self._holding is not None:
            self._holding.cancel()
            self._holding = None
            if not self._finished:
                self._loop.add_reader(self._master, self._readable)

    def _taken(self, channel: ConsoleChannel) -> None:
        """A viewer has read: the guest may go on once there is room, and is held no longer than patience again."""
        if channel is not self._interactive:
            return
        self._lagging = False
        if channel.backlog <= BACKLOG_LOW:
            self._resume()
        elif self._holding is not None:
            self._holding.cancel()
            self._holding = self._loop.call_later(self._patience, self._give_up)

    def _left(self, channel: ConsoleChannel) -> None:
        self._viewers.discard(channel)
        if channel is self._interactive:
            self._interactive = None
            self._lagging = False
            self._resume()

    def _wait_for_slave(self) -> None:
        """Nobody has the terminal open: epoll would report that for ever, so ask again now and then."""
        self._loop.remove_reader(self._master)
        self._retry = self._loop.call_later(_HANGUP_RETRY, self._listen_again)

    def _listen_again(self) -> None:
        self._retry = None
        if not self._finished and self._holding is None:
            self._loop.add_reader(self._master, self._readable)

    # To the guest -----------------------------------------------------------------------------------------------------

    async def _type(self, data: bytes) -> None:
        self._input += data
        self._writable()
        while not self._input_room.is_set():
            before = self._input_taken
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience):
                    await self._input_room.wait()
            if not self._input_room.is_set() and self._input_taken == before:
                _logger.info("the guest does not read the %s; %d typed bytes are dropped", self.name, len(self._input))
                self._input.clear()
                self._writable()

    def _writable(self) -> None:
        """Write what the pty takes now, and go on when it takes more."""
        while self._input and not self._finished:
            try:
                count = os.write(self._master, bytes(self._input[:4096]))
            except BlockingIOError:
                break
            except OSError as error:
                _logger.debug("the %s takes no input: %s", self.name, error)
                self._input.clear()
                break
            self._input_taken += count
            del self._input[:count]
        if self._finished:
            self._input.clear()
        elif self._input:
            self._loop.add_writer(self._master, self._writable)
        else:
            self._loop.remove_writer(self._master)
        if len(self._input) <= INPUT_BOUND:
            self._input_room.set()
        else:
            self._input_room.clear()

    # The end ----------------------------------------------------------------------------------------------------------

    def _drain(self) -> None:
        """Spread what the dead guest left in the pty; bounded, for somebody outside may still be writing to it."""
        data, _ = _read_available(self._master, _BURST)
        if data:
            self._spread(data)

    def _release(self) -> None:
        for timer in (self._holding, self._retry):
            if timer is not None:
                timer.cancel()
        self._holding = self._retry = None
        self._loop.remove_reader(self._master)
        self._loop.remove_writer(self._master)
        self._input.clear()
        self._input_room.set()
        self._ring.close()
        os.close(self._master)
        if self._slave is not None:
            os.close(self._slave)


def _read_available(master: int, limit: int) -> tuple[bytes, bool]:
    """Return what can be read now, about limit bytes at most, and whether nobody has the slave open."""
    chunks: list[bytes] = []
    total = 0
    while total < limit:
        try:
            chunk = os.read(master, 65536)
        except BlockingIOError:
            break
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return b"".join(chunks), True
        if not chunk:
            return b"".join(chunks), True
        chunks.append(chunk)
        total += len(chunk)
    return b"".join(chunks), False


def _hold_slave(master: int) -> Fd | None:
    """Return an fd of the terminal's other end, which keeps the line from hanging up between two gettys.

    None where the kernel cannot: then the hub asks now and then whether somebody opened the terminal again.
    """
    try:
        return open_slave(master)
    except OSError:
        return None
