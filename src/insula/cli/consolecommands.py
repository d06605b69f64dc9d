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
from insula.errors import (
    DeviceMissingError,
    InsulaError,
    InvalidArgumentError,
    OperationFailedError,
    OperationInvalidError,
    StepError,
)
from insula.rpc.codes.eventcodes import DomainEventId
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
    parser.add_argument(
        "-N", "--number", type=int, help="instead: 1 is the first, the guest's /dev/tty1, 2 its /dev/tty2"
    )
    parser.add_argument("-f", "--force", action="store_true", help="take it from whoever is attached")
    parser.add_argument("--web", action="store_true", help="offer it to a browser, at an address that is told")
    parser.add_argument(
        "--listen",
        metavar="PLACE",
        help="with --web: PORT or ADDRESS:PORT of the loopback, or the path of a socket (default: any free port)",
    )
    parser.add_argument("-w", "--wait", action="store_true", help="if it is off, wait for its start, as at a terminal")


def _console(options: argparse.Namespace, host: Host) -> int:
    found = domain(host, options.domain)
    device = _device(options)
    try:
        return _led_to(options, host, found, device)
    except DeviceMissingError as error:
        if options.number is None:
            raise
        raise DeviceMissingError(f"{_count(found)}, so there is no number {options.number}") from error


def _led_to(options: argparse.Namespace, host: Host, found: Domain, device: str | None) -> int:
    flags = ConsoleFlags.FORCE if options.force else ConsoleFlags(0)
    if options.web or options.listen is not None:
        return _offer(options, host, found, device)
    try:
        stream = found.console(device, flags)
    except OperationInvalidError:
        if not (options.wait or terminal.is_terminal(0)):
            raise
        awaited = _opened_once_it_runs(host, found, device, flags)
        if awaited is None:
            return 0
        stream = awaited
    with stream:
        view(host, stream, found, device)
    return 0


def _count(found: Domain) -> str:
    """Return how many consoles a domain has, in words."""
    from xml.etree import ElementTree as ET  # only who asks for one too many pays for it

    number = len(ET.fromstring(found.xml()).findall("devices/console"))
    return f"domain '{found.name}' has {number or 'no'} console{'s' if number != 1 else ''}"


def _offer(options: argparse.Namespace, host: Host, found: Domain, device: str | None) -> int:
    from insula.cli import webconsole  # only who wants that pays for an event loop
    from insula.cli.webgate import place_of

    if not options.web:
        raise InvalidArgumentError("--listen says where a browser finds the console: give --web with it")
    door = host.client.door
    assert door is not None
    place = place_of(options.listen)
    try:
        return webconsole.offer(door.path, found.name, device, force=options.force, place=place)
    except OSError as error:
        raise OperationFailedError(f"nobody can listen at {place.path or place.url_host}: {error.strerror}") from error


def _device(options: argparse.Namespace) -> str | None:
    """Return the name of the console that is meant. Raises: InvalidArgumentError for no console's number."""
    if options.number is None:
        return str(options.device) if options.device is not None else None
    if options.device is not None:
        raise InvalidArgumentError("name the console, or give its --number, not both")
    if options.number < 1:
        raise InvalidArgumentError(f"{options.number} is no console's number: the first is 1")
    return f"console{options.number - 1}"


def _opened_once_it_runs(host: Host, found: Domain, device: str | None, flags: ConsoleFlags) -> BlockingStream | None:
    """Wait until a domain that is off has been started, and open its console, which shows all since then.

    None if whoever waits leaves before. Raises: DomainNotFoundError if the domain is removed meanwhile.
    """
    at_terminal = terminal.is_terminal(0)
    for each in (DomainEventId.LIFECYCLE, DomainEventId.REBOOT):  # before it is looked at, so that no start is missed
        host.client.run(verbs.register(each, found.ref))
    with terminal.raw():
        if at_terminal:
            show_line(f"'{found.name}' is off; waiting for its start. Ctrl-] leaves.", now=True)
            terminal.write_all(b"\r")
        while True:
            with suppress(OperationInvalidError):
                return found.console(device, flags)
            while host.client.next_message(0) is None:
                sources: list[int | Blocking] = [host.client, *([0] if at_terminal else [])]
                ready = select.select(sources, (), ())[0]
                if 0 in ready and _leaves(terminal.read_some(0)):
                    return None
                if host.client in ready:
                    host.client.receive(0)


def _leaves(typed: bytes) -> bool:
    """Whether who has nobody to type to yet has had enough."""
    return not typed or terminal.ESCAPE in typed or _INTERRUPT in typed


def view(host: Host, stream: BlockingStream, found: Domain, device: str | None = None) -> None:
    """Attach to an open console until the guest ends or the viewer leaves."""
    if terminal.is_terminal(0):
        show_line(f"Connected to the console of '{found.name}'; Ctrl-] leaves.", now=True)
    Viewer(host.client, stream, found, device).attend()
    if terminal.is_terminal(0):
        print()


def view_from_the_start(host: Host, found: Domain) -> None:
    """Start a domain that is off, attached to its console before its init says anything."""
    found.start(StartFlags.PAUSED)
    with found.console() as stream:
        begin(found)
        view(host, stream, found)


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
        begin(found)
        Viewer(host.client, stream, found, None).attend(until_the_guest_ends=True)
        if not stream.ended:
            sys.stdout.write("\r\n")
            show_line(f"Left '{found.name}' running.")
            return 0
    ended = outcome.result()
    if ended.out_of_memory:
        show_error("its init was killed: out of memory", of=found.name)
    return exit_status(ended)


def begin(found: Domain) -> None:
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
