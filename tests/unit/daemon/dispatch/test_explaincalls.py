import pytest

from insula.daemon.dispatch import explaincalls, table
from insula.daemon.dispatch.nativecalls import HANDLERS as NATIVE
from insula.rpc.procedures import Insula


def test_our_calls_are_answered() -> None:
    assert set(explaincalls.HANDLERS) == {Insula.EXEC_EXPLANATION, Insula.DOMAIN_CONFINEMENT}
    assert explaincalls.HANDLERS.items() <= table.HANDLERS.items()


@pytest.mark.parametrize("row", explaincalls.HANDLERS, ids=str)
def test_who_may_execute_may_have_it_explained(row: object) -> None:
    (execute,) = (each for each in NATIVE if each is Insula.DOMAIN_EXEC)
    assert getattr(row, "permissions_notation", None) == execute.permissions_notation


def test_waiting_for_an_explanation_takes_no_other_calls_turn() -> None:
    assert Insula.EXEC_EXPLANATION in table.WAITING
