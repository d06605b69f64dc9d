import pytest

from insula.cli.verbtable import VERBS, CommandVerb, DaemonAccess, module_of, parser_of


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.words)
def test_every_verb_has_a_module_that_does_it(verb: CommandVerb) -> None:
    module = module_of(verb)
    assert verb.words in module.ARGUMENTS
    assert verb.words in (module.RUN_ALONE if verb.access is DaemonAccess.NONE else module.RUN)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.words)
def test_every_word_and_option_of_a_verb_is_explained(verb: CommandVerb) -> None:
    assert [each.dest for each in parser_of(verb)._actions if not each.help] == []


def test_no_verb_is_the_beginning_of_another() -> None:
    words = {each.words for each in VERBS}
    assert len(words) == len(VERBS)
    assert [each for each in words if each.split()[0] in words and " " in each] == []


def test_a_summary_keeps_its_capitals_as_a_sentence() -> None:
    assert CommandVerb("xml", "nowhere", "print a domain's XML").sentence == "Print a domain's XML."
