from insula.daemon.dispatch import doctorcalls, table
from insula.rpc.procedures import Insula


def test_only_who_may_change_the_host_may_have_it_examined() -> None:
    assert set(doctorcalls.HANDLERS) == {Insula.HOST_EXAMINE}
    assert doctorcalls.HANDLERS.items() <= table.HANDLERS.items()
    assert Insula.HOST_EXAMINE.permissions_notation == "connect:write"
