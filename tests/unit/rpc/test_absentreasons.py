"""Reasons are given for what is called so, in the words that all of our refusals have."""

import pytest

from insula.rpc.absentreasons import ABSENT_REASONS
from insula.rpc.procedures import Remote
from insula.rpc.refusals import ABSENT


def test_a_reason_is_for_a_call_of_libvirts() -> None:
    named = {row.api for row in Remote.rows.values()} | {api for each in ABSENT.values() for api in each.values()}
    assert ABSENT_REASONS.keys() <= named


@pytest.mark.parametrize("reason", sorted(set(ABSENT_REASONS.values())))
def test_a_reason_reads_as_the_end_of_an_error(reason: str) -> None:
    assert reason[0].islower() and reason[-1] not in ".!" and "\n" not in reason
