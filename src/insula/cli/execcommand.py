"""exec: run a command inside, with its exit status, its signals, and a terminal if wanted."""

import argparse
import contextlib
import os
import select
import signal
import sys
from itertools import chain

from insula.cli import terminal
from insula.cli.definition import split_env
from insula.cli.lookup import domain
from insula.cli.neutral import Neutralizer
from insula.errors import InsulaError, InvalidArgumentError
from insula.relay.relay import Relay, relayed
from insula.sdk import verbs
from insula.sdk.blocking import Blocking, Pending
from insula.sdk.blocking_domains import Host
from insula.sdk.values import ExecRequest, Started

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
"""Signals of ours that the command gets instead, as if it ran here."""
_LEAVING = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT})
"""Of these, what ends us once the command has."""


def _exec_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "insula exec [-t] [-u USER] [-g GROUP] [-w DIR] [-e NAME=VALUE] DOMAIN -- COMMAND [ARGUMENT ...]"
    parser.add_argument("-t", "--tty", action="store_true", help="give the command a terminal")
    parser.add_argument("-u", "--user", help="name or number, as the guest has it (default: root)")
    parser.add_argument("-g", "--group", help="name or number, as the guest has it")
    parser.add_argument("-w", "--cwd", default=None, help="working directory (default: /)")
    parser.add_argument("-e", "--env", action="append", default=[], metavar="NAME=VALUE", help="for the command")
    parser.add_argument("domain", nargs="?", help="name, id or UUID; one that begins with - stands after --")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="what to run; after -- its options are its own")


def _exec(options: argparse.Namespace, host: Host) -> int:
    client = host.client
    name, argv = _target(options)
    found = domain(host, name)
    rows, columns = terminal.window_size()
    request = ExecRequest(
        argv=tuple(argv),
        env=({"TERM": os.environ.get("TERM", "linux")} if options.tty else {}) | dict(map(split_env, options.env)),
        cwd=options.cwd,
        user=options.user,
        group=options.group,
        tty=options.tty,
        rows=rows,
        columns=columns,
    )
    streams = () if options.tty else (0, 1, 2)
    with terminal.waking(*FORWARDED, signal.SIGWINCH) as signals, relayed(*streams, screen=_screen) as relay:
        beginning = client.begin(verbs.execute(found.ref, request, relay.passed))
        _await_beginning(client, beginning, signals)
        started = beginning.result()
        relay.passed_on()
        command = InsideCommand(client, started, signals, relay)
        with terminal.raw() if started.terminal is not None else contextlib.nullcontext():
            return command.attend()


def _await_beginning(client: Blocking, beginning: Pending[Started], signals: int) -> None:
    """Return once the command has begun, or has failed to.

    Raises: KeyboardInterrupt if a signal tells not to wait: the daemon ends what has not begun when we have gone.
    """
    while not beginning.done():
        sources: list[int | Blocking] = [client, signals]
        ready = select.select(sources, (), ())[0]
        if signals in ready and _LEAVING.intersection(os.read(signals, 64)):
            raise KeyboardInterrupt
        if client in ready:
            client.receive(0)


def _screen() -> Neutralizer:
    return Neutralizer(sys.stdout.encoding)


def _target(options: argparse.Namespace) -> tuple[str, list[str]]:
    """Return the domain's name and the command. Raises: InvalidArgumentError if one is missing."""
    words: list[str] = options.after
    name: str | None = options.domain
    if name is None and words:
        name, words = words[0], words[1:]
        words = words[1:] if words[:1] == ["--"] else words
    argv = [*options.command, *words]
    if not name or not argv:
        raise InvalidArgumentError("exec needs a domain and a command: insula exec DOMAIN -- COMMAND")
    if not argv[0]:
        raise InvalidArgumentError("the command is an empty word: give a program's name or path")
    return name, argv


class InsideCommand:
    """A command that runs inside: its exit status, our signals for it, its terminal's master, else its relay."""

    def __init__(self, client: Blocking, started: Started, signals: int, relay: Relay) -> None:
        self._client = client
        self._handle = started.handle
        self._master = started.terminal
        self._signals = signals
        self._relay = relay
        self._status = client.begin(verbs.exec_status(started.handle))
        self._input_open = self._master is not None
        self._line_open = False

    def attend(self) -> int:
        """Copy and forward until it has ended and said its last; return the exit status a shell would give.

        Raises: OperationFailedError if what it said cannot be written; KeyboardInterrupt if it has ended, and a signal
        tells not to wait for who takes its output.
        """
        while not self._is_over():
            patience = 1.0 if self._status.done() and self._master is not None else self._relay.patience
            ready = [*chain(*select.select(self._sources(), self._relay.writable(), (), patience))]
            if not ready and self._status.done() and self._master is not None:
                break  # something it left behind keeps the terminal open
            if self._signals in ready:
                self._forward()
            if self._client in ready:
                self._client.receive(0)
            if self._master in ready:
                self._show()
            if self._master is not None and 0 in ready:
                self._type()
            self._relay.attend(ready)
        self._relay.check()
        status = self._status.result()
        return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)

    def _is_over(self) -> bool:
        """Whether it has ended, and all that it had said by then is where it should go."""
        if not self._status.done():
            return False
        self._relay.ended()
        return self._master is None and not self._relay.busy

    def _sources(self) -> list[int | Blocking]:
        sources: list[int | Blocking] = [self._client, self._signals, *self._relay.readable()]
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
            elif not self._status.done():
                with contextlib.suppress(InsulaError):  # it may have ended just now
                    self._client.run(verbs.exec_signal(self._handle, number))
            elif number in _LEAVING:
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
        terminal.write_all(data or terminal.end_of_file(line_open=self._line_open), self._master)
        self._line_open = not data.endswith(b"\n")


ARGUMENTS = {"exec": _exec_arguments}
RUN = {"exec": _exec}
