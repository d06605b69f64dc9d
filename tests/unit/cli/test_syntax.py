import argparse
from pathlib import Path

import pytest

from insula.cli import syntax as syntaxes
from insula.cli.syntax import Syntax, ValueKind, syntax_of
from insula.cli.verbtable import CommandVerb


@pytest.fixture
def syntax(monkeypatch: pytest.MonkeyPatch) -> Syntax:
    verb = CommandVerb("mend", "nowhere", "mend domains", command=True)

    def parser_of(_: CommandVerb) -> argparse.ArgumentParser:
        parser = argparse.ArgumentParser(prog="insula mend", description="Mend domains.", epilog="It takes a while.")
        parser.add_argument("domains", nargs="+", metavar="domain", help="name, id or UUID")
        parser.add_argument("device", nargs="?", help="which")
        parser.add_argument("-t", "--time", type=float, default=60.0, help="seconds (default: %(default)g)")
        parser.add_argument("--how", choices=("well", "badly"), help="how")
        parser.add_argument("--xml", type=Path, metavar="FILE", help="by this")
        parser.add_argument("-it", action="store_true", help=argparse.SUPPRESS)
        parser.add_argument("-f", "--force", action="store_true", help="even so")
        return parser

    monkeypatch.setattr(syntaxes, "parser_of", parser_of)
    return syntax_of(verb)


def test_a_synopsis_shows_what_may_be_left_out_or_repeated(syntax: Syntax) -> None:
    assert syntax.synopsis == "insula mend [OPTION ...] DOMAIN ... [DEVICE] [-- COMMAND [ARGUMENT ...]]"


def test_options_have_their_names_values_and_defaults(syntax: Syntax) -> None:
    time, how, xml, force = syntax.options
    assert time.names == ("-t", "--time") and time.value == "TIME" and time.explanation == "seconds (default: 60)"
    assert how.value == "well|badly" and how.choices == ("well", "badly") and how.kind is ValueKind.CHOICE
    assert xml.value == "FILE" and xml.kind is ValueKind.FILE
    assert force.value == "" and force.names == ("-f", "--force")


def test_what_a_word_stands_for_is_known_by_its_name(syntax: Syntax) -> None:
    assert [each.kind for each in syntax.words] == [ValueKind.DOMAIN, ValueKind.OTHER]


def test_what_the_help_says_beside_the_summary_is_kept(syntax: Syntax) -> None:
    assert syntax.remarks == "It takes a while."
