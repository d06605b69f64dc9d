"""What is to be done about a network of the daemon before follows from its record, the boot, and its definition."""

import pytest

from insula.network.virtual.networkrecord import NetworkRecord
from insula.service.networkrecovery import ClearNetwork, ForgetNetwork, SettleNetwork, ShowNetwork, decide_networks
from insula.service.networkruns import NetworkRun, RecordedNetworks
from insula.service.runrecord import RunPhase
from tests.unit.service.networksofrig import LAN, network


def run(phase: RunPhase, boot: str = "now") -> NetworkRun:
    return NetworkRun(
        boot_id=boot, phase=phase, begun=0, network=network(), record=NetworkRecord(name="lan", uuid=str(LAN))
    )


@pytest.mark.parametrize("phase", RunPhase)
def test_of_another_boot_nothing_is_left(phase: RunPhase) -> None:
    before = run(phase, "before")
    assert decide_networks(RecordedNetworks(runs=(before,)), boot_id="now", defined=()) == (ForgetNetwork(run=before),)


def test_an_active_one_is_settled() -> None:
    active = run(RunPhase.RUNNING)
    assert decide_networks(RecordedNetworks(runs=(active,)), boot_id="now", defined=[LAN]) == (
        SettleNetwork(run=active),
    )


@pytest.mark.parametrize("phase", [RunPhase.STARTING, RunPhase.ENDING])
@pytest.mark.parametrize("defined", [True, False])
def test_what_was_cut_short_is_cleared_away(phase: RunPhase, defined: bool) -> None:
    cut = run(phase)
    action = ClearNetwork(run=cut, defined=defined)
    assert decide_networks(RecordedNetworks(runs=(cut,)), boot_id="now", defined=[LAN] if defined else []) == (action,)


def test_one_that_is_there_and_has_no_record_is_shown() -> None:
    found = network(), NetworkRecord(name="virbr0", uuid=str(LAN))
    for defined in (True, False):
        shown = ShowNetwork(found=found[0], record=found[1], defined=defined)
        known = [LAN] if defined else []
        assert decide_networks(RecordedNetworks(), boot_id="now", defined=known, found=[found]) == (shown,)


def test_what_a_record_tells_of_counts_before_what_is_found() -> None:
    found = network(), NetworkRecord(name="virbr0", uuid=str(LAN))
    cut = run(RunPhase.ENDING)
    action = ClearNetwork(run=cut, defined=False)
    assert decide_networks(RecordedNetworks(runs=(cut,)), boot_id="now", defined=[], found=[found]) == (action,)
    later = RecordedNetworks(later=frozenset({str(LAN)}))
    assert decide_networks(later, boot_id="now", defined=[LAN], found=[found]) == ()
