"""Fields of requests: what is taken, and what is refused with its name."""

from typing import Any

import pytest

from insula.engine.keeper.clients import RefusalError
from insula.engine.keeper.protocol import Message
from insula.engine.keeper.requestfields import boolean, name_of, number_of, seconds_of


def request(value: Any) -> Message:
    return Message({"field": value, "seconds": value}, {})


@pytest.mark.parametrize("value", ["u", "c7a5fdbd-cdaf-9455-926a-d65c16db1809", "1700000000", "ä"])
def test_a_name_is_taken_as_it_is(value: str) -> None:
    assert name_of(request(value), "field") == value


@pytest.mark.parametrize("value", ["", ".", "..", "../x", "a/b", "a\0b", "a\nb", "x" * 201, "\ud800", 1, None, [], {}])
def test_what_could_not_be_the_name_of_a_file_is_refused(value: Any) -> None:
    with pytest.raises(RefusalError, match="field is to be a "):
        name_of(request(value), "field")


def test_a_field_that_is_missing_is_named() -> None:
    with pytest.raises(KeyError, match="other"):
        name_of(request("u"), "other")


@pytest.mark.parametrize("value", [0, 1, (1 << 63) - 1])
def test_a_number_is_taken_as_it_is(value: int) -> None:
    assert number_of(request(value), "field") == value


@pytest.mark.parametrize("value", [-1, 1 << 63, 10**400, True, 1.5, "1", None, [1]])
def test_what_is_no_number_of_the_kernels_is_refused(value: Any) -> None:
    with pytest.raises(RefusalError, match="field is to be a number"):
        number_of(request(value), "field")


def test_a_time_that_is_not_said_is_the_usual_one() -> None:
    assert seconds_of(Message({}, {}), 30.0) == 30.0
    assert seconds_of(request(2), 30.0) == 2.0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, True, "1", None, []])
def test_a_time_that_never_comes_is_refused(value: Any) -> None:
    with pytest.raises(RefusalError, match="seconds is to be a time"):
        seconds_of(request(value), 30.0)


def test_true_and_false_are_no_numbers() -> None:
    assert boolean(request(False), "field", default=True) is False
    assert boolean(Message({}, {}), "field", default=True) is True
    with pytest.raises(RefusalError, match="field is to be true or false"):
        boolean(request(1), "field", default=True)
