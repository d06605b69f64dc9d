"""How long a guest's processors worked: never backwards, never more than there was."""

from array import array

from hypothesis import given, settings
from hypothesis import strategies as st

from insula.view.processortimes import CELLS, GroupTimes, ProcessorTime, ProcessorTimes
from tests.examples import FEW, examples

SECOND = 1_000_000_000


def total(user: int = 0, system: int = 0, stolen: int = 0) -> GroupTimes:
    return GroupTimes(user=user, system=system, stolen=stolen, each={})


def test_what_nobody_counts_apart_is_spread_over_the_guests_processors() -> None:
    times = ProcessorTimes(possible=8)
    times.advance(10 * SECOND, (3, 5), total(user=4 * SECOND, system=2 * SECOND))
    for number in (3, 5):
        assert times.of(number) == ProcessorTime(2 * SECOND, SECOND, 7 * SECOND, 0)
    assert times.of(4) == ProcessorTime(0, 0, 0, 0)
    assert times.whole() == ProcessorTime(4 * SECOND, 2 * SECOND, 14 * SECOND, 0)


def test_what_is_counted_apart_is_told_apart() -> None:
    times = ProcessorTimes(possible=2)
    each = {0: (SECOND, 0, SECOND), 1: (2 * SECOND, SECOND, 3 * SECOND)}
    times.advance(5 * SECOND, (0, 1), GroupTimes(user=3 * SECOND, system=SECOND, each=each))
    assert times.of(0) == ProcessorTime(SECOND, 0, 4 * SECOND, 0)
    assert times.of(1) == ProcessorTime(2 * SECOND, SECOND, 2 * SECOND, 0)


def test_what_was_worked_is_exact_and_ticks_only_divide_it() -> None:
    times = ProcessorTimes(possible=1)
    for elapsed, user, system, worked in ((5, 1, 3, 8), (9, 1, 3, 12), (20, 2, 3, 16)):
        each = {0: (user * SECOND, system * SECOND, worked * SECOND // 4)}
        times.advance(elapsed * SECOND, (0,), GroupTimes(user=0, system=0, each=each))
    # 2 s of which a quarter met programs; 1 s without any tick; 1 s with a tick that met programs
    assert times.of(0) == ProcessorTime(5 * SECOND // 2, 3 * SECOND // 2, 16 * SECOND, 0)


def test_what_a_quota_held_back_is_stolen_and_not_idle() -> None:
    times = ProcessorTimes(possible=1)
    times.advance(10 * SECOND, (0,), total(user=4 * SECOND, stolen=5 * SECOND))
    assert times.of(0) == ProcessorTime(4 * SECOND, 0, SECOND, 5 * SECOND)


def test_more_stolen_than_there_was_is_cut() -> None:
    times = ProcessorTimes(possible=1)
    times.advance(10 * SECOND, (0,), total(user=4 * SECOND, stolen=50 * SECOND))
    assert times.of(0) == ProcessorTime(4 * SECOND, 0, 0, 6 * SECOND)


def test_a_processor_that_leaves_stands_still_and_one_that_comes_begins_then() -> None:
    times = ProcessorTimes(possible=2)
    times.advance(10 * SECOND, (0,), total(user=2 * SECOND))
    before = times.of(0)
    times.advance(20 * SECOND, (1,), total(user=5 * SECOND))
    assert times.of(0) == before
    assert times.of(1) == ProcessorTime(3 * SECOND, 0, 7 * SECOND, 0)


def test_the_next_view_goes_on_where_the_last_one_was() -> None:
    cells = array("Q", bytes(8 * CELLS))
    first = ProcessorTimes(cells, 2)
    first.advance(10 * SECOND, (0, 1), total(user=2 * SECOND))
    told = first.whole()
    second = ProcessorTimes(cells, 2)
    assert second.whole() == told
    second.advance(10 * SECOND, (0, 1), total(user=2 * SECOND))
    assert second.whole() == told


def test_a_host_with_more_processors_than_fit_is_served_too() -> None:
    times = ProcessorTimes(array("Q", bytes(8 * CELLS)), 4096)
    times.advance(SECOND, (4095,), total(user=SECOND // 2))
    assert times.of(4095).idle == SECOND // 2


STEPS = st.lists(
    st.tuples(
        st.integers(0, 5 * SECOND),
        st.sets(st.integers(0, 3), min_size=1),
        st.integers(0, 20 * SECOND),
        st.integers(0, 20 * SECOND),
        st.integers(0, 20 * SECOND),
        st.booleans(),
    ),
    max_size=20,
)


@settings(max_examples=examples(FEW))
@given(STEPS)
def test_nothing_goes_backwards_whatever_is_read(
    steps: list[tuple[int, set[int], int, int, int, bool]],
) -> None:
    times, elapsed = ProcessorTimes(possible=4), 0
    before = [times.of(number) for number in range(4)]
    for passed, present, user, system, stolen, apart in steps:
        elapsed += passed
        each = dict.fromkeys(range(4), (user // 4, system // 4, (user + system) // 5)) if apart else {}
        times.advance(elapsed, tuple(sorted(present)), GroupTimes(user=user, system=system, stolen=stolen, each=each))
        after = [times.of(number) for number in range(4)]
        for old, new in zip(before, after, strict=True):
            assert all(getattr(new, name) >= getattr(old, name) for name in ("user", "system", "idle", "stolen"))
            assert new.idle + new.stolen <= elapsed
        assert times.whole().user == sum(each.user for each in after)
        before = after
