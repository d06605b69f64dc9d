"""How a guest is, as it is told."""

from insula.service.guestcondition import GuestCondition, Health


def test_a_condition_is_told_as_json_values() -> None:
    assert GuestCondition().described() == {"state": "starting", "failures": 0, "says": None, "restart_at": None}
    told = GuestCondition(health=Health.UNHEALTHY, failures=3, says="no", restart_at=1.5).described()
    assert told == {"state": "unhealthy", "failures": 3, "says": "no", "restart_at": 1_500_000_000}
