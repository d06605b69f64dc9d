"""Tests of insula.engine.launch.pids."""

import os

import pytest

from insula.engine.launch.pids import Pids


def test_numbers_are_free_ascending_and_never_repeated_soon() -> None:
    numbering = Pids(32768)
    numbers = [numbering.next() for _ in range(50)]
    assert len(set(numbers)) == 50
    assert not any(os.path.exists(f"/proc/{number}") for number in numbers)


def test_taken_numbers_are_passed_over_and_the_end_goes_back_to_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "exists", lambda path: path != "/proc/301")
    assert [Pids(305).next() for _ in range(2)] == [301, 301]


def test_a_full_host_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "exists", lambda _: True)
    with pytest.raises(OSError, match="every pid of the host is taken"):
        Pids(400).next()


def test_numbers_stay_below_the_hosts_highest_and_above_the_reserved() -> None:
    numbering = Pids(310)
    assert all(300 <= numbering.next() < 310 for _ in range(30))
