import pytest

from insula.cli.verbtable import VERBS, CommandVerb, DaemonAccess, module_of, parser_of
from insula.errors import InvalidArgumentError


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.words)
def test_every_verb_has_a_module_that_does_it(verb: CommandVerb) -> None:
    module = module_of(verb)
    assert verb.words in module.ARGUMENTS
    assert verb.words in (module.RUN_ALONE if verb.access is DaemonAccess.NONE else module.RUN)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.words)
def test_every_word_and_option_of_a_verb_is_explained(verb: CommandVerb) -> None:
    assert [each.dest for each in parser_of(verb)._actions if not each.help] == []


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.words)
def test_what_stands_for_something_else_is_in_capitals(verb: CommandVerb) -> None:
    usage = parser_of(verb).format_usage().removeprefix(f"usage: insula {verb.words}")
    words = [each.strip("[].,") for each in usage.split()]
    assert [each for each in words if each.islower() and not each.startswith(("-", "{")) and "," not in each] == []


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (("run", "-p", "80:80", "busybox"), "-p is no option here: a guest has addresses of its own"),
        (("run", "--publish=80:80", "busybox"), "--publish is no option here"),
        (("create", "web", "--net", "host", "busybox"), "--share-network the host's own network"),
        (("ps", "-a"), "insula ls lists domains, those that are off too"),
        (("create", "--restart=always", "web", "busybox"), "insula autostart DOMAIN"),
    ],
)
def test_who_types_an_option_of_another_program_is_told_what_to_use(words: tuple[str, ...], advice: str) -> None:
    verb = next(each for each in VERBS if each.words == words[0])
    with pytest.raises(InvalidArgumentError) as caught:
        parser_of(verb).parse_args(words[1:])
    assert advice in str(caught.value)


def test_no_verb_is_the_beginning_of_another() -> None:
    words = {each.words for each in VERBS}
    assert len(words) == len(VERBS)
    assert [each for each in words if each.split()[0] in words and " " in each] == []


def test_a_summary_keeps_its_capitals_as_a_sentence() -> None:
    assert CommandVerb("xml", "nowhere", "print a domain's XML").sentence == "Print a domain's XML."
