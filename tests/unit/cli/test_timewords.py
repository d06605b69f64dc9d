"""A moment as people type it."""

import argparse
import time

import pytest

from insula.cli.timewords import moment_of, since


def _here(day: int, hour: int = 0, minute: int = 0, second: int = 0) -> float:
    return time.mktime((2026, 11, day, hour, minute, second, 0, 0, -1))


NOW = _here(30, 14, 5, 6) + 0.5


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("90s", 90),
        ("10m", 600),
        ("10min", 600),
        ("1h30m", 5400),
        ("1h 30m ago", 5400),
        ("-2h", 7200),
        ("2d", 172800),
        ("1w", 604800),
        ("now", 0),
    ],
)
def test_how_long_ago_counts_from_now(text: str, ago: float) -> None:
    assert moment_of(text, NOW) == NOW - ago


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("today", _here(30)),
        ("yesterday", _here(29)),
        ("9:30", _here(30, 9, 30)),
        ("14:05:06", _here(30, 14, 5, 6)),
        ("2026-11-29", _here(29)),
        ("2026-11-29 23:00", _here(29, 23)),
        ("2026-11-29T23:00:01", _here(29, 23, 0, 1)),
    ],
)
def test_dates_and_times_are_those_of_the_place(text: str, moment: float) -> None:
    assert moment_of(text, NOW) == moment


def test_what_names_its_zone_or_the_epoch_is_taken_by_it() -> None:
    assert moment_of("2026-11-30T00:00:00Z", NOW) == 1795996800
    assert moment_of("2026-11-30T01:00:00.5+01:00", NOW) == 1795996800.5
    assert moment_of("@1795996800.25", NOW) == 1795996800.25


def test_more_than_there_has_been_is_all() -> None:
    assert moment_of("99999w", NOW) == 0


@pytest.mark.parametrize("text", ["", "soon", "10", "25:00", "2026-13-01", "10m5", "m", "@", "9999999999999999999w"])
def test_anything_else_is_refused_with_what_there_is(text: str) -> None:
    if text.endswith("w"):
        assert since(text) == 0
        return
    with pytest.raises(argparse.ArgumentTypeError, match=r"is no time: give how long ago, such as 10m"):
        since(text)
