"""help: what there is, and what a verb takes."""

import argparse

from insula.cli.familiar import no_verb, verb_meant
from insula.cli.render import show_text
from insula.cli.toplevel import top_parser
from insula.cli.verbtable import parser_of
from insula.errors import InvalidArgumentError


def _help_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="*", metavar="verb", help="what to tell of (default: all there is)")


def _help(options: argparse.Namespace) -> int:
    if not options.words:
        show_text(top_parser().format_help())
        return 0
    meant = verb_meant(options.words)
    if meant is None:
        raise InvalidArgumentError(no_verb(options.words))
    show_text(parser_of(meant[0]).format_help())
    return 0


ARGUMENTS = {"help": _help_arguments}
RUN_ALONE = {"help": _help}
