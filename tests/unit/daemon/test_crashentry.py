"""What comes first at a crash; where that leads is in test_crashdispatcher.py and tests/e2e/test_crashing_guests.py."""

import os
import sys
import syslog

import pytest

from insula.daemon import crashdispatcher, crashentry
from insula.engine.dump.crashgroup import NoPlaceError

ARGUMENTS = [str(os.getpid()), "0", "0", "11", "17", "-1", "host", "1", str(os.getpid())]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    texts: list[str] = []
    monkeypatch.setattr(syslog, "syslog", lambda level, text: texts.append(text))
    return texts


def test_the_group_is_joined_before_the_core_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[object] = []

    def join(pid: int) -> int:
        done.append(pid)
        return 17

    def take(words: list[str], place: int | None) -> int:
        done.append((words, place))
        return 0

    monkeypatch.setattr(sys, "argv", ["insula-coredump", *ARGUMENTS])
    monkeypatch.setattr(crashentry, "join_group", join)
    monkeypatch.setattr(crashdispatcher, "take", take)
    assert crashentry.main() == 0
    assert done == [os.getpid(), (ARGUMENTS, 17)]


def test_a_core_without_a_place_is_dropped_and_said_to_be(monkeypatch: pytest.MonkeyPatch, told: list[str]) -> None:
    def join(pid: int) -> int:
        raise NoPlaceError("other cores of its guest are being kept")

    monkeypatch.setattr(sys, "argv", ["insula-coredump", *ARGUMENTS])
    monkeypatch.setattr(crashentry, "join_group", join)
    assert crashentry.main() == 1
    assert told == [f"process {os.getpid()}: its core is dropped: other cores of its guest are being kept"]


def test_a_process_that_is_gone_is_said_to_be(monkeypatch: pytest.MonkeyPatch, told: list[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["insula-coredump", str(2**22 + 1), *ARGUMENTS[1:]])
    assert crashentry.main() == 1
    assert "its core is dropped: [Errno 2]" in told[0]


def test_what_the_kernel_does_not_say_is_refused(monkeypatch: pytest.MonkeyPatch, told: list[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["insula-coredump", "x"])
    assert crashentry.main() == 1
    assert "1 arguments came" in told[0]
