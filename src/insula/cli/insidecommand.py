"""A command that runs inside, from here: its signals, its terminal or relay, its end, and how to leave it."""

import os
import select
import signal
import time
from itertools import chain
from typing import Final

from insula.cli import terminal
from insula.cli.awaitedend import AwaitedEnd
from insula.relay.relay import Relay
from insula.sdk.blocking import Blocking
from insula.sdk.values import Started

FORWARDED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
"""Signals of ours that the command gets instead, as if it ran here."""
LEAVING: Final = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT})
"""Of these, what ends us once the command has."""
_THRICE, _WITHIN = 3, 1.0
"""How often, and in how many seconds, a key or an interrupt is repeated by who will not wait for the command.

Source: machinectl(1), whose shell is left so.
"""


class Insistence:
    """Tells whether something came so often, and so quickly, that it was meant."""

    def __init__(self) -> None:
        self._moments: list[float] = []

    def again(self, times: int = 1) -> bool:
        """It has come again, this many times at once."""
        now = time.monotonic()
        self._moments = [*(each for each in self._moments if now - each <= _WITHIN), *[now] * times]
        meant = len(self._moments) >= _THRICE
        if meant:
            self._moments.clear()
        return meant


class InsideCommand:
    """A command that runs inside: its exit status, our signals for it, its terminal's master, else its relay."""

    def __init__(self, client: Blocking, started: Started, signals: int, relay: Relay) -> None:
        self._end = AwaitedEnd(client, started.handle)
        self._master = started.terminal
        self._signals = signals
        self._relay = relay
        self._input_open = self._master is not None
        self._line_open = False
        self._interrupts, self._escapes = Insistence(), Insistence()

    def attend(self) -> int:
        """Copy and forward until it has ended and said its last; return the exit status a shell would give.

        Raises: OperationFailedError if what it said cannot be written; KeyboardInterrupt if it has ended, and a signal
        tells not to wait for who takes its output, or if it has not, and somebody insists on leaving.
        """
        try:
            while not self._is_over() and self._attend_once():
                pass
            self._relay.check()
            status = self._end.result()
        finally:
            self._end.close()
        return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)

    def _attend_once(self) -> bool:
        """Wait for something, and do what it needs; return whether more may come."""
        lingers = self._end.done() and self._master is not None
        patience = [each for each in (self._end.patience, self._relay.patience, 1.0 if lingers else None) if each]
        ready = [*chain(*select.select(self._sources(), self._relay.writable(), (), min(patience, default=None)))]
        if not ready and lingers:
            return False  # something it left behind keeps the terminal open
        if self._signals in ready:
            self._forward()
        if not self._end.sources or self._end.sources[0] in ready:
            self._end.receive()
        if self._master in ready:
            self._show()
        if self._master is not None and 0 in ready:
            self._type()
        self._relay.attend(ready)
        return True

    def _is_over(self) -> bool:
        """Whether it has ended, and all that it had said by then is where it should go."""
        if not self._end.done():
            return False
        self._relay.ended()
        return self._master is None and not self._relay.busy

    def _sources(self) -> list[int | Blocking]:
        sources: list[int | Blocking] = [*self._end.sources, self._signals, *self._relay.readable()]
        if self._master is not None:
            sources.append(self._master)
            if self._input_open:
                sources.append(0)
        return sources

    def _forward(self) -> None:
        for number in os.read(self._signals, 64):
            if number == signal.SIGWINCH:
                if self._master is not None:
                    terminal.resize(self._master, *terminal.window_size())
            elif not self._end.done():
                if number == signal.SIGINT and self._interrupts.again():
                    raise KeyboardInterrupt
                self._end.signal(number)
            elif number in LEAVING:
                raise KeyboardInterrupt

    def _show(self) -> None:
        assert self._master is not None
        data = terminal.read_some(self._master)
        if data:
            terminal.write_all(data)
        else:
            os.close(self._master)
            self._master = None

    def _type(self) -> None:
        assert self._master is not None
        data = terminal.read_some(0)
        self._input_open = bool(data)
        escapes = data.count(terminal.ESCAPE)
        if escapes and terminal.is_terminal(0) and self._escapes.again(escapes):
            raise KeyboardInterrupt
        terminal.write_all(data or terminal.end_of_file(line_open=self._line_open), self._master)
        self._line_open = not data.endswith(b"\n")
