"""JSON from clients: whatever comes, an object or a clear refusal."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.errors import InvalidArgumentError
from insula.service.jsonrequests import SIZE_MAX, json_object


def test_an_object_comes_back() -> None:
    assert json_object('{"a": ["b"]}', "the request") == {"a": ["b"]}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[1]", "the request is no JSON object"),
        ("{", "the request is not JSON"),
        ('{"a":' * 200_000, "the request is not JSON: it is nested too deeply"),
        ("[" * 200_000, "the request is not JSON: it is nested too deeply"),
        ('{"a": ' + "9" * 100_000 + "}", "the request is not JSON"),
        ('{"a": "\\ud800"}', "half a surrogate pair"),
        (" " * (SIZE_MAX + 1), "the request has 1048577 characters, more than 1048576"),
    ],
)
def test_what_is_none_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(InvalidArgumentError, match=why):
        json_object(text, "the request")


@given(st.recursive(st.none() | st.text() | st.integers(), lambda inner: st.dictionaries(st.text(), inner)))
def test_every_object_survives(value: Any) -> None:
    if isinstance(value, dict):
        assert json_object(json.dumps(value), "it") == value


@given(st.text('{}[]",:0e\\u d', max_size=30))
def test_nothing_but_a_refusal_is_raised(text: str) -> None:
    with suppress(InvalidArgumentError):
        json_object(text, "it")
