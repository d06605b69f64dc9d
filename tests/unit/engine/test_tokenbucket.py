"""An allowance lets bursts pass, and in the long run no more than its rate."""

from hypothesis import given
from hypothesis import strategies as st

from insula.engine.tokenbucket import SHORTEST_PAUSE, TokenBucket


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=200))
def test_who_pauses_as_told_never_has_more_than_the_burst_and_the_rate(pieces: list[int]) -> None:
    clock = Clock()
    allowance = TokenBucket(1000, 5000, clock=clock)
    taken = 0
    for piece in pieces:
        taken += piece
        clock.now += allowance.take(piece)
        assert taken <= 5000 + clock.now * 1000 + 1


def test_a_quiet_time_gives_the_burst_back_and_no_more() -> None:
    clock = Clock()
    allowance = TokenBucket(1000, 5000, clock=clock)
    assert allowance.take(4999) == 0
    assert allowance.take(1) == SHORTEST_PAUSE
    clock.now = 1e6
    assert allowance.take(4999) == 0
    assert allowance.take(2001) == 2.0
