"""Settings of every unit test."""

import threading
from collections.abc import Iterator

import pytest

from insula.engine import threads, writers
from tests.waiting import until


@pytest.fixture(autouse=True)
def no_threads_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test's threads end with it. Others may fork, and a fork of a process with threads may wait for one for ever."""
    for each in (threads, writers):
        monkeypatch.setattr(each, "_IDLE", 0.05)
    before = set(threading.enumerate())
    yield
    until(lambda: before.issuperset(threading.enumerate()), "the end of the test's threads", seconds=20)
