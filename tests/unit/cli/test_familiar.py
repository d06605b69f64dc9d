"""What people type who come from elsewhere is understood, or answered with what to type."""

import pytest

from insula.cli.familiar import ALIASES, HINTS, no_verb, verb_meant
from insula.cli.verbtable import VERBS

OURS = {each.words for each in VERBS}


def test_every_alias_means_a_verb_that_exists() -> None:
    assert set(ALIASES.values()) <= OURS


@pytest.mark.parametrize(
    ("typed", "verb", "rest"),
    [
        ("list -q", "ls", 1),
        ("logs web", "log", 1),
        ("image list", "image ls", 0),
        ("inspect web", "info", 1),
        ("image ls --json", "image ls", 1),
        ("dominfo web", "info", 1),
        ("image inspect busybox", "image info", 1),
    ],
)
def test_familiar_words_are_understood(typed: str, verb: str, rest: int) -> None:
    words = typed.split()
    meant = verb_meant(words)
    assert meant is not None and meant[0].words == verb and len(words) - meant[1] == rest


def test_a_verb_of_ours_goes_before_what_others_mean_by_it() -> None:
    for words in OURS:
        meant = verb_meant(words.split())
        assert meant is not None and meant[0].words == words


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("pull debian", "insula image build NAME"),
        ("undefine web", "virsh -c lxc:///system undefine DOMAIN keeps them"),
        ("define web.xml", "virsh -c lxc:///system define FILE"),
        ("setmem web 1g", "insula set DOMAIN --memory"),
        ("strt web", "did you mean 'start'?"),
        ("inspekt web", "did you mean 'info'?"),
        ("image", "half a verb"),
        ("frobnicate", "'frobnicate' is no verb; insula --help lists them"),
        ("", "a verb is missing"),
    ],
)
def test_what_is_not_understood_is_answered_with_what_to_type(typed: str, told: str) -> None:
    assert verb_meant(typed.split()) is None
    assert told in no_verb(typed.split())


def test_hints_are_for_words_that_are_no_verbs() -> None:
    assert not set(HINTS) & set(ALIASES)
    assert not OURS & {*HINTS, *ALIASES}, "a verb goes before both"
