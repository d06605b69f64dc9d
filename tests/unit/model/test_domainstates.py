"""States, reasons and events have libvirt's own names and numbers."""

from enum import IntEnum, IntFlag

import pytest

from insula.model import domainstates
from tests.unit.rpc.codes.constants import differences

PREFIXES: dict[type[IntEnum | IntFlag], str] = {
    domainstates.DomainState: "VIR_DOMAIN_",
    domainstates.RunningReason: "VIR_DOMAIN_RUNNING_",
    domainstates.PausedReason: "VIR_DOMAIN_PAUSED_",
    domainstates.ShutdownReason: "VIR_DOMAIN_SHUTDOWN_",
    domainstates.ShutoffReason: "VIR_DOMAIN_SHUTOFF_",
    domainstates.CrashedReason: "VIR_DOMAIN_CRASHED_",
    domainstates.LifecycleKind: "VIR_DOMAIN_EVENT_",
    domainstates.DefinedDetail: "VIR_DOMAIN_EVENT_DEFINED_",
    domainstates.UndefinedDetail: "VIR_DOMAIN_EVENT_UNDEFINED_",
    domainstates.StartedDetail: "VIR_DOMAIN_EVENT_STARTED_",
    domainstates.SuspendedDetail: "VIR_DOMAIN_EVENT_SUSPENDED_",
    domainstates.ResumedDetail: "VIR_DOMAIN_EVENT_RESUMED_",
    domainstates.StoppedDetail: "VIR_DOMAIN_EVENT_STOPPED_",
    domainstates.ShutdownDetail: "VIR_DOMAIN_EVENT_SHUTDOWN_",
    domainstates.CrashedDetail: "VIR_DOMAIN_EVENT_CRASHED_",
}


@pytest.mark.requires("libvirt-python")
@pytest.mark.parametrize(("kind", "prefix"), PREFIXES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_names_and_numbers_are_libvirts(kind: type[IntEnum | IntFlag], prefix: str) -> None:
    assert len(kind) > 0
    assert differences(kind, prefix) == {}


def test_each_state_that_has_reasons_names_their_kind() -> None:
    assert set(domainstates.REASONS) <= set(domainstates.DomainState)
    assert domainstates.REASONS[domainstates.DomainState.SHUTOFF] is domainstates.ShutoffReason


def test_every_happening_has_its_transition_and_every_start_can_end() -> None:
    assert set(domainstates.TRANSITIONS) == set(domainstates.Happening)
    reached = {each.after.state for each in domainstates.TRANSITIONS.values()} | {domainstates.DomainState.SHUTOFF}
    for state in reached:
        ways = {each.after.state for each in domainstates.TRANSITIONS.values() if state in each.before}
        assert ways & {domainstates.DomainState.SHUTOFF, domainstates.DomainState.CRASHED}


def test_a_reason_fits_its_state_and_a_detail_its_event() -> None:
    kinds = {
        domainstates.LifecycleKind.STARTED: domainstates.StartedDetail,
        domainstates.LifecycleKind.SUSPENDED: domainstates.SuspendedDetail,
        domainstates.LifecycleKind.RESUMED: domainstates.ResumedDetail,
        domainstates.LifecycleKind.STOPPED: domainstates.StoppedDetail,
    }
    for transition in domainstates.TRANSITIONS.values():
        assert isinstance(transition.after.reason, domainstates.REASONS[transition.after.state])
        assert all(isinstance(detail, kinds[kind]) for kind, detail in transition.told)
