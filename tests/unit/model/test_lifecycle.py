"""States, reasons and events have libvirt's own names and numbers."""

from enum import IntEnum, IntFlag

import pytest

from insula.model import lifecycle
from tests.unit.rpc.codes.constants import differences

PREFIXES: dict[type[IntEnum | IntFlag], str] = {
    lifecycle.DomainState: "VIR_DOMAIN_",
    lifecycle.RunningReason: "VIR_DOMAIN_RUNNING_",
    lifecycle.PausedReason: "VIR_DOMAIN_PAUSED_",
    lifecycle.ShutdownReason: "VIR_DOMAIN_SHUTDOWN_",
    lifecycle.ShutoffReason: "VIR_DOMAIN_SHUTOFF_",
    lifecycle.CrashedReason: "VIR_DOMAIN_CRASHED_",
    lifecycle.LifecycleKind: "VIR_DOMAIN_EVENT_",
    lifecycle.DefinedDetail: "VIR_DOMAIN_EVENT_DEFINED_",
    lifecycle.UndefinedDetail: "VIR_DOMAIN_EVENT_UNDEFINED_",
    lifecycle.StartedDetail: "VIR_DOMAIN_EVENT_STARTED_",
    lifecycle.SuspendedDetail: "VIR_DOMAIN_EVENT_SUSPENDED_",
    lifecycle.ResumedDetail: "VIR_DOMAIN_EVENT_RESUMED_",
    lifecycle.StoppedDetail: "VIR_DOMAIN_EVENT_STOPPED_",
    lifecycle.ShutdownDetail: "VIR_DOMAIN_EVENT_SHUTDOWN_",
    lifecycle.CrashedDetail: "VIR_DOMAIN_EVENT_CRASHED_",
}


@pytest.mark.requires("libvirt-python")
@pytest.mark.parametrize(("kind", "prefix"), PREFIXES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_names_and_numbers_are_libvirts(kind: type[IntEnum | IntFlag], prefix: str) -> None:
    assert len(kind) > 0
    assert differences(kind, prefix) == {}


def test_each_state_that_has_reasons_names_their_kind() -> None:
    assert set(lifecycle.REASONS) <= set(lifecycle.DomainState)
    assert lifecycle.REASONS[lifecycle.DomainState.SHUTOFF] is lifecycle.ShutoffReason


def test_every_happening_has_its_transition_and_every_start_can_end() -> None:
    assert set(lifecycle.TRANSITIONS) == set(lifecycle.Happening)
    reached = {each.after.state for each in lifecycle.TRANSITIONS.values()} | {lifecycle.DomainState.SHUTOFF}
    for state in reached:
        ways = {each.after.state for each in lifecycle.TRANSITIONS.values() if state in each.before}
        assert ways & {lifecycle.DomainState.SHUTOFF, lifecycle.DomainState.CRASHED}


def test_a_reason_fits_its_state_and_a_detail_its_event() -> None:
    kinds = {
        lifecycle.LifecycleKind.STARTED: lifecycle.StartedDetail,
        lifecycle.LifecycleKind.SUSPENDED: lifecycle.SuspendedDetail,
        lifecycle.LifecycleKind.RESUMED: lifecycle.ResumedDetail,
        lifecycle.LifecycleKind.STOPPED: lifecycle.StoppedDetail,
    }
    for transition in lifecycle.TRANSITIONS.values():
        assert isinstance(transition.after.reason, lifecycle.REASONS[transition.after.state])
        assert all(isinstance(detail, kinds[kind]) for kind, detail in transition.told)
