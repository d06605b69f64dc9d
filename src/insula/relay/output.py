"""What a program in a guest says, on its way from a private pipe to where its caller wants it."""

import os
import socket
import stat
from contextlib import suppress
from typing import Protocol

from insula.kernel import pipes

_CHUNK = 65536


class Screen(Protocol):
    """Makes what a guest says fit for a terminal."""

    def feed(self, data: bytes) -> bytes: ...
    def finish(self) -> bytes: ...


class Output:
    """A private pipe, and where its bytes go. theirs: the end to be passed, closed by `passed_on`.

    number: of the caller's stream; screen: for a terminal. failure: what went wrong with the target, but for a reader
    that has gone, which the program learns by SIGPIPE.
    """

    def __init__(self, number: int, target: int, screen: Screen | None) -> None:
        self.number = number
        self.target = target
        self.reader, self.theirs = pipes.private_pipe()
        os.set_blocking(self.reader, False)
        mode = os.fstat(target).st_mode
        self._socket = socket.socket(fileno=os.dup(target)) if stat.S_ISSOCK(mode) else None
        self._own = self._opened_anew() if stat.S_ISFIFO(mode) else None
        self._piece = pipes.ATOMIC if stat.S_ISFIFO(mode) and self._own is None else _CHUNK
        self._screen = screen
        self._pending = b""
        self._left: int | None = None
        self.open = True
        self.failure: OSError | None = None

    def _opened_anew(self) -> int | None:
        """Return a description of the caller's pipe that is ours alone, so that we may write without waiting."""
        try:
            return os.open(f"/proc/self/fd/{self.target}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None  # somebody else's: then by small pieces, each when there is room for it

    def passed_on(self) -> None:
        """The program has its end; only then can ours tell that all have closed it."""
        if self.theirs >= 0:
            os.close(self.theirs)
            self.theirs = -1

    @property
    def source(self) -> int | None:
        """What to read from next; None while the target has not taken the last."""
        return self.reader if self.open and not self._pending else None

    @property
    def sink(self) -> int | None:
        """What to write to when it takes something; None while there is nothing for it."""
        return self.target if self.open and self._pending else None

    def read(self) -> None:
        """Take what has been said, and pass on what goes at once."""
        try:
            data = os.read(self.reader, _CHUNK if self._left is None else min(_CHUNK, self._left))
        except BlockingIOError:
            return
        if self._left is not None:
            self._left -= len(data)
        self._pending = (self._screen.feed(data) if data else self._screen.finish()) if self._screen else data
        over = not data or self._left == 0
        if over and data and self._screen:
            self._pending += self._screen.finish()
        if over:
            self._left = 0
        self.write()

    def write(self) -> None:
        """Pass on what goes without waiting; to a file or a terminal, all of it."""
        try:
            while self._pending:
                count = self._write_some(self._pending[: self._piece])
                self._pending = self._pending[count:]
                if self._piece == pipes.ATOMIC:
                    break
        except BlockingIOError:
            return
        except OSError as error:
            if not isinstance(error, BrokenPipeError | ConnectionError):
                self.failure = error
            self.close()
        if not self._pending and self._left == 0:
            self.close()

    def _write_some(self, data: bytes) -> int:
        if self._socket is not None:
            return self._socket.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        return os.write(self.target if self._own is None else self._own, data)

    def ended(self) -> None:
        """The program has ended: only what lies in the pipe now is its own, and others may hold the pipe for long."""
        if self.open and self._left is None:
            self._left = pipes.waiting(self.reader)
            if not self._left:
                self.finish()

    def finish(self) -> None:
        if self._screen:
            self._pending += self._screen.finish()
        self.write()

    def close(self) -> None:
        """Let go of everything; whoever goes on writing is told that nobody reads."""
        if not self.open:
            return
        self.open = False
        self._pending = b""
        pipes.close_all([self.reader, *([] if self._own is None else [self._own])])
        if self._socket is not None:
            with suppress(OSError):
                self._socket.close()
