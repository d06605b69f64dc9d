"""Verbs that start and end domains: start, restart, kill, pause, resume."""

import argparse
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial

from insula.cli.lookup import domain
from insula.cli.render import show_error
from insula.cli.watchcommands import until_ready
from insula.errors import (
    DomainNotFoundError,
    InsulaError,
    InvalidArgumentError,
    OperationInvalidError,
    OperationTimeoutError,
)
from insula.model.domainstates import DomainState
from insula.model.numbers import ListDomains
from insula.sdk.blocking_domains import Domain, Host

STOP_SECONDS = 60.0
_POLL_SECONDS = 0.05


def each_domain(options: argparse.Namespace, host: Host, action: Callable[[Domain], None]) -> int:
    """Do it to every domain named, once however often it is, go on after a failure, and return the first failure's
    exit status."""
    status, seen = 0, set[bytes]()
    for text, find in meant_domains(options, host):
        try:
            found = find()
            if found.ref.uuid not in seen:
                seen.add(found.ref.uuid)
                action(found)
        except InsulaError as error:
            show_error(str(error), of=text)
            status = status or error.exit_status
    return status


def meant_domains(options: argparse.Namespace, host: Host) -> Iterator[tuple[str, Callable[[], Domain]]]:
    """The domains that were named, or with --all those of the verb's kind, each with what it is called.

    Raises: InvalidArgumentError unless it is one of both.
    """
    kind: ListDomains | None = getattr(options, "all", None)
    if (kind is None) == (not options.domains):
        raise InvalidArgumentError("name the domains, or say --all" if kind is None else "--all names every domain")
    if kind is not None:
        found = sorted(host.domains(kind), key=lambda each: each.name)
        yield from ((each.name, partial(_itself, each)) for each in found)
    else:
        yield from ((text, partial(domain, host, text)) for text in options.domains)


def _itself(found: Domain) -> Domain:
    return found


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Poll until it is so. Raises: OperationTimeoutError saying what did not happen."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise OperationTimeoutError(f"{what} within {seconds:g} seconds")
        time.sleep(_POLL_SECONDS)


def _of(kind: ListDomains, described: str) -> Callable[[argparse.ArgumentParser], None]:
    """Arguments of a verb for domains that are named, or all of a kind."""

    def arguments(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("domains", nargs="*", metavar="domain", help="name, id or UUID")
        parser.add_argument("-a", "--all", action="store_const", const=kind, help=f"every domain that {described}")

    return arguments


_inactive = _of(ListDomains.INACTIVE, "does not run")


_active = _of(ListDomains.ACTIVE, "runs")
_running = _of(ListDomains.RUNNING, "runs and is not paused")
_paused = _of(ListDomains.PAUSED, "is paused")


def timed(parser: argparse.ArgumentParser) -> None:
    _active(parser)
    parser.add_argument("-t", "--time", type=float, default=STOP_SECONDS, help="seconds to wait (default: %(default)g)")


def _kill_arguments(parser: argparse.ArgumentParser) -> None:
    _active(parser)
    parser.add_argument("-s", "--signal", help="send the guest's init this signal instead, such as HUP or 10")


def _start_arguments(parser: argparse.ArgumentParser) -> None:
    _inactive(parser)
    parser.add_argument(
        "-c", "--console", action="store_true", help="attach to its console, before anything is printed there"
    )
    parser.add_argument(
        "--with-dependencies", action="store_true", help="before each start what it depends on and does not run"
    )
    parser.add_argument("--wait-ready", action="store_true", help="until each is ready, as its definition says")
    parser.add_argument("-t", "--time", type=float, help="seconds to wait for each at most (default: for ever)")


def _start(options: argparse.Namespace, host: Host) -> int:
    if options.console and (len(options.domains) != 1 or options.with_dependencies or options.wait_ready):
        raise InvalidArgumentError("--console attaches to one domain, which starts alone: name it")
    if options.console:
        from insula.cli.consolecommands import view_from_the_start  # only who attaches pays for it

        view_from_the_start(host, domain(host, options.domains[0]))
        return 0

    def start(found: Domain) -> None:
        if options.with_dependencies:
            found.start_with_dependencies()
        else:
            found.start()
        if options.wait_ready:
            until_ready(host, found, options.time)

    return each_domain(options, host, start)


def require_awake(found: Domain, advice: str) -> None:
    """A frozen guest would be waited for in vain. Raises: OperationInvalidError if it is paused."""
    if found.state().state is DomainState.PAUSED:
        raise OperationInvalidError(f"it is paused; {advice}")


def stopped(found: Domain) -> bool:
    """Whether it does not run; a transient domain is gone then."""
    try:
        return not found.is_active()
    except DomainNotFoundError:
        return True


def _restart(options: argparse.Namespace, host: Host) -> int:
    def restart(found: Domain) -> None:
        require_awake(found, "resume it first")
        found.reboot()
        wait_until(
            lambda: host.domain_by_uuid(found.ref.uuid).ref.id not in (-1, found.ref.id),
            options.time,
            f"domain '{found.name}' did not reboot",
        )

    return each_domain(options, host, restart)


def _reset(options: argparse.Namespace, host: Host) -> int:
    return each_domain(options, host, lambda found: found.reset())


def _kill(options: argparse.Namespace, host: Host) -> int:
    if options.signal is None:
        return each_domain(options, host, lambda found: found.destroy())
    number = signal_number(options.signal)
    return each_domain(options, host, lambda found: found.signal_init(number))


def _pause(options: argparse.Namespace, host: Host) -> int:
    return each_domain(options, host, lambda found: found.suspend())


def _resume(options: argparse.Namespace, host: Host) -> int:
    return each_domain(options, host, lambda found: found.resume())


def signal_number(text: str) -> int:
    """Read `TERM`, `SIGTERM`, `RTMIN+3` or a number. Raises: InvalidArgumentError."""
    name = text.upper().removeprefix("SIG")
    if name.isdigit() and 0 < int(name) < signal.NSIG:
        return int(name)
    base, plus, offset = name.partition("+")
    if plus and base == "RTMIN" and offset.isdigit():
        return int(signal.SIGRTMIN) + int(offset)
    try:
        return int(signal.Signals[f"SIG{name}"])
    except KeyError as error:
        raise InvalidArgumentError(f"'{text}' is no signal; give a name such as TERM or a number") from error


ARGUMENTS = {
    "start": _start_arguments,
    "restart": timed,
    "reset": _active,
    "kill": _kill_arguments,
    "pause": _running,
    "resume": _paused,
}
RUN = {
    "start": _start,
    "restart": _restart,
    "reset": _reset,
    "kill": _kill,
    "pause": _pause,
    "resume": _resume,
}
