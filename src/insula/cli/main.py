"""insula: containers from a shell, over the daemon's socket.

The verbs are one table; a verb's module is imported when the verb is used, so that start-up stays lean.
"""

import argparse
import errno
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from insula.cli.render import show_error
from insula.errors import ConfigurationError, InsulaError, StepError
from insula.kernel.standardstreams import occupy_standard_streams
from insula.layout import PREFIX_VARIABLE, layout_from

if TYPE_CHECKING:
    from insula.sdk.blocking_domains import Host

WRONG_USAGE = 2
INTERRUPTED = 130
OUR_FAILURE, NOT_EXECUTABLE, NOT_FOUND = 125, 126, 127


class Module(Protocol):
    """What a verb's module offers for each of its verbs, by name."""

    ARGUMENTS: dict[str, Callable[[argparse.ArgumentParser], None]]
    RUN: dict[str, Callable[[argparse.Namespace, "Host"], int]]


@dataclass(frozen=True, slots=True)
class CommandVerb:
    """One verb. words: `start`, or `image build`; module: below `insula.cli`; command: what follows `--` is one."""

    words: str
    module: str
    summary: str
    command: bool = False


VERBS = (
    CommandVerb("run", "consolecommands", "create and start a domain, and attach to it", command=True),
    CommandVerb("create", "domaincommands", "define a domain from an image or a root directory", command=True),
    CommandVerb("ls", "listcommands", "list domains"),
    CommandVerb("start", "lifecyclecommands", "start domains"),
    CommandVerb("stop", "lifecyclecommands", "ask domains to shut down, and wait"),
    CommandVerb("restart", "lifecyclecommands", "ask domains to reboot, and wait"),
    CommandVerb("kill", "lifecyclecommands", "stop domains at once, or send their init a signal"),
    CommandVerb("rm", "domaincommands", "remove domains with their writable layers"),
    CommandVerb("exec", "execcommand", "run a command inside", command=True),
    CommandVerb("console", "consolecommands", "attach to a console"),
    CommandVerb("info", "listcommands", "tell what is known of a domain"),
    CommandVerb("plan", "plancommands", "show every step of a start, with its reason"),
    CommandVerb("log", "plancommands", "show what a domain's console said"),
    CommandVerb("image build", "imagecommands", "build an image"),
    CommandVerb("image ls", "imagecommands", "list images"),
    CommandVerb("image rm", "imagecommands", "remove images"),
    CommandVerb("image prune", "imagecommands", "remove the files that undefined domains left"),
)

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
    module: Module = import_module(f"insula.cli.{verb.module}")
    parser = argparse.ArgumentParser(prog=f"insula {verb.words}", description=f"{verb.summary.capitalize()}.")
    module.ARGUMENTS[verb.words](parser)
    options = parse(parser, arguments, command=verb.command)
    layout = layout_from(prefix)
    from insula.sdk.blocking_domains import open_host

    with open_host(layout) as host:
        return module.RUN[verb.words](options, host)


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
