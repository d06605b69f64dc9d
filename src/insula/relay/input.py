"""A caller's standard input on its way into a private pipe: no more of it is taken than the program takes.

So `while read name; do insula exec guest -- COMMAND; done < names` sees every name, as it would with a command of the
host's: what lies in the private pipe at the end goes back, or was never taken out.

- A file is read, and its position set back at the end.
- A pipe is copied ahead a page at a time (tee(2)), and bytes are taken out of it once the program has read them. When
  it has read so much that it plainly reads everything, larger pieces are taken, for speed.
- A terminal, a socket, a device is read ahead: nobody can put back what has been read.
"""

import os
import stat
from contextlib import suppress

from insula.kernel import pipes

_CHUNK = 65536
_CAREFUL_UP_TO = 65536
"""Bytes after which a program counts as one that reads all its input."""


class Input:
    """One source, and the pipe it goes into. theirs: the end to be passed, closed by `passed_on`."""

    def __init__(self, source: int) -> None:
        self.source = source
        mode = os.fstat(source).st_mode
        self._terminal = os.isatty(source)
        self._seekable = stat.S_ISREG(mode) or stat.S_ISBLK(mode)
        self._careful = stat.S_ISFIFO(mode)
        self._pending = b""
        self._ahead = 0
        """Bytes that were copied and lie in the source still."""
        self._taken = 0
        self.theirs, self._writer = pipes.private_pipe()
        os.set_blocking(self._writer, False)
        if self._careful:
            # With room for one piece: it is ready for more when that has been read, and only then.
            pipes.resize(self._writer, pipes.ATOMIC)
        self._scratch: tuple[int, int, int] | None = None
        self._rest: int | None = None
        self.open = True

    def passed_on(self) -> None:
        """The program has its end; only then can ours tell that it has closed it."""
        if self.theirs >= 0:
            os.close(self.theirs)
            self.theirs = -1

    @property
    def _in_background(self) -> bool:
        """Whether reading the terminal would stop us: tcgetpgrp(3), SIGTTIN in signal(7)."""
        if not self._terminal:
            return False
        try:
            return os.tcgetpgrp(self.source) != os.getpgrp()
        except OSError:
            return False  # it is not our controlling terminal: any other may be read

    @property
    def wants_more(self) -> bool:
        """Whether the source is to be read as soon as it has something."""
        return self.open and not self._pending and not self._ahead and not self._in_background

    @property
    def sink(self) -> int | None:
        """What to write to when it takes something; None while there is nothing for it."""
        return self._writer if self.open and (self._pending or self._ahead) else None

    @property
    def patience(self) -> float | None:
        """Seconds after which to look again: nobody tells when a job comes to the foreground."""
        return 0.5 if self.open and self._in_background else None

    def read(self) -> None:
        """Take what the source has, without waiting."""
        if self._careful:
            self._copy_ahead()
            return
        try:
            self._pending = os.read(self.source, _CHUNK)
        except BlockingIOError:
            return
        except OSError:  # a terminal that has gone, a disk that fails
            self._pending = b""
        if not self._pending:
            self.end()
        else:
            self._write()

    def feed(self) -> None:
        """Go on: the pipe takes more, or has been emptied, or nobody reads it."""
        if self._ahead:
            self._settle()
        if self._pending:
            self._write()
        elif self.open and pipes.is_abandoned(self._writer):
            self.end()

    def end(self) -> None:
        """No more comes, or is wanted: let the program see the end."""
        if not self.open:
            return
        self.open = False
        if self._ahead:
            self._settle()
        if self._seekable:
            # This end tells as well what has not been read, and keeps nobody from seeing the input's end.
            self._rest = os.open(f"/proc/self/fd/{self._writer}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        pipes.close_all([self._writer, *(self._scratch or ())])

    def give_back(self) -> None:
        """The program has ended: what it has not read is for whoever reads the source next. May be called again."""
        self.end()
        if self._rest is not None:
            left = len(self._pending) + pipes.waiting(self._rest)
            with suppress(OSError):
                os.lseek(self.source, -left, os.SEEK_CUR)
            os.close(self._rest)
            self._rest = None

    def _write(self) -> None:
        try:
            self._pending = self._pending[os.write(self._writer, self._pending) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self.end()

    def _copy_ahead(self) -> None:
        if self._scratch is None:
            null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            self._scratch = (*pipes.private_pipe(), null)
        reader, writer, _ = self._scratch
        count = pipes.copy_ahead(self.source, writer, pipes.ATOMIC)
        if count == 0:
            self.end()
        elif count is not None:
            data = os.read(reader, count)
            try:
                self._ahead = os.write(self._writer, data)
            except BlockingIOError:
                # The program has filled the pipe itself: what lies in there tells nothing about what it has read.
                pipes.discard(self.source, count, self._scratch[2])
                self._careful, self._pending = False, data
            except BrokenPipeError:
                self.end()

    def _settle(self) -> None:
        """Take out of the source what the program has read by now."""
        assert self._scratch is not None
        left = min(pipes.waiting(self._writer), self._ahead)
        pipes.discard(self.source, self._ahead - left, self._scratch[2])
        self._taken += self._ahead - left
        widened = self.open and left == self._ahead
        self._ahead = left
        if self.open and (widened or self._taken >= _CAREFUL_UP_TO) and not pipes.is_abandoned(self._writer):
            # It reads everything, or has made room for more itself.
            pipes.discard(self.source, self._ahead, self._scratch[2])
            self._ahead, self._careful = 0, False
            with suppress(OSError):  # it works in small pieces, too
                pipes.resize(self._writer, _CHUNK)
