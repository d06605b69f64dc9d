"""exec, shell: run a command inside, with its exit status, its signals, and a terminal if wanted."""

import argparse
import contextlib
import os
import select
import signal
import sys
from collections.abc import Iterator, Sequence

from insula.cli import terminal
from insula.cli.definition import split_env
from insula.cli.insidecommand import FORWARDED, LEAVING, InsideCommand
from insula.cli.lookup import domain
from insula.cli.neutral import Neutralizer
from insula.errors import InvalidArgumentError
from insula.relay.relay import relayed
from insula.sdk import verbs
from insula.sdk.blocking import Blocking, Pending
from insula.sdk.blocking_domains import Domain, Host
from insula.sdk.values import ExecRequest, Started

LOGIN_SHELL = ("/bin/sh", "-c", 'exec "${SHELL:-/bin/sh}" -l')
"""What becomes the shell that the user has in the guest: a command inside begins with its SHELL."""


def _exec_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "insula exec [OPTION ...] DOMAIN -- COMMAND [ARGUMENT ...]"
    screen = parser.add_mutually_exclusive_group()
    screen.add_argument(
        "-t", "--tty", action="store_true", default=None, help="give it a terminal (default: where we stand on one)"
    )
    screen.add_argument("-T", "--no-tty", dest="tty", action="store_false", help="give it no terminal")
    parser.add_argument("-i", "--interactive", action="store_true", help="as always: your input is the command's")
    given = parser.add_mutually_exclusive_group()
    given.add_argument("-n", "--null", action="store_true", help="keep your input: the command's is empty")
    given.add_argument(
        "-d", "--detach", action="store_true", help="do not wait; it has no streams, and goes on without us"
    )
    parser.add_argument("-u", "--user", help="name or number, as the guest has it (default: root)")
    parser.add_argument("-g", "--group", help="name or number, as the guest has it")
    parser.add_argument("-w", "--cwd", default=None, help="working directory (default: the user's home)")
    parser.add_argument(
        "-e", "--env", action="append", default=[], metavar="NAME=VALUE", help="more for its environment"
    )
    parser.add_argument("domain", nargs="?", help="name, id or UUID; one that begins with - stands after --")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="what to run; after -- its options are its own")
    parser.epilog = (
        "The command ends with us, should we be killed, unless --detach is given. Ctrl-] three times within a second "
        "leaves a terminal, Ctrl-C three times a command without one; both end it."
    )
    parser.set_defaults(json=False)


def _exec(options: argparse.Namespace, host: Host) -> int:
    name, argv = _target(options)
    return enter(options, host, domain(host, name), argv)


def _shell_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("domain", help="name, id or UUID")
    parser.add_argument("-u", "--user", help="name or number, as the guest has it (default: root)")
    parser.set_defaults(tty=None, null=False, detach=False, group=None, cwd=None, env=[], json=False)
    parser.epilog = "It is the user's own login shell. Ctrl-] three times within a second leaves it, and ends it."


def _shell(options: argparse.Namespace, host: Host) -> int:
    return enter(options, host, domain(host, options.domain), LOGIN_SHELL)


def enter(options: argparse.Namespace, host: Host, found: Domain, argv: Sequence[str]) -> int:
    """Run a command inside as the options of `exec` say; return its exit status as a shell has it."""
    return attended(options, host, found, argv)[0]


def attended(
    options: argparse.Namespace, host: Host, found: Domain, argv: Sequence[str], *, traced: bool = False
) -> tuple[int, Started]:
    """Run a command inside to its end; return its exit status as a shell has it, and what the daemon calls it."""
    client = host.client
    tty = _wants_terminal(options)
    rows, columns = terminal.window_size()
    request = ExecRequest(
        argv=tuple(argv),
        env=({"TERM": os.environ.get("TERM", "linux")} if tty else {}) | dict(map(split_env, options.env)),
        cwd=options.cwd,
        user=options.user,
        group=options.group,
        tty=tty,
        rows=rows,
        columns=columns,
    )
    with _streams(options, tty) as streams, _waking() as signals, relayed(*streams, screen=_screen) as relay:
        beginning = client.begin(
            verbs.execute(found.ref, request, relay.passed, detached=options.detach, traced=traced)
        )
        _await_beginning(client, beginning, signals)
        started = beginning.result()
        if options.detach:
            return 0, started
        relay.passed_on()
        command = InsideCommand(client, started, signals, relay)
        with terminal.raw() if started.terminal is not None else contextlib.nullcontext():
            return command.attend(), started


def _wants_terminal(options: argparse.Namespace) -> bool:
    """Whether the command gets a terminal: if nothing is said, where both our input and our output are one.

    Raises: InvalidArgumentError.
    """
    without = "--detach" if options.detach else "--null" if options.null else None
    if options.tty and without:
        raise InvalidArgumentError(f"--tty and {without} contradict each other")
    if options.tty is not None or without:
        return bool(options.tty)
    return terminal.is_terminal(0) and terminal.is_terminal(1)


@contextlib.contextmanager
def _streams(options: argparse.Namespace, tty: bool) -> Iterator[tuple[int, ...]]:
    """Give the streams to relay; where our output is one document, the command's goes with its errors."""
    if tty:
        yield ()
    elif options.detach or options.null:
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            yield (null, null, null) if options.detach else (null, 2 if options.json else 1, 2)
        finally:
            os.close(null)
    else:
        yield (0, 2 if options.json else 1, 2)


def _waking() -> contextlib.AbstractContextManager[int]:
    return terminal.waking(*FORWARDED, signal.SIGWINCH)


def _await_beginning(client: Blocking, beginning: Pending[Started], signals: int) -> None:
    """Return once the command has begun, or has failed to.

    Raises: KeyboardInterrupt if a signal tells not to wait: the daemon ends what has not begun when we have gone.
    """
    while not beginning.done():
        sources: list[int | Blocking] = [client, signals]
        ready = select.select(sources, (), ())[0]
        if signals in ready and LEAVING.intersection(os.read(signals, 64)):
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
    if options.command and argv[0].startswith("-"):
        raise InvalidArgumentError(f"'{argv[0]}' stands behind the domain: options stand before it, or behind --")
    if not argv[0]:
        raise InvalidArgumentError("the command is an empty word: give a program's name or path")
    return name, argv


ARGUMENTS = {"exec": _exec_arguments, "shell": _shell_arguments}
RUN = {"exec": _exec, "shell": _shell}
