"""insula: containers from a shell, over the daemon's socket.

Which verbs there are, `verbtable` says.
"""

import argparse
import contextlib
import errno
import os
import sys
from collections.abc import Sequence

from insula.cli.familiar import no_verb, verb_meant
from insula.cli.render import show_error
from insula.cli.toplevel import PLACES, top_parser
from insula.cli.verbtable import CommandVerb, DaemonAccess, module_of, parser_of
from insula.errors import ConfigurationError, InsulaError, InvalidArgumentError, StepError
from insula.kernel.standardstreams import occupy_standard_streams
from insula.layout import Layout, default_address, layout_from

WRONG_USAGE = 2
INTERRUPTED = 130
OUR_FAILURE, NOT_EXECUTABLE, NOT_FOUND = 125, 126, 127


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    occupy_standard_streams()
    sys.exit(told_status(sys.argv[1:] if arguments is None else arguments))


def told_status(arguments: Sequence[str]) -> int:
    """Run the command line; return its exit status once all that it says has been written."""
    try:
        try:
            status = status_of(arguments)
        except SystemExit as ended:  # of a parser
            status = ended.code if isinstance(ended.code, int) else WRONG_USAGE
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except BrokenPipeError:
        _write_nowhere()  # the reader has gone
    except OSError as error:
        _write_nowhere()
        with contextlib.suppress(OSError):
            text = error.strerror or str(error)
            where = "the output cannot be written" if error.filename is None else f"'{error.filename}'"
            show_error(f"{where}: {text}")
    return 1


def _write_nowhere() -> None:
    """Let the interpreter's last flush succeed."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def status_of(arguments: Sequence[str]) -> int:
    """Run the command line; return its exit status. Raises: OSError if what it says cannot be written."""
    verb: CommandVerb | None = None
    after: list[str] = []
    try:
        before, verb, after = split(arguments)
        options = top_parser().parse_args(before)
        if options.version:
            return show_version()
        if verb is None:
            top_parser().error(no_verb(after))
        return run(verb, after, options.prefix, options.connect)
    except InsulaError as error:
        show_error(str(error), of=_subject(verb, after, error))
        return failure(verb, after, error)
    except KeyboardInterrupt:
        return INTERRUPTED


def _subject(verb: CommandVerb | None, arguments: Sequence[str], error: InsulaError) -> str | None:
    """The domain that a verb for one was about, where its error does not name it."""
    if verb is None or error.exit_status == WRONG_USAGE:
        return None
    try:
        options = parse(parser_of(verb), arguments, command=verb.command)
    except SystemExit:
        return None
    name = getattr(options, "domain", None) or getattr(options, "name", None)
    return name if isinstance(name, str) and f"'{name}'" not in str(error) else None


def failure(verb: CommandVerb | None, arguments: Sequence[str], error: InsulaError) -> int:
    """The exit status for our own failure; where a command runs, its own status must stay distinguishable from it."""
    runs = verb is not None and (
        verb.words in ("exec", "shell") or (verb.words == "run" and _has_command(verb, arguments))
    )
    if not runs or error.exit_status == WRONG_USAGE:
        return error.exit_status
    if isinstance(error, StepError) and error.step.startswith("execute "):
        return NOT_FOUND if error.errno == errno.ENOENT else NOT_EXECUTABLE
    return OUR_FAILURE


def _has_command(verb: CommandVerb, arguments: Sequence[str]) -> bool:
    from insula.cli.domaincommands import image_and_command

    try:
        return bool(image_and_command(parse(parser_of(verb), arguments))[1])
    except (SystemExit, InsulaError):
        return False


def split(arguments: Sequence[str]) -> tuple[list[str], CommandVerb | None, list[str]]:
    """Split into options before the verb, the verb, and what follows it."""
    index = 0
    while index < len(arguments) and arguments[index].startswith("-"):
        index += 2 if arguments[index] in (*PLACES, "-c") else 1
    before, rest = list(arguments[:index]), list(arguments[index:])
    meant = verb_meant(rest)
    return (before, None, rest) if meant is None else (before, meant[0], rest[meant[1] :])


def run(verb: CommandVerb, arguments: list[str], prefix: str | None, address: str | None = None) -> int:
    """Parse the verb's arguments, connect, and run it. Raises: InvalidArgumentError for what stands before a verb."""
    for each, what in PLACES.items():
        if not verb.command and any(word.partition("=")[0] == each for word in arguments):
            raise InvalidArgumentError(f"{each} stands before the verb: insula {each} {what} {verb.words}")
    if prefix is not None and address is not None:
        raise InvalidArgumentError("--prefix and --connect both say which daemon is meant: give one of them")
    options = parse(parser_of(verb), arguments, command=verb.command)
    if verb.access is DaemonAccess.NONE:
        options.installation, options.address = prefix, address
        return module_of(verb).RUN_ALONE[verb.words](options)
    from insula.sdk.connecting import connect

    if prefix is None and address is None:
        address = default_address()
    if address is not None:
        with connect(address) as host:
            return module_of(verb).RUN[verb.words](options, host)
    layout = layout_from(prefix)
    read_only = verb.access is DaemonAccess.LOOK and may_only_look(layout)
    with connect(layout, read_only=read_only) as host:
        return module_of(verb).RUN[verb.words](options, host)


def may_only_look(layout: Layout) -> bool:
    """Whether the daemon's socket is closed to us, and the one for who only looks is open."""
    return not os.access(layout.socket, os.W_OK) and os.access(layout.socket_read_only, os.W_OK)


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str], *, command: bool = True) -> argparse.Namespace:
    """Parse arguments. command: only up to `--`; what follows is left as it is, in `after`.

    argparse alone would mix a command with options; for verbs without one, it takes names that begin with - after --.
    Nor would it take a value that begins with -, as --sort has them.
    """
    if any("--sort" in each.option_strings for each in parser._actions):
        arguments = _sort_joined(arguments)
    end = arguments.index("--") if command and "--" in arguments else len(arguments)
    mixed = "--" not in arguments[:end] and all(each.nargs != argparse.REMAINDER for each in parser._actions)
    # Else a word that may be left out is not looked for behind an option: create web --start debian-12.
    options = (parser.parse_intermixed_args if mixed else parser.parse_args)(arguments[:end])
    options.after = list(arguments[end + 1 :])
    return options


def _sort_joined(arguments: Sequence[str]) -> list[str]:
    """Join `--sort -memory` into one word."""
    joined: list[str] = []
    for each in arguments:
        if joined and joined[-1] == "--sort" and each.startswith("-"):
            joined[-1] = f"--sort={each}"
        else:
            joined.append(each)
    return joined


def show_version() -> int:
    from importlib.metadata import PackageNotFoundError, version

    try:
        print(f"insula {version('insula')}")
    except PackageNotFoundError as error:
        raise ConfigurationError("insula is not installed as a package; install it with pip") from error
    return 0


if __name__ == "__main__":
    main()
