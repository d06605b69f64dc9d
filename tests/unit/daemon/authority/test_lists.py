"""Which calls list things: all that look for several have a line."""

import pytest

from insula.daemon.authority.lists import LISTS
from insula.daemon.dispatch.table import HANDLERS
from insula.rpc.procedures import Procedure

SEARCHED = ("domains", "networks", "nwfilters", "nwfilter_bindings", "ports")
NOT_LISTS = ("REGISTER",)
"""Registering for events is a search to libvirt, too; what is told then is screened event by event."""


def _searching() -> list[Procedure]:
    words = [f":search_{each}" for each in SEARCHED]
    return [
        row
        for row in HANDLERS
        if any(row.permissions_notation.endswith(each) for each in words)
        and not any(each in row.name for each in NOT_LISTS)
    ]


@pytest.mark.parametrize("row", _searching(), ids=lambda row: row.name)
def test_what_searches_is_filtered(row: Procedure) -> None:
    assert row in LISTS


def test_every_filter_is_of_a_call_that_is_answered() -> None:
    assert set(LISTS) <= set(HANDLERS)
