"""Shares: no user holds more of our memory than a share, and root is not counted."""

from insula.daemon.shares import MIB, ClientShare, Shares

ALICE, BOB = 1000, 1001


def test_all_clients_of_a_user_have_one_share() -> None:
    shares = Shares(of_one_user=10 * MIB, of_all=100 * MIB)
    first, second = ClientShare(shares, ALICE), ClientShare(shares, ALICE)
    assert first.hold(6 * MIB) is None
    assert second.hold(6 * MIB) == "its user's clients hold more than 10 MiB"
    assert ClientShare(shares, BOB).hold(6 * MIB) is None


def test_what_is_given_back_may_be_held_again() -> None:
    shares = Shares(of_one_user=10 * MIB)
    first, second = ClientShare(shares, ALICE), ClientShare(shares, ALICE)
    first.hold(9 * MIB)
    first.hold(0)
    assert second.hold(9 * MIB) is None


def test_all_users_together_have_a_limit_too() -> None:
    shares = Shares(of_one_user=10 * MIB, of_all=25 * MIB)
    held = [ClientShare(shares, uid).hold(9 * MIB) for uid in (ALICE, BOB, 1002)]
    assert held == [None, None, "all users' clients together hold more than 25 MiB"]


def test_holding_less_is_never_too_much() -> None:
    shares = Shares(of_one_user=10 * MIB)
    share = ClientShare(shares, ALICE)
    assert share.hold(30 * MIB) is not None
    assert share.hold(20 * MIB) is None


def test_root_is_not_counted() -> None:
    shares = Shares(of_one_user=1, of_all=1)
    assert ClientShare(shares, 0).hold(MIB) is None
    assert ClientShare(shares, ALICE).hold(1) is None
