"""The help that lists all verbs."""

from insula.cli.toplevel import top_parser
from insula.cli.verbtable import VERBS


def test_every_verb_is_listed_with_what_it_does() -> None:
    text = top_parser().format_help()
    for each in VERBS:
        assert f"  {each.words} " in text and each.summary in text
