"""insulad from its command line to its lock: little is imported here, so that the lock is held soon after the start.

    insulad [--prefix DIR] [--config FILE] [--timeout SECONDS] [--verbose]
    insulad [--prefix DIR] [--config FILE] sasl-user ...          see `saslusercommand`
    insulad [--prefix DIR] doctor                                 see `hostexamination`

By the lock a client knows that a daemon is on its way, and waits for it (`sdk/startingdaemon.py`); all else is
imported behind it.
"""

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from insula.daemon.garbage import unsearched
from insula.daemon.instance import make_directories, only_one
from insula.errors import ConfigurationError, InsulaError
from insula.kernel.standardstreams import occupy_standard_streams
from insula.layout import Layout, layout_from

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the daemon until it is told to stop; return the exit status."""
    occupy_standard_streams()
    words = sys.argv[1:] if argv is None else argv
    about_users = _behind(words, "sasl-user")
    if about_users is not None:
        from insula.daemon.saslusercommand import main as change_users

        return change_users(about_users)
    about_host = _behind(words, "doctor")
    if about_host is not None:
        from insula.daemon.hostexamination import main as examine

        return examine(about_host)
    options = _options(words)
    try:
        layout = layout_from(options.prefix)
        if os.geteuid() != 0:
            raise ConfigurationError("insulad must be run by root")
        missing = make_directories(layout)
        with _hangups_ignored(), only_one(layout):
            return _serve(layout, options, missing)
    except InsulaError as error:
        if sys.stderr is not None:
            with contextlib.suppress(OSError):
                sys.stderr.write(f"insulad: {error}\n")
        return error.exit_status
    except KeyboardInterrupt:  # before the daemon listens to signals
        return INTERRUPTED


def _behind(words: Sequence[str], name: str) -> list[str] | None:
    """Return what is told to `name`, whose options may stand before that word too; None if it is not meant."""
    at = 0
    while at < len(words) and words[at].partition("=")[0] in ("--prefix", "--config"):
        at += 1 if "=" in words[at] else 2
    return [*words[:at], *words[at + 1 :]] if words[at : at + 1] == [name] else None


@contextlib.contextmanager
def _hangups_ignored() -> Iterator[None]:
    """SIGHUP has the settings read again: until somebody listens to it, they are about to be read anyway."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def _serve(layout: Layout, options: argparse.Namespace, missing: Sequence[str]) -> int:
    with unsearched():  # else looks would be a quarter of what imports take, and each later one a dozen guests' worth
        from insula.daemon.main import serve
    return serve(layout, options, missing)


def seconds(text: str) -> float:
    """Raises: ValueError, which argparse tells as a wrong value."""
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError(text)
    return value


class _TellVersion(argparse.Action):
    """Only who asks for the version pays for looking it up."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        from importlib.metadata import version

        sys.stdout.write(f"insulad {version('insula')}\n")
        parser.exit()


def _options(argv: Sequence[str]) -> argparse.Namespace:
    return command_line().parse_args(argv)


def command_line() -> argparse.ArgumentParser:
    """The parser of insulad's command line."""
    parser = argparse.ArgumentParser(
        prog="insulad",
        description="System containers for libvirt clients.",
        epilog="insulad sasl-user --help tells how users of SASL are added, removed and listed; insulad doctor tells "
        "what the host lacks.",
    )
    parser.add_argument("--prefix", metavar="DIR", help="keep every file and socket below DIR")
    parser.add_argument("--config", metavar="FILE", type=Path, help="the settings, instead of etc/insula/insulad.toml")
    parser.add_argument(
        "--timeout", "-t", metavar="SECONDS", type=seconds, help="end after so long without clients and running domains"
    )
    parser.add_argument("--verbose", "-v", action="store_true", help="log everything")
    parser.add_argument("--version", "-V", action=_TellVersion, nargs=0, help="say which version it is")
    return parser
