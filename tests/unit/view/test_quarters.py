"""What of moving in needs no privilege; tests/system/test_view_process.py has the rest."""

import pytest

from insula.kernel.privileges import CapabilitySets
from insula.view import quarters


def test_a_view_that_was_not_executed_sealed_does_not_move_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarters, "sealed", lambda: False)
    with pytest.raises(PermissionError, match="sealing"):
        quarters.move_in()


def test_only_what_reading_needs_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = frozenset({"sys_admin", "syslog", "dac_read_search", "kill"})
    monkeypatch.setattr(
        quarters, "held", lambda: CapabilitySets(effective=everything, permitted=everything, inheritable=everything)
    )
    left: list[CapabilitySets] = []
    monkeypatch.setattr(quarters, "set_held", left.append)
    quarters.give_up_powers()
    reading = frozenset({"syslog", "dac_read_search"})
    assert left == [CapabilitySets(effective=reading, permitted=reading, inheritable=frozenset())]
