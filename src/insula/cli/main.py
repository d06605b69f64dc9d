"""insula: containers from a shell, over the daemon's socket.

Which verbs there are, `verbtable` says.
"""

import argparse
import errno
import os
import sys
from collections.abc import Sequence

from insula.cli.render import show_error
from insula.cli.verbtable import VERBS, CommandVerb, DaemonAccess, module_of, parser_of
from insula.errors import ConfigurationError, InsulaError, StepError
from insula.kernel.standardstreams import occupy_standard_streams
from insula.layout import PREFIX_VARIABLE, Layout, layout_from

WRONG_USAGE = 2
INTERRUPTED = 130
OUR_FAILURE, NOT_EXECUTABLE, NOT_FOUND = 125, 126, 127


EPILOGUE = """exit status: 0 done, 1 failed, 2 wrong usage or definition, 3 not in this state, 4 not found,
5 refused, 6 not supported, 7 not in time, 130 interrupted. `exec` and `run` with a command end as the
command did: its status, 128 + N if signal N killed it, 126 or 127 if it could not be executed or found,
125 if Insula itself failed; wrong usage is 2 there, too."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    occupy_standard_streams()
    sys.exit(status_of(sys.argv[1:] if arguments is None else arguments))


def status_of(arguments: Sequence[str]) -> int:
    """Run the command line; return its exit status."""
    verb: CommandVerb | None = None
    after: list[str] = []
    try:
        before, verb, after = split(arguments)
        options = top_parser().parse_args(before)
        if options.version:
            return show_version()
        if verb is None:
            top_parser().error(no_verb(after))
        return run(verb, after, options.prefix)
    except InsulaError as error:
        show_error(str(error))
        return failure(verb, after, error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the reader has gone; let the interpreter's last flush succeed
        return 1


def failure(verb: CommandVerb | None, arguments: Sequence[str], error: InsulaError) -> int:
    """The exit status for our own failure; where a command runs, its own status must stay distinguishable from it."""
    runs = verb is not None and (verb.words == "exec" or (verb.words == "run" and "--" in arguments[:-1]))
    if not runs or error.exit_status == WRONG_USAGE:
        return error.exit_status
    if isinstance(error, StepError) and error.step.startswith("execute "):
        return NOT_FOUND if error.errno == errno.ENOENT else NOT_EXECUTABLE
    return OUR_FAILURE


def split(arguments: Sequence[str]) -> tuple[list[str], CommandVerb | None, list[str]]:
    """Split into options before the verb, the verb, and what follows it."""
    index = 0
    while index < len(arguments) and arguments[index].startswith("-"):
        index += 2 if arguments[index] == "--prefix" else 1
    before, rest = list(arguments[:index]), list(arguments[index:])
    for verb in VERBS:
        words = verb.words.split()
        if rest[: len(words)] == words:
            return before, verb, rest[len(words) :]
    return before, None, rest


def no_verb(words: Sequence[str]) -> str:
    """Say what is wrong with words that begin with no verb, and which ones there are."""
    begun = [verb.words for verb in VERBS if words and verb.words.startswith(f"{words[0]} ")]
    if begun:
        return f"'{words[0]}' is half a verb; there are {', '.join(begun)}"
    wrong = f"'{words[0]}' is no verb" if words else "a verb is missing"
    return f"{wrong}; insula --help lists them"


def top_parser() -> argparse.ArgumentParser:
    width = max(len(verb.words) for verb in VERBS)
    verbs = "\n".join(f"  {verb.words:<{width}}  {verb.summary}" for verb in VERBS)
    parser = argparse.ArgumentParser(
        prog="insula",
        usage="insula [--prefix DIR] VERB ...",
        description=f"Linux system containers with the manners of virtual machines.\n\nverbs:\n{verbs}",
        epilog=EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--prefix", help=f"the installation to use (default: ${PREFIX_VARIABLE}, else the system's)")
    parser.add_argument("--version", action="store_true", help="show versions and exit")
    return parser


def run(verb: CommandVerb, arguments: list[str], prefix: str | None) -> int:
    """Parse the verb's arguments, connect, and run it."""
    options = parse(parser_of(verb), arguments, command=verb.command)
    if verb.access is DaemonAccess.NONE:
        return module_of(verb).RUN_ALONE[verb.words](options)
    layout = layout_from(prefix)
    from insula.sdk.blocking_domains import open_host

    read_only = verb.access is DaemonAccess.LOOK and may_only_look(layout)
    with open_host(layout, read_only=read_only) as host:
        return module_of(verb).RUN[verb.words](options, host)


def may_only_look(layout: Layout) -> bool:
    """Whether the daemon's socket is closed to us, and the one for who only looks is open."""
    return not os.access(layout.socket, os.W_OK) and os.access(layout.socket_read_only, os.W_OK)


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str], *, command: bool = True) -> argparse.Namespace:
    """Parse arguments. command: only up to `--`; what follows is left as it is, in `after`.

    argparse alone would mix a command with options; for verbs without one, it takes names that begin with - after --.
    """
    end = arguments.index("--") if command and "--" in arguments else len(arguments)
    options = parser.parse_args(arguments[:end])
    options.after = list(arguments[end + 1 :])
    return options


def show_version() -> int:
    from importlib.metadata import PackageNotFoundError, version

    try:
        print(f"insula {version('insula')}")
    except PackageNotFoundError as error:
        raise ConfigurationError("insula is not installed as a package; install it with pip") from error
    return 0


if __name__ == "__main__":
    main()
