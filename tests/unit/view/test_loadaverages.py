"""Load averages, against the kernel's formula in floating point."""

import math

import pytest

from insula.view.loadaverages import CELLS, INTERVAL, LoadAverages

START = 1_000 * INTERVAL


def sampled(actives: list[int]) -> list[float]:
    averages = LoadAverages()
    for index, active in enumerate(actives):
        averages.sample(START + index * INTERVAL, active)
    return [float(text) for text in averages.texts()]


def expected(actives: list[int], minutes: int) -> float:
    load, decay = 0.0, math.exp(-5 / (60 * minutes))
    for active in actives:
        load = load * decay + active * (1 - decay)
    return load


@pytest.mark.parametrize("actives", [[3] * 12, [8] * 60 + [0] * 24, [1, 0] * 40, [0] * 10])
def test_they_are_those_of_the_definition(actives: list[int]) -> None:
    for told, minutes in zip(sampled(actives), (1, 5, 15), strict=True):
        assert told == pytest.approx(expected(actives, minutes), abs=0.06)


def test_samples_that_were_missed_count_as_the_one_that_follows() -> None:
    averages = LoadAverages()
    averages.sample(START, 4)
    averages.sample(START + 24 * INTERVAL, 4)
    assert [float(each) for each in averages.texts()] == pytest.approx(sampled([4] * 25), abs=0.05)


def test_a_sample_before_its_time_changes_nothing() -> None:
    averages = LoadAverages()
    averages.sample(START, 4)
    told = averages.texts()
    averages.sample(START + INTERVAL - 1, 400)
    assert averages.texts() == told
    assert averages.due == START + INTERVAL


def test_a_first_sample_is_due_at_once() -> None:
    assert LoadAverages().due == 0


def test_the_next_view_goes_on_with_them() -> None:
    cells = [0] * CELLS
    first = LoadAverages(cells)
    first.sample(START, 7)
    first.saw_pid(4711)
    second = LoadAverages(cells)
    assert second.texts() == first.texts()
    assert (second.due, second.last_pid) == (first.due, 4711)


def test_a_view_that_was_away_for_days_forgets_what_was_before() -> None:
    averages = LoadAverages()
    averages.sample(START, 100)
    averages.sample(START + 100_000 * INTERVAL, 0)
    assert averages.texts() == ("0.00", "0.00", "0.00")


def test_the_highest_process_number_counts() -> None:
    averages = LoadAverages()
    averages.saw_pid(20)
    averages.saw_pid(7)
    assert averages.last_pid == 20
