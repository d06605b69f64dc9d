"""Complaints: the log is not filled by whoever may connect."""

import asyncio

import pytest

from insula.daemon.complaints import ACCOUNTS_MOST, Complaints
from tests.waiting import patience

pytestmark = pytest.mark.asyncio


async def test_the_first_is_told_at_once_and_the_others_as_a_number(caplog: pytest.LogCaptureFixture) -> None:
    complaints = Complaints(quiet_seconds=0.05)
    for number in range(1000):
        complaints.complain(1000, f"mistake {number}")
    assert caplog.messages == ["mistake 0"]
    async with asyncio.timeout(patience(20)):
        while len(caplog.messages) < 2:  # noqa: ASYNC110 - the log is the event
            await asyncio.sleep(0.005)
    assert caplog.messages[1] == "user 1000: 999 more of the kind in 0.05 s, the last: mistake 999"


async def test_users_do_not_hide_each_others(caplog: pytest.LogCaptureFixture) -> None:
    complaints = Complaints()
    complaints.complain(1000, "mine")
    complaints.complain(1001, "yours")
    assert caplog.messages == ["mine", "yours"]


async def test_after_a_quiet_time_the_next_is_told_at_once_again(caplog: pytest.LogCaptureFixture) -> None:
    complaints = Complaints(quiet_seconds=0.01)
    complaints.complain(1000, "first")
    async with asyncio.timeout(patience(20)):
        while complaints._tallies:  # noqa: ASYNC110 - a timer is the event
            await asyncio.sleep(0.005)
    complaints.complain(1000, "second")
    assert caplog.messages == ["first", "second"]


async def test_who_comes_from_everywhere_fills_no_log_either(caplog: pytest.LogCaptureFixture) -> None:
    complaints = Complaints(quiet_seconds=0.05)
    for number in range(10 * ACCOUNTS_MOST):
        complaints.complain(f"at 2001:db8:0:{number:x}::/64", f"mistake {number}")
    assert len(caplog.messages) == ACCOUNTS_MOST + 1
    async with asyncio.timeout(patience(20)):
        while len(caplog.messages) < ACCOUNTS_MOST + 2:  # noqa: ASYNC110 - the log is the event
            await asyncio.sleep(0.005)
    assert caplog.messages[-1].startswith(f"user of others: {9 * ACCOUNTS_MOST - 1} more of the kind")
