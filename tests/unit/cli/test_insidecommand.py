"""What is meant is told from what happened to come: keys and interrupts that are repeated."""

import pytest

from insula.cli import insidecommand
from insula.cli.insidecommand import Insistence


def test_three_within_a_second_are_meant() -> None:
    insistence = Insistence()
    assert [insistence.again() for _ in range(3)] == [False, False, True]
    assert Insistence().again(3)


def test_what_comes_now_and_then_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(insidecommand, "_WITHIN", -1.0)  # each is too late for the one before
    insistence = Insistence()
    assert [insistence.again() for _ in range(5)] == [False] * 5
