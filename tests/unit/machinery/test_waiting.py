"""Deadlines stretch with the host, and say what they waited for."""

import os

import pytest

from tests import waiting


def test_the_first_true_value_comes_back() -> None:
    values = iter([None, 0, "there"])
    assert waiting.until(lambda: next(values), "a value") == "there"


def crowded(monkeypatch: pytest.MonkeyPatch, each: float) -> None:
    """each: how many have something to do on each processor."""
    processors = len(os.sched_getaffinity(0))
    monkeypatch.setattr(os, "getloadavg", lambda: (each * processors, 0.0, 0.0))
    monkeypatch.delenv(waiting.SCALE_VARIABLE, raising=False)


def test_a_missed_deadline_says_what_was_waited_for_and_what_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    crowded(monkeypatch, 0.5)
    with pytest.raises(TimeoutError, match=r"the guest being up did not happen within 0.05 s; last seen: \[\]"):
        waiting.until(list, "the guest being up", 0.05)


def test_deadlines_stretch_with_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(waiting.SCALE_VARIABLE, "15")
    assert waiting.scaled(2) == 30


@pytest.mark.parametrize(("each", "patience"), [(0.5, 2), (4, 8), (100, 20)])
def test_who_waits_on_a_busy_host_has_patience(monkeypatch: pytest.MonkeyPatch, each: float, patience: float) -> None:
    crowded(monkeypatch, each)
    assert waiting.patience(2) == patience
    assert waiting.scaled(2) == 2
