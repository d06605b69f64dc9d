"""States, reasons and events have libvirt's numbers."""

from enum import IntEnum

import pytest

from insula.rpc.codes import domain, events
from insula.service import states

PAIRS: list[tuple[type[IntEnum], type[IntEnum]]] = [
    (states.DomainState, domain.DomainState),
    (states.RunningReason, domain.RunningReason),
    (states.PausedReason, domain.PausedReason),
    (states.ShutdownReason, domain.ShutdownReason),
    (states.ShutoffReason, domain.ShutoffReason),
    (states.CrashedReason, domain.CrashedReason),
    (states.LifecycleKind, events.LifecycleEvent),
    (states.DefinedDetail, events.DefinedDetail),
    (states.UndefinedDetail, events.UndefinedDetail),
    (states.StartedDetail, events.StartedDetail),
    (states.SuspendedDetail, events.SuspendedDetail),
    (states.ResumedDetail, events.ResumedDetail),
    (states.StoppedDetail, events.StoppedDetail),
    (states.ShutdownDetail, events.ShutdownDetail),
    (states.CrashedDetail, events.CrashedDetail),
]


@pytest.mark.parametrize(("ours", "wire"), PAIRS, ids=lambda pair: pair.__name__)
def test_every_member_has_the_number_that_goes_over_the_wire(ours: type[IntEnum], wire: type[IntEnum]) -> None:
    numbers = {each.name: each.value for each in wire}

    assert {each.name: numbers.get(each.name) for each in ours} == {each.name: each.value for each in ours}


def test_each_state_that_has_reasons_names_their_kind() -> None:
    assert set(states.REASONS) <= set(states.DomainState)
    assert states.REASONS[states.DomainState.SHUTOFF] is states.ShutoffReason
