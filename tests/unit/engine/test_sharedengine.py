"""The engine that containers share, over engines that only pretend."""

import os

import pytest

from insula.engine import sharedengine
from insula.engine.sharedengine import SharedEngine


class Made:
    """An engine."""

    def __init__(self) -> None:
        self.works = True
        self.closed = False

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> SharedEngine:
    monkeypatch.setattr(sharedengine, "Engine", Made)
    return SharedEngine()


def test_there_is_one_for_all_until_it_is_closed(shared: SharedEngine) -> None:
    first = shared.get()
    assert shared.get() is first
    shared.close()
    assert first.closed  # type: ignore[attr-defined]
    assert shared.get() is not first
    shared.close()


def test_one_whose_keeper_has_died_is_replaced(shared: SharedEngine) -> None:
    first = shared.get()
    first.works = False  # type: ignore[misc]
    second = shared.get()
    assert second is not first
    assert first.closed  # type: ignore[attr-defined]
    shared.close()


def test_a_fork_has_none_of_it(shared: SharedEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    first = shared.get()
    with monkeypatch.context() as fork:
        fork.setattr(os, "getpid", lambda: 1)
        shared.close()
    assert not first.closed  # type: ignore[attr-defined]
