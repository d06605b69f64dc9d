"""Free ranges are found in order, and what was passed by is passed by at once."""

from collections.abc import Collection

from hypothesis import given
from hypothesis import strategies as st

from insula.storage.idpools import SIZE, common
from insula.storage.idslots import SlotSearch

POOL = range(SIZE * 10, SIZE * 18)


def slot(number: int) -> range:
    return range(POOL.start + number * SIZE, POOL.start + (number + 1) * SIZE)


@given(st.lists(st.tuples(st.integers(9 * SIZE, 19 * SIZE), st.integers(1, 2 * SIZE))), st.integers(0, 7))
def test_exactly_those_slots_are_found_that_nothing_touches(taken: list[tuple[int, int]], begin: int) -> None:
    ranges = [range(start, start + count) for start, count in taken]
    found = list(SlotSearch(begin=lambda count: begin).resume("seen", [POOL], lambda: ranges))
    order = [slot((begin + number) % 8) for number in range(8)]
    assert found == [each for each in order if not any(common(each, other) for other in ranges)]


@given(st.sets(st.integers(0, 7)), st.integers(0, 7), st.integers(1, 3))
def test_wide_ranges_are_free_apart_and_inside_the_pool(busy: set[int], begin: int, width: int) -> None:
    taken = [slot(number) for number in busy]
    found = list(SlotSearch(begin=lambda count: begin, width=width).resume("seen", [POOL], lambda: taken))
    for number, each in enumerate(found):
        assert len(each) == width * SIZE and common(each, POOL) == each
        assert not any(common(each, other) for other in (*taken, *found[:number]))
    if not busy:
        assert len(found) == (8 - begin) // width + begin // width


def test_a_search_goes_on_behind_what_was_given_out() -> None:
    search = SlotSearch(begin=lambda count: 0)
    asked = []

    def taken() -> Collection[range]:
        asked.append(1)
        return [slot(0)]

    assert next(search.resume(1, [POOL], taken)) == slot(1)
    search.keep(2)
    assert next(search.resume(2, [POOL], taken)) == slot(2)
    assert len(asked) == 1


def test_a_search_begins_anew_when_something_else_has_changed() -> None:
    search = SlotSearch(begin=lambda count: 0)
    assert next(search.resume(1, [POOL], list)) == slot(0)
    search.keep(2)
    assert next(search.resume(3, [POOL], lambda: [slot(1)])) == slot(0)


def test_what_was_found_and_not_given_out_is_found_again() -> None:
    search = SlotSearch(begin=lambda count: 0)
    assert next(search.resume(1, [POOL], list)) == slot(0)
    assert next(search.resume(1, [POOL], list)) == slot(0)
