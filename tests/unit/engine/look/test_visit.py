"""What a visitor may do; guests are visited in tests/system."""

from insula.engine.look.visit import ENTERING, VISITING
from insula.kernel.privileges import CAPABILITIES


def test_who_visits_has_no_more_than_the_guests_root_once_it_is_there() -> None:
    assert VISITING < ENTERING <= frozenset(CAPABILITIES)
    assert "sys_admin" not in VISITING
