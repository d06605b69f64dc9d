"""The countdown of 5 seconds times 5, on a clock that the test turns."""

from insula.rpc.keepalive import Countdown, Due


def test_nothing_is_due_before_the_interval_is_over() -> None:
    watch = Countdown(now=100.0, interval=5, count=5)
    assert watch.deadline == 105.0
    assert watch.due(104.9) is Due.NOTHING
    assert watch.due(105.0) is Due.PING


def test_a_silent_peer_gets_count_pings_and_is_dead_one_interval_after_the_last() -> None:
    watch = Countdown(now=0.0, interval=5, count=3)
    assert [watch.due(now) for now in (5.0, 10.0, 15.0, 19.9, 20.0)] == [
        Due.PING,
        Due.PING,
        Due.PING,
        Due.NOTHING,
        Due.DEATH,
    ]


def test_any_packet_starts_the_count_anew() -> None:
    watch = Countdown(now=0.0, interval=5, count=1)
    assert watch.due(5.0) is Due.PING
    watch.heard(9.0)
    assert watch.deadline == 14.0
    assert watch.due(10.0) is Due.NOTHING
    assert watch.due(14.0) is Due.PING
    assert watch.due(19.0) is Due.DEATH


def test_a_ping_is_due_an_interval_after_the_one_before() -> None:
    watch = Countdown(now=0.0, interval=5, count=5)
    assert watch.due(7.0) is Due.PING
    assert watch.deadline == 12.0


def test_no_ping_at_all_means_death_after_one_interval() -> None:
    assert Countdown(now=0.0, interval=5, count=0).due(5.0) is Due.DEATH
