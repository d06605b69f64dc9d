"""Pipes between the user's terminal and a command in a guest, which must not hold the terminal itself.

Whoever has a terminal's descriptor can read its keys and write escape sequences to it, also later: so a standard stream
that is a terminal is relayed, and everything else is passed as it is.
"""

import array
import contextlib
import fcntl
import os
import termios
from collections.abc import Iterator, Sequence

from insula.cli import terminal


class Relay:
    """The streams that are relayed. passed: the descriptors for the command, closed by `passed_on`."""

    def __init__(self, streams: Sequence[int] = ()) -> None:
        """streams: standard input, output and error; none, and nothing is relayed."""
        self._own: list[int] = []
        self._keyboard = -1
        self._input: int | None = None
        self._pending = b""
        self._outputs: dict[int, int] = {}
        self.passed: tuple[int, ...] = ()
        if streams:
            source, output, error = streams
            given = self._output(output)
            same = terminal.is_terminal(output) and os.path.sameopenfile(output, error)
            self.passed = (self._source(source), given, given if same else self._output(error))  # one pipe keeps order

    def _source(self, stream: int) -> int:
        if not terminal.is_terminal(stream):
            return stream
        reader, self._input = self._pipe()
        os.set_blocking(self._input, False)
        self._keyboard = stream
        self._own.append(reader)
        return reader

    def _output(self, stream: int) -> int:
        if not terminal.is_terminal(stream):
            return stream
        reader, writer = self._pipe()
        self._outputs[reader] = stream
        self._own.append(writer)
        return writer

    def _pipe(self) -> tuple[int, int]:
        reader, writer = os.pipe2(os.O_CLOEXEC)
        os.fchmod(reader, 0o666)  # it is root's: else a guest could not open its /dev/stdout anew
        return reader, writer

    def passed_on(self) -> None:
        """The command has its ends; only then can ours tell that it has closed them."""
        while self._own:
            os.close(self._own.pop())

    def readable(self) -> list[int]:
        """What to read next: the terminal only when the last of it has been taken, and we are in its foreground."""
        typing = self._input is not None and not self._pending and terminal.in_foreground(self._keyboard)
        return [*self._outputs, *([self._keyboard] if typing else [])]

    def writable(self) -> list[int]:
        """What to write next, as far as it takes something."""
        return [self._input] if self._input is not None and self._pending else []

    @property
    def patience(self) -> float | None:
        """Seconds after which to look again: nobody tells when a job comes to the foreground."""
        waits = self._input is not None and not self._pending and not terminal.in_foreground(self._keyboard)
        return 0.5 if waits else None

    def attend(self, ready: Sequence[object]) -> None:
        """Copy what can be copied without waiting."""
        for reader in [each for each in self._outputs if each in ready]:
            self._show(reader, terminal.read_some(reader))
        if self._input is None:
            return
        if self._keyboard in ready:
            self._pending = terminal.read_some(self._keyboard)
            if not self._pending:
                self._end_input()
                return
        if self._pending:
            self._feed()

    def finish(self) -> None:
        """Show what the command had said when it ended; what its children say later is not ours."""
        for reader in list(self._outputs):
            if left := _waiting(reader):
                self._show(reader, os.read(reader, left))

    def close(self) -> None:
        """Give back every descriptor."""
        self.passed_on()
        self._end_input()
        for reader in list(self._outputs):
            self._drop(reader)

    def _show(self, reader: int, data: bytes) -> None:
        try:
            if data:
                terminal.write_all(data, self._outputs[reader])
        except OSError:  # the terminal has gone
            data = b""
        if not data:
            self._drop(reader)

    def _feed(self) -> None:
        assert self._input is not None
        try:
            self._pending = self._pending[os.write(self._input, self._pending) :]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self._end_input()

    def _end_input(self) -> None:
        self._pending = b""
        if self._input is not None:
            os.close(self._input)
            self._input = None

    def _drop(self, reader: int) -> None:
        del self._outputs[reader]
        os.close(reader)


@contextlib.contextmanager
def relayed(*streams: int) -> Iterator[Relay]:
    """Give a relay for those of these streams that are terminals, until the block ends."""
    relay = Relay(streams)
    try:
        yield relay
    finally:
        relay.close()


def _waiting(reader: int) -> int:
    """How many bytes lie in a pipe: FIONREAD, ioctl_tty(2)."""
    number = array.array("i", [0])
    fcntl.ioctl(reader, termios.FIONREAD, number)
    return number[0]
