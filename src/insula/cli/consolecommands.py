"""Verbs that hold a console: console, run."""

import argparse
import os
import select
import signal
import sys
from contextlib import suppress

from insula.cli import terminal
from insula.cli.definition import domain_xml, told_by_options
from insula.cli.domaincommands import check_source, definition_arguments, image_and_command, wanted
from insula.cli.insidecommand import Insistence
from insula.cli.lookup import domain, told_if_taken
from insula.cli.render import show_error, show_line
from insula.errors import InsulaError, StepError
from insula.rpc.codes.requestcodes import ConsoleFlags, StartFlags
from insula.sdk import verbs
from insula.sdk.blocking import Blocking
from insula.sdk.blocking_domains import Domain, Host
from insula.sdk.blocking_stream import BlockingStream
from insula.sdk.values import Outcome

EXECUTION = "execute init"
_INTERRUPT = b"\x03"
"""Ctrl-C, which at a console is the guest's, and which many an init ignores."""


def _console_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("domain", help="name, id or UUID")
    parser.add_argument("device", nargs="?", help="such as console1 (default: the first)")
    parser.add_argument("-f", "--force", action="store_true", help="take it from whoever is attached")


def _console(options: argparse.Namespace, host: Host) -> int:
    found = domain(host, options.domain)
    flags = ConsoleFlags.FORCE if options.force else ConsoleFlags(0)
    if terminal.is_terminal(0):
        show_line(f"Connected to the console of '{found.name}'; Ctrl-] leaves.")
    with found.console(options.device, flags) as stream:
        Viewer(host.client, stream, found, options.device).attend()
    if terminal.is_terminal(0):
        print()
    return 0


class Viewer:
    """Someone at a console, until the guest ends, or the escape key or the end of the input says so."""

    def __init__(self, client: Blocking, stream: BlockingStream, found: Domain, device: str | None) -> None:
        self._client = client
        self._stream = stream
        self._domain = found
        self._device = device
        self._input_open = True
        self._line_open = False
        self._left = False
        self._interrupts = Insistence()

    def attend(self, *, until_the_guest_ends: bool = False) -> None:
        """Copy both ways. until_the_guest_ends: an ended input is no reason to leave, but an end-of-file key."""
        with terminal.waking(signal.SIGWINCH) as signals, terminal.raw():
            if terminal.is_terminal(0):
                self._resize()
            while not self._left and not self._show():
                sources: list[int | Blocking] = [self._client, signals, *([0] if self._input_open else [])]
                ready = select.select(sources, (), ())[0]
                if signals in ready:
                    os.read(signals, 64)
                    self._resize()
                if self._client in ready:
                    self._client.receive(0)
                if 0 in ready:
                    self._type(until_the_guest_ends)

    def _show(self) -> bool:
        """Write what has come; return whether the guest's side has ended."""
        while piece := self._stream.take():
            if isinstance(piece, bytes):
                terminal.write_all(piece)
        return self._stream.ended

    def _type(self, stay: bool) -> None:
        data = terminal.read_some(0)
        self._input_open = bool(data)
        typed, escape, _ = data.partition(terminal.ESCAPE) if terminal.is_terminal(0) else (data, b"", b"")
        if not data and stay:
            typed = terminal.end_of_file(line_open=self._line_open)
        if terminal.is_terminal(0) and self._interrupts.again(typed.count(_INTERRUPT)):
            terminal.write_all(b"\r\n[Ctrl-] leaves]\r\n")
        if typed:
            self._line_open = not typed.endswith(b"\n")
            self._stream.send(typed)
        if escape or (not data and not stay):
            self._left = True

    def _resize(self) -> None:
        self._domain.resize_console(*terminal.window_size(), self._device)


def _run_arguments(parser: argparse.ArgumentParser) -> None:
    definition_arguments(parser, name_required=False)
    parser.add_argument("--rm", action="store_true", help="forget the domain and its writable layer when it stops")
    parser.add_argument("-t", "--tty", action="store_true", help="as always: what runs as init has a terminal")
    parser.add_argument(
        "-it", "-ti", action="store_true", help=argparse.SUPPRESS
    )  # else the image t, by docker's habit
    parser.add_argument("-d", "--detach", action="store_true", help="do not attach; print the name")


def _run(options: argparse.Namespace, host: Host) -> int:
    image, _ = image_and_command(options)
    name = options.name or f"{(image or 'guest').replace('/', '-')}-{os.urandom(3).hex()}"
    xml = domain_xml(wanted(options, name))
    check_source(options, host)
    paused = StartFlags(0) if options.detach else StartFlags.PAUSED
    with told_by_options(), told_if_taken(host, name):
        found = host.create(xml, paused) if options.rm else host.define(xml)
    if not options.rm:
        found.start(paused)
    if options.detach:
        show_line(found.name)
        return 0
    return _attach(host, found)


def _attach(host: Host, found: Domain) -> int:
    """Show a paused domain's console, let it go, and return its exit status when it ends, 0 when the viewer leaves."""
    outcome = host.client.begin(verbs.wait(found.ref))  # before it may run, so that no end is missed
    if terminal.is_terminal(0):
        show_line(f"Connected to the console of '{found.name}'; Ctrl-] leaves.")
    with found.console() as stream:
        _begin(found)
        Viewer(host.client, stream, found, None).attend(until_the_guest_ends=True)
        if not stream.ended:
            sys.stdout.write("\r\n")
            show_line(f"Left '{found.name}' running.")
            return 0
    ended = outcome.result()
    if ended.out_of_memory:
        show_error("its init was killed: out of memory", of=found.name)
    return exit_status(ended)


def _begin(found: Domain) -> None:
    """Let a paused domain execute its init.

    Raises: StepError if it cannot, whose step the keeper has no name for; the domain is off then.
    """
    try:
        found.resume()
    except StepError as error:
        with suppress(InsulaError):
            found.destroy()
        raise StepError(str(error), step=EXECUTION, errno=error.errno) from error


def exit_status(outcome: Outcome) -> int:
    """What a shell sees of a guest's end: its init's own status; a clean power-off is 0; 125 when nobody can tell."""
    status = outcome.status
    if outcome.reason == "shutdown" and not (status is not None and os.WIFEXITED(status)):
        return 0
    if status is None:
        return 125
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


ARGUMENTS = {"console": _console_arguments, "run": _run_arguments}
RUN = {"console": _console, "run": _run}
