"""Verbs that explain: plan, log."""

import argparse
import errno
import sys
from collections.abc import Iterable
from pathlib import Path

from insula.cli import terminal
from insula.cli.execcommand import enter
from insula.cli.infocommand import moment
from insula.cli.lookup import domain
from insula.cli.neutral import Neutralizer
from insula.cli.render import show_json, show_line
from insula.cli.timewords import since
from insula.errors import InvalidArgumentError, OperationUnsupportedError, StepError
from insula.rpc.codes.nativecodes import PlanFlags
from insula.sdk.blocking_domains import Host
from insula.sdk.values import Json


def _plan_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("domain", nargs="?", help="name, id or UUID")
    parser.add_argument("--xml", type=Path, help="plan this definition instead, without defining it")
    parser.add_argument("--syscalls", action="store_true", help="show the system calls of the guest's first process")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def _plan(options: argparse.Namespace, host: Host) -> int:
    if (options.domain is None) == (options.xml is None):
        raise InvalidArgumentError("give either a domain or --xml FILE")
    flags = PlanFlags.SYSCALLS if options.syscalls else 0
    if options.xml is not None:
        try:
            text = options.xml.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise InvalidArgumentError(f"cannot read '{options.xml}': {why}") from error
        plan = host.plan(text, flags)
    else:
        plan = domain(host, options.domain).plan(flags)
    if options.json:
        show_json(plan)
    elif options.syscalls:
        for line in plan["program"]:
            show_line(line)
    else:
        show_plan(plan)
    return 0


def show_plan(plan: Json) -> None:
    """Print the steps, numbered, by where they are performed, each with what it does and why."""
    where = None
    for number, step in enumerate(plan["steps"], 1):
        if step["where"] != where:
            where = step["where"]
            show_line(f"{where}:")
        show_line(f"  {number:3}  {step['does']}")
        show_line(f"         ({step['why']})")


def _log_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("domain", help="name, id or UUID")
    parser.add_argument("source", nargs="?", default="console0", help="which console (default: console0)")
    parser.add_argument("-f", "--follow", action="store_true", help="go on as more comes")
    parser.add_argument("-n", "--tail", type=int, metavar="LINES", help="begin with the last so many lines")
    parser.add_argument(
        "--since",
        type=since,
        metavar="TIME",
        help="begin with what was said since: 10m, 1h30m or 2d ago, 14:05, 2026-11-30, '2026-11-30 14:05', today",
    )
    parser.add_argument("-t", "--timestamps", action="store_true", help="show when each line was begun")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--start", action="store_true", help="tell why its last start failed, instead")
    instead.add_argument(
        "-k", "--kernel", action="store_true", help="show its own kernel log, as its dmesg does, instead"
    )
    instead.add_argument(
        "--journal", action="store_true", help="show what its own journal says, as its journalctl tells it, instead"
    )
    # Its journalctl is a command inside, as of `insula exec`, with an empty input and our output.
    parser.set_defaults(tty=False, null=True, detach=False, user=None, group=None, cwd="/", env=[], json=False)


def _log(options: argparse.Namespace, host: Host) -> int:
    if options.start:
        failure = domain(host, options.domain).info().get("start_failure")
        show_line("its last start did not fail" if failure is None else f"{moment(failure['at'])}: {failure['text']}")
        return 0
    if options.journal:
        return _show_journal(options, host)
    said = domain(host, options.domain).log(
        "kernel" if options.kernel else options.source,
        follow=options.follow,
        lines=options.tail,
        since=options.since,
        timestamps=options.timestamps,
    )
    with said as stream:
        _show_log(stream)
    return 0


def _show_journal(options: argparse.Namespace, host: Host) -> int:
    try:
        return enter(options, host, domain(host, options.domain), _journal(options))
    except StepError as error:
        if not error.step.startswith("execute ") or error.errno != errno.ENOENT:
            raise
        raise OperationUnsupportedError(
            f"domain '{options.domain}' has no journalctl inside, so it cannot tell a journal: its console may have "
            f"said what is looked for (insula log {options.domain}), or a file of its own (insula exec "
            f"{options.domain} -- cat /var/log/messages)"
        ) from error


def _journal(options: argparse.Namespace) -> list[str]:
    """Return the command that tells the journal, in the guest: whoever else reads its files reads what is hostile."""
    command = ["journalctl", "--no-pager"]
    if options.follow:
        command.append("--follow")
    if options.tail is not None:
        command.append(f"--lines={options.tail}")
    elif options.follow:
        command.append("--no-tail")
    if options.since is not None:
        command.append(f"--since=@{options.since:.6f}")
    if options.timestamps:
        command.append("--output=short-iso")
    return command


def _show_log(pieces: Iterable[object]) -> None:
    """Write what a guest said: its own bytes to a file or a pipe, to a terminal what cannot command it."""
    neutralizer = Neutralizer(sys.stdout.encoding) if terminal.is_terminal(1) else None
    for piece in pieces:
        if isinstance(piece, bytes):
            terminal.write_all(neutralizer.feed(piece) if neutralizer else piece)
    if neutralizer:
        terminal.write_all(neutralizer.finish())


ARGUMENTS = {"plan": _plan_arguments, "log": _log_arguments}
RUN = {"plan": _plan, "log": _log}
