"""Tests of insula.model.commandwords: shlex is the oracle."""

import shlex

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from insula.model.commandwords import words_of
from tests.growth import growth


@given(st.text("ab '\"\\\t\n#\xa0$", max_size=20))
@example("''")
@example('"\\')
@example("'\\")
@example('"a\\\\')
@example('a\\ b"c\\"d\\e"\'f\\\'')
def test_words_are_those_of_shlex(text: str) -> None:
    try:
        expected = tuple(shlex.split(text))
    except ValueError as error:
        with pytest.raises(ValueError, match=str(error).lower()):
            words_of(text)
    else:
        assert words_of(text) == expected


def test_a_long_word_takes_no_more_than_its_length() -> None:
    assert growth(lambda size: words_of(f"'{'a' * size}' {'b' * size} \"{'c' * size}\""), 100_000) < 8
