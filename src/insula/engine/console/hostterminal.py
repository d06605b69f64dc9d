"""A terminal of the host that shows a guest's console: the path that programs of the host are told.

It is a pair of the host's own devpts, never one of the guest's: no link that a guest makes can lead whoever opens it
elsewhere. What the guest prints can be read there, what is written there is typed.

    somebody on the host ── /dev/pts/N │ master ── ConsoleHub ── master │ /dev/console ── guest

While nobody has it open, it holds the newest bytes, some KiB as the kernel allows: a program that opens it now and then
and takes what is there (as OpenStack's Nova does) loses only what does not fit in between. Whoever has it open and does
not read loses the oldest bytes and is told how many; the guest is never held.
"""

import asyncio
import os
import tty
from collections.abc import Callable
from termios import TCSANOW

from insula.engine.console.terminalwatch import TerminalWatch
from insula.kernel.fds import Fd
from insula.kernel.pty import has_input, is_hung_up, open_multiplexer, open_slave, slave_path

KEPT_BYTES = 4096
"""What stays, at least, when nobody has it open and it is full: less than a terminal holds, so that there is room."""
BACKLOG_BYTES = 64 * 1024
"""What waits for somebody who has it open and reads slowly."""

_FAREWELL = 0.5
"""Seconds that the last words wait for somebody to read them; they are not many, and the guest has ended."""
_FAREWELL_LOOKS = 50
_READ_SIZE = 4096
_READS_AT_A_TIME = 64


def open_host_terminal() -> Fd:
    """Return the master of a new terminal of the host's, for root alone, without echo or any change to bytes.

    Raises: OSError; ENOSPC at the limit kernel.pty.max; ENXIO if it cannot be reached by a path.
    """
    master = open_multiplexer()
    try:
        slave = open_slave(master)
        try:
            # Once open and closed again it counts as hung up: from then on one can ask whether somebody has it open.
            tty.setraw(slave, TCSANOW)
            os.fchmod(slave, 0o600)
            slave_path(master, slave)
        finally:
            os.close(slave)
    except BaseException:
        os.close(master)
        raise
    return master


class HostTerminal:
    """Shows a console at a terminal of the host. master: its master, non-blocking, the caller's.

    typed: called with what is written there; has_room: asked before whether the guest's side takes it.
    """

    def __init__(
        self, master: Fd, *, watch: TerminalWatch, typed: Callable[[bytes], None], has_room: Callable[[], bool]
    ) -> None:
        self._master = master
        self._watch = watch
        self._typed = typed
        self._has_room = has_room
        self._backlog = bytearray()
        self._skipped = 0
        watch.add(master, self._ready)

    def show(self, data: bytes) -> None:
        """Let data be read there."""
        if self._backlog:
            self._wait_with(data)
            return
        if len(data) > KEPT_BYTES and is_hung_up(self._master):
            self._keep_newest(data)
            return
        rest = self._write(data)
        if not rest:
            return
        if is_hung_up(self._master):
            self._keep_newest(rest)
        else:
            self._wait_with(rest)
            self._watch.again(self._master)

    def take_more(self) -> None:
        """There is room again for what is typed."""
        self._watch.again(self._master)

    @property
    def is_closed(self) -> bool:
        """Whether nobody has it open."""
        return is_hung_up(self._master)

    async def farewell(self) -> None:
        """Return once whoever has it open has read all, or does not: closing the master throws away what is unread."""
        if self.is_closed:
            return
        try:
            slave = open_slave(self._master)
        except OSError:
            return
        try:
            for _ in range(_FAREWELL_LOOKS):
                self._flush()
                if not self._backlog and not has_input(slave):
                    return
                await asyncio.sleep(_FAREWELL / _FAREWELL_LOOKS)
        finally:
            os.close(slave)

    def _ready(self) -> None:
        if self._backlog and is_hung_up(self._master):
            left = bytes(self._backlog)
            self._backlog.clear()
            self._skipped = 0
            self._keep_newest(left)
        elif self._backlog:
            self._flush()
        self._read()

    def _read(self) -> None:
        """Type what was written there, as much as the guest's side takes."""
        for _ in range(_READS_AT_A_TIME):
            if not self._has_room():
                return
            try:
                data = os.read(self._master, _READ_SIZE)
            except OSError:
                # EAGAIN: nothing more now. EIO: nobody has it open.
                return
            self._typed(data)
        self._watch.again(self._master)

    def _wait_with(self, data: bytes) -> None:
        self._backlog += data
        surplus = len(self._backlog) - BACKLOG_BYTES
        if surplus > 0:
            self._skipped += surplus
            del self._backlog[:surplus]

    def _flush(self) -> None:
        if self._skipped:
            self._backlog[:0] = b"\r\n[insula: %d bytes were skipped]\r\n" % self._skipped
            self._skipped = 0
        self._backlog[:] = self._write(bytes(self._backlog))

    def _write(self, data: bytes) -> bytes:
        """Return what the terminal did not take."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._master, rest) :]
            except OSError:
                break
        return bytes(rest)

    def _keep_newest(self, data: bytes) -> None:
        """Replace what nobody has read by the newest of it and of data."""
        try:
            slave = open_slave(self._master)
        except OSError:
            return  # no descriptor is free: then the oldest stays instead, and nobody else is concerned
        try:
            os.set_blocking(slave, False)
            self._write((_unread(slave) + data)[-KEPT_BYTES:])
        finally:
            os.close(slave)


def _unread(slave: int) -> bytes:
    """Take out what is there; bounded, for somebody may be writing."""
    chunks: list[bytes] = []
    for _ in range(_READS_AT_A_TIME):
        try:
            chunks.append(os.read(slave, _READ_SIZE))
        except OSError:
            break
    return b"".join(chunks)
