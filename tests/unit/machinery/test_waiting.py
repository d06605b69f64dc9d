"""Deadlines stretch with the host, and say what they waited for."""

import pytest

from tests import waiting


def test_the_first_true_value_comes_back() -> None:
    values = iter([None, 0, "there"])
    assert waiting.until(lambda: next(values), "a value") == "there"


def test_a_missed_deadline_says_what_was_waited_for_and_what_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(waiting.SCALE_VARIABLE, raising=False)
    with pytest.raises(TimeoutError, match=r"the guest being up did not happen within 0.05 s; last seen: \[\]"):
        waiting.until(list, "the guest being up", 0.05)


def test_deadlines_stretch_with_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(waiting.SCALE_VARIABLE, "15")
    assert waiting.scaled(2) == 30
