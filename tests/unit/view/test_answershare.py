"""One guest's share of the processor."""

from insula.view.answershare import SHARE, AnswerShare


def test_who_asks_now_and_then_never_rests() -> None:
    share = AnswerShare(now=0.0)
    assert all(share.spend(0.001, moment * 0.1) == 0.0 for moment in range(1000))


def test_who_asks_all_the_time_is_answered_for_its_share() -> None:
    share, now, answered = AnswerShare(now=0.0), 0.0, 0.0
    while now < 100:
        rest = share.spend(0.001, now)
        answered += 0.001
        now += 0.001 + rest
    assert SHARE * 0.9 < answered / now < SHARE * 1.1
