"""Verbs that start and stop domains: start, stop, restart, kill, pause, resume."""

import argparse
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial

from insula.cli.lookup import domain
from insula.cli.render import show_error
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
    """Do it to every domain named, go on after a failure, and return the first failure's exit status."""
    status = 0
    for text, find in _meant(options, host):
        try:
            action(find())
        except InsulaError as error:
            show_error(str(error), of=text)
            status = status or error.exit_status
    return status


def _meant(options: argparse.Namespace, host: Host) -> Iterator[tuple[str, Callable[[], Domain]]]:
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


def _timed(parser: argparse.ArgumentParser) -> None:
    _active(parser)
    parser.add_argument("-t", "--time", type=float, default=STOP_SECONDS, help="seconds to wait (default: %(default)g)")


def _stop_arguments(parser: argparse.ArgumentParser) -> None:
    _timed(parser)
    parser.add_argument("-f", "--force", action="store_true", help="kill what has not stopped in time")


def _kill_arguments(parser: argparse.ArgumentParser) -> None:
    _active(parser)
    parser.add_argument("-s", "--signal", help="send the guest's init this signal instead, such as HUP or 10")


def _start(options: argparse.Namespace, host: Host) -> int:
    return each_domain(options, host, lambda found: found.start())


def _stop(options: argparse.Namespace, host: Host) -> int:
    def stop(found: Domain) -> None:
        try:
            _require_awake(found, "resume it first, or use --force")
            found.shutdown()
            wait_until(lambda: stopped(found), options.time, f"domain '{found.name}' did not shut down")
        except InsulaError:  # it does not answer, or cannot be asked: whatever it is, a kill ends it
            if not options.force:
                raise
            if not stopped(found):
                found.destroy()

    return each_domain(options, host, stop)


def _require_awake(found: Domain, advice: str) -> None:
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
        _require_awake(found, "resume it first")
        found.reboot()
        wait_until(
            lambda: host.domain_by_uuid(found.ref.uuid).ref.id not in (-1, found.ref.id),
            options.time,
            f"domain '{found.name}' did not reboot",
        )

    return each_domain(options, host, restart)


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
    "start": _inactive,
    "stop": _stop_arguments,
    "restart": _timed,
    "kill": _kill_arguments,
    "pause": _running,
    "resume": _paused,
}
RUN = {"start": _start, "stop": _stop, "restart": _restart, "kill": _kill, "pause": _pause, "resume": _resume}
