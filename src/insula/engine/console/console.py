"""The hub of one console: the guest's terminal on one side, a log and any number of viewers on the other.

    guest ── pty ── ConsoleHub ──► ring buffer (what a late viewer sees first)
                       │  │  ├───► ConsoleLog     files, rotated
                       │  │  └───► HostTerminal   a terminal of the host, which may type too
                       │  └──────► ConsoleChannel interactive: one at a time, may type
                       └─────────► ConsoleChannel watching: any number

The hub reads at once, so a guest nobody looks at is not held, but for one that prints more than its allowance: that
waits, as at a slow serial line, and its administrator is told once. While an interactive viewer is attached and
slow, the guest is held too, so that nothing is lost; but no longer than PATIENCE seconds without the viewer taking
anything. After that the viewer loses the oldest bytes and is told how many.
Bytes pass unchanged, whatever they are.
"""

import asyncio
import logging
import os
import re
from collections.abc import Callable, Sequence

from insula.engine.console.consolechannel import ConsoleChannel, Viewing
from insula.engine.console.consoleinput import ConsoleInput
from insula.engine.console.consolelog import ConsoleLog
from insula.engine.console.consolering import ConsoleRing
from insula.engine.console.hostterminal import HostTerminal
from insula.engine.console.terminalwatch import TerminalWatch
from insula.engine.tokenbucket import TokenBucket
from insula.errors import OperationFailedError, OperationInvalidError
from insula.kernel.fds import Fd, close_all
from insula.kernel.pty import set_window

BACKLOG_HIGH = 256 * 1024
"""Bytes waiting for an interactive viewer at which the guest is held; for a watching one the bound of its backlog."""
BACKLOG_LOW = 64 * 1024
PATIENCE = 10.0
"""Seconds without any progress after which a side that does not read loses bytes instead of holding the other."""
PRINT_RATE = 1024 * 1024
"""Bytes a second that a guest may print on one console in the long run."""
PRINT_BURST = 16 * 1024 * 1024
"""Bytes that it may print at once: the messages of some boots."""

_LOOK_RATE = 50
"""Looks at the terminal a second in the long run: output of many small pieces is taken by larger ones then."""
_LOOK_BURST = 2000
_BURST = 256 * 1024
_TERMINAL_QUERY = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[cnxt]"  # device attributes, status and position reports, parameters, window reports
    rb"|\x1b\][0-9;]*\?(?:\x07|\x1b\\)"  # colours
    rb"|\x1bP[+$]q[^\x1b]*\x1b\\"  # terminfo and setting requests
    rb"|\x1bZ|\x05"  # identify, enquiry
)

_logger = logging.getLogger(__name__)


class ConsoleHub:
    """One console of a running container. To be made inside the running event loop; it starts reading at once.

    master: the pty's master, from now on the hub's; watch: who waits for it. host: the master of a terminal of the
    host that shows the console, the hub's too. logs: the files to append to. ring: what a late viewer sees.
    missed: what the guest wrote while nobody read, as the keeper kept it. patience: see PATIENCE; allowance: the bytes
    that the guest may print; looks: how often they are looked for; tell: called with what an administrator should know,
    once for each thing.
    """

    def __init__(
        self,
        master: Fd,
        *,
        watch: TerminalWatch,
        host: Fd | None = None,
        logs: Sequence[ConsoleLog] = (),
        ring: ConsoleRing | None = None,
        name: str = "console",
        missed: bytes = b"",
        patience: float = PATIENCE,
        allowance: TokenBucket | None = None,
        looks: TokenBucket | None = None,
        tell: Callable[[str], None] = _logger.warning,
    ) -> None:
        self.name = name
        self.window: tuple[int, int] | None = None
        """Rows and columns, once a viewer has told them."""
        self._loop = asyncio.get_running_loop()
        self._watch = watch
        self._patience = patience
        self._allowance = allowance or TokenBucket(PRINT_RATE, PRINT_BURST)
        self._looks = looks or TokenBucket(_LOOK_RATE, _LOOK_BURST)
        self._tell = tell
        self._logs = tuple(logs)
        self._ring = ring or ConsoleRing(None)
        self._master = master
        os.set_blocking(master, False)
        self._input = ConsoleInput(master, name=name, patience=patience, more=self._room_to_type)
        self._host_master = host
        self._host = (
            None
            if host is None
            else HostTerminal(host, watch=watch, typed=self._input.offer, has_room=lambda: self._input.has_room)
        )
        self._viewers: set[ConsoleChannel] = set()
        self._interactive: ConsoleChannel | None = None
        self._holding: asyncio.TimerHandle | None = None
        self._resting: asyncio.TimerHandle | None = None
        self._flooded = False
        self._lagging = False
        self._finished = False
        self._open = True
        """Whether its descriptors are."""
        if missed:
            self._spread(missed)
        watch.add(master, self._ready)

    @property
    def finished(self) -> bool:
        return self._finished

    @property
    def log(self) -> ConsoleLog | None:
        """The first of its logs."""
        return self._logs[0] if self._logs else None

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

    def part(self) -> tuple[ConsoleChannel, ...]:
        """Have no viewers any more, who have been shown all that there is; return them, for another console."""
        if not self._finished:
            self._drain()
        parted = tuple(self._viewers)
        self._viewers.clear()
        self._interactive = None
        self._lagging = False
        self._resume()
        return parted

    def welcome(self, channel: ConsoleChannel) -> None:
        """Take a viewer that another console parted with; for one that has just begun, and has no viewers of its own.

        It reads what was printed here so far behind what it has not yet read of the other.
        """
        channel.move(self)
        if said := self._ring.latest():
            channel.feed(said)
        self._viewers.add(channel)
        if channel.viewing is Viewing.INTERACTIVE:
            self._interactive = channel

    def resize(self, rows: int, columns: int) -> None:
        """Set the terminal's size; the guest's foreground processes get SIGWINCH when it differs."""
        if not self._finished:
            set_window(self._master, rows, columns)
            self.window = rows, columns

    async def type(self, data: bytes) -> None:
        """Type data; return when it is on its way, having waited for a guest that does not read."""
        await self._input.type(data)

    async def finish(self) -> None:
        """The guest ended: read what is left, let every viewer see the end, complete the logs. Safe to repeat."""
        if self.finish_at_once():
            return
        try:
            if self._host is not None and self._open:
                await self._host.farewell()
        finally:
            self._close()
        await asyncio.gather(*(log.close() for log in self._logs))

    def finish_at_once(self) -> bool:
        """Do what `finish` does as far as it waits for nothing; return whether that was all."""
        if not self._finished:
            self._drain()
            self.let_go()
        if self._host is None or self._host.is_closed:
            self._close()
        return not self._open and not any(log.writing for log in self._logs)

    def _close(self) -> None:
        if self._open:
            self._open = False
            close_all(each for each in (self._master, self._host_master) if each is not None)

    def let_go(self) -> None:
        """Read no more, and let every viewer see the end; the descriptors stay open."""
        for timer in (self._holding, self._resting):
            if timer is not None:
                timer.cancel()
        self._finished = True
        self._watch.remove(self._master)
        if self._host_master is not None:
            self._watch.remove(self._host_master)
        self._input.close()
        self._ring.close()
        for viewer in self._viewers:
            viewer.end()
        self._viewers.clear()
        self._interactive = self._holding = self._resting = None

    def _replay(self, viewing: Viewing) -> bytes:
        """What a new viewer reads first. An interactive terminal must not answer questions asked long ago: the answers
        would be typed into the guest."""
        ring = self._ring.latest()
        return ring if viewing is Viewing.WATCHING else _TERMINAL_QUERY.sub(b"", ring)

    # From the guest ---------------------------------------------------------------------------------------------------

    def _ready(self) -> None:
        if self._input.waiting:
            self._input.flush()
        if self._holding is not None or self._resting is not None:
            return  # whoever ends that asks again
        data, more = _read_available(self._master, _BURST)
        if data:
            self._spread(data)
            self._charge(len(data))
        if more:
            self._watch.again(self._master)

    def _spread(self, data: bytes) -> None:
        self._ring.append(data)
        for log in self._logs:
            log.append(data)
        if self._host is not None:
            self._host.show(data)
        for viewer in self._viewers:
            viewer.feed(data)
            if viewer.backlog > BACKLOG_HIGH and (viewer is not self._interactive or self._lagging):
                viewer.skip(BACKLOG_HIGH)
        if self._interactive is not None and self._interactive.backlog > BACKLOG_HIGH:
            self._hold()

    def _charge(self, size: int) -> None:
        """Count a look that found size bytes. Beyond the allowance the guest is left alone for a while: the pty fills,
        and in the end who prints waits."""
        pause = self._allowance.take(size)
        if pause and not self._flooded:
            self._flooded = True
            self._tell(f"the guest prints more on the {self.name} than is taken, and waits at times")
        pause = max(pause, self._looks.take(1))
        if pause and not self._finished:
            self._resting = self._loop.call_later(pause, self._rested)

    def _rested(self) -> None:
        self._resting = None
        self._watch.again(self._master)

    def _hold(self) -> None:
        """Stop reading: the pty fills and the guest waits, for a while."""
        if self._holding is None and not self._lagging:
            self._holding = self._loop.call_later(self._patience, self._give_up)

    def _give_up(self) -> None:
        _logger.info("the viewer of the %s does not read; it will miss bytes", self.name)
        self._lagging = True
        self._resume()

    def _resume(self) -> None:
        if self._holding is not None:
            self._holding.cancel()
            self._holding = None
            self._watch.again(self._master)

    def taken(self, channel: ConsoleChannel) -> None:
        """A viewer has read: the guest may go on once there is room, and is held no longer than patience again."""
        if channel is not self._interactive:
            return
        self._lagging = False
        if channel.backlog <= BACKLOG_LOW:
            self._resume()
        elif self._holding is not None:
            self._holding.cancel()
            self._holding = self._loop.call_later(self._patience, self._give_up)

    def left(self, channel: ConsoleChannel) -> None:
        """A viewer is gone."""
        self._viewers.discard(channel)
        if channel is self._interactive:
            self._interactive = None
            self._lagging = False
            self._resume()

    def _room_to_type(self) -> None:
        if self._host is not None:
            self._host.take_more()

    # The end ----------------------------------------------------------------------------------------------------------

    def _drain(self) -> None:
        """Spread what the dead guest left in the pty; bounded, for somebody outside may still be writing to it."""
        data, _ = _read_available(self._master, _BURST)
        if data:
            self._spread(data)


def _read_available(master: int, limit: int) -> tuple[bytes, bool]:
    """Return what can be read now, about limit bytes at most, and whether there may be more."""
    chunks: list[bytes] = []
    total = 0
    while total < limit:
        try:
            chunk = os.read(master, 65536)
        except OSError:
            # EAGAIN: nothing more now. EIO: nobody inside has the terminal open at the moment.
            return b"".join(chunks), False
        if not chunk:
            return b"".join(chunks), False
        chunks.append(chunk)
        total += len(chunk)
    return b"".join(chunks), True
