"""What a keeper finds by which name."""

from collections.abc import Iterator

import pytest

from insula.engine.keeper.held import HeldProcess
from insula.engine.keeper.heldtable import HeldTable
from insula.kernel.fds import NO_FD
from tests.unit.engine.fakes import null


@pytest.fixture
def table() -> Iterator[HeldTable]:
    made = HeldTable()
    guest = HeldProcess("u", 10, null())
    entered = HeldProcess("u", 11, null(), execution="7")
    for each in (guest, entered):
        made.add(each)
        made.know(each)
    made.add(HeldProcess("ordered", 0, NO_FD))
    yield made
    for each in (guest, entered):
        each.close()


def test_guests_are_found_by_uuid_and_who_entered_by_id(table: HeldTable) -> None:
    assert table.guests["u"].pid == 10 and table.executions["7"].pid == 11
    assert [each.pid for each in table.inside("u")] == [11]
    assert len(table) == len(table.all()) == 3


def test_children_are_found_by_pid_until_they_are_reaped(table: HeldTable) -> None:
    assert table.child(10) is table.guests["u"]
    assert table.child(12) is None
    table.guests["u"].status = 0
    assert table.child(10) is None


def test_what_is_removed_is_found_no_more_and_a_later_one_of_its_pid_is(table: HeldTable) -> None:
    entered = table.executions["7"]
    again = HeldProcess("u", 11, NO_FD, execution="8")
    table.know(again)
    table.remove(entered)
    assert "7" not in table.executions and table.child(11) is again
    guest = table.guests["u"]
    table.remove(guest)
    table.remove(guest)
    assert "u" not in table.guests and table.child(10) is None


def test_what_is_only_ordered_is_not_told_of(table: HeldTable) -> None:
    described = table.described()
    assert described["guests"] == [
        {"uuid": "u", "id": None, "pid": 10, "state": "CLONED", "status": None, "consoles": 0}
    ]
    assert [each["id"] for each in described["executions"]] == ["7"]
