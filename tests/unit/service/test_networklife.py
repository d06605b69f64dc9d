"""What a network is, is written down before it is made; what fails half way is taken back, or told."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from insula.errors import OperationFailedError
from insula.model.network import NetworkDefinition
from insula.model.numbers import Affect, MetadataType
from insula.network.virtual.networkrecord import NetworkRecord
from insula.service.networkruns import NetworkRuns
from insula.service.runrecord import RunPhase
from tests import hosts
from tests.unit.service.fakes import Rig
from tests.unit.service.followeddevices import FollowedDevices
from tests.unit.service.networksofrig import LAN, kinds, network, started, verbs_of

NETWORK_STRIDE = 1 if hosts.full() else 9
"""From one change that is met to the next: each of them is a daemon's whole life."""


@pytest.mark.timeout(1200)
def test_a_daemon_killed_before_any_change_is_succeeded_without_loss_of_a_network(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.service.networkkilling", str(tmp_path), str(NETWORK_STRIDE)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 80, "the life has become too short to prove anything"


def recorded(rig: Rig) -> list[tuple[RunPhase, str | None]]:
    """The records on the disk: where each run stands, and by which bridge."""
    return [(each.phase, each.record.bridge) for each in NetworkRuns(rig.layout.running_networks).load().runs]


@pytest.mark.asyncio
async def test_a_run_is_recorded_before_the_network_is_made(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[RunPhase, str | None]] = []
    start = rig.performer.start

    def looked(network: NetworkDefinition, record: NetworkRecord) -> NetworkRecord:
        seen.extend(recorded(rig))
        return start(network, record)

    monkeypatch.setattr(rig.performer, "start", looked)
    await started(rig)
    assert seen == [(RunPhase.STARTING, "virbr0")]
    assert recorded(rig) == [(RunPhase.RUNNING, "virbr0")]


@pytest.mark.asyncio
async def test_a_stop_is_recorded_before_anything_is_taken_away(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    managed = await started(rig)
    seen: list[tuple[RunPhase, str | None]] = []
    stop = rig.performer.stop

    def looked(record: NetworkRecord) -> None:
        seen.extend(recorded(rig))
        stop(record)

    monkeypatch.setattr(rig.performer, "stop", looked)
    await verbs_of(rig).destroy(managed)
    assert seen == [(RunPhase.ENDING, "virbr0")]
    assert recorded(rig) == []


@pytest.mark.asyncio
async def test_a_start_that_fails_leaves_nothing_and_can_be_tried_again(rig: Rig) -> None:
    managed = await verbs_of(rig).define(network())
    rig.performer.refusals["start"] = "no bridge can be made"
    with pytest.raises(OperationFailedError, match="network 'lan': no bridge can be made"):
        await verbs_of(rig).start(managed)
    assert (managed.is_active, recorded(rig), kinds(rig)) == (False, [], ["lan DEFINED"])
    rig.performer.refusals.clear()
    await verbs_of(rig).start(managed)
    assert managed.is_active


@pytest.mark.asyncio
async def test_what_a_failed_start_left_is_taken_away_before_the_next(rig: Rig) -> None:
    managed = await verbs_of(rig).define(network())
    rig.performer.refusals |= {"start": "no bridge can be made", "stop": "it is busy"}
    with pytest.raises(OperationFailedError, match="no bridge can be made"):
        await verbs_of(rig).start(managed)
    assert recorded(rig) == [(RunPhase.STARTING, "virbr0")]
    del rig.performer.refusals["start"]
    with pytest.raises(OperationFailedError, match="it is busy"):
        await verbs_of(rig).start(managed)
    rig.performer.refusals.clear()
    await verbs_of(rig).start(managed)
    assert recorded(rig) == [(RunPhase.RUNNING, "virbr0")]


@pytest.mark.asyncio
async def test_what_cannot_be_written_down_is_not_made(rig: Rig) -> None:
    managed = await verbs_of(rig).define(network())
    shutil.rmtree(rig.layout.running_networks, ignore_errors=True)
    rig.layout.running_networks.write_text("no directory")
    with pytest.raises(OperationFailedError, match="cannot write down that network 'lan' starts"):
        await verbs_of(rig).start(managed)
    assert rig.performer.running == {}


@pytest.mark.asyncio
async def test_a_network_that_cannot_be_taken_down_still_counts_as_active(rig: Rig) -> None:
    managed = await started(rig)
    rig.performer.refusals["stop"] = "it is busy"
    with pytest.raises(OperationFailedError, match="it is busy"):
        await verbs_of(rig).destroy(managed)
    assert managed.is_active
    rig.performer.refusals.clear()
    await verbs_of(rig).destroy(managed)
    assert kinds(rig)[-1] == "lan STOPPED"


@pytest.mark.asyncio
async def test_a_live_description_is_written_down(rig: Rig) -> None:
    managed = await started(rig)
    await verbs_of(rig).set_metadata(managed, MetadataType.TITLE, "new", key=None, uri=None, affect=Affect.LIVE)
    (run,) = NetworkRuns(rig.layout.running_networks).load().runs
    assert run.network.title == "new"


@pytest.mark.asyncio
async def test_an_error_of_the_hosts_is_told_with_the_network(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*words: object) -> None:
        raise OSError(28, "No space left on device")

    managed = await verbs_of(rig).define(network())
    monkeypatch.setattr(rig.performer, "start", broken)
    with pytest.raises(OperationFailedError, match="cannot start network 'lan': No space left on device"):
        await verbs_of(rig).start(managed)


@pytest.mark.asyncio
async def test_leases_of_a_network_that_vanishes_are_removed_though_it_is_off(rig: Rig) -> None:
    managed = await verbs_of(rig).define(network())
    await verbs_of(rig).undefine(managed)
    assert rig.performer.forgotten == [str(LAN)]


class Followed:
    """Remembers which networks are followed, by their bridges' index."""

    def __init__(self) -> None:
        self.now: dict[str, int | None] = {}
        self.times = 0

    def follow(self, record: NetworkRecord) -> None:
        self.now[record.uuid] = record.index
        self.times += 1

    def forget(self, uuid: str) -> None:
        self.now.pop(uuid, None)


@pytest.mark.asyncio
async def test_a_network_is_followed_as_long_as_it_runs(rig: Rig) -> None:
    followed = Followed()
    managed = await started(rig)
    rig.domains.wiring.network_life.attend(followed, FollowedDevices())
    before = managed.require_run().record.index
    assert followed.now == {str(LAN): before}
    rig.performer.running.clear()
    await verbs_of(rig).mend(LAN)
    assert followed.now == {str(LAN): managed.require_run().record.index}
    assert managed.require_run().record.index != before
    rig.performer.refusals["stop"] = "it is busy"
    with pytest.raises(OperationFailedError):
        await verbs_of(rig).destroy(managed)
    assert list(followed.now) == [str(LAN)]
    rig.performer.refusals.clear()
    await verbs_of(rig).destroy(managed)
    assert followed.now == {}
    await verbs_of(rig).start(managed)
    assert list(followed.now) == [str(LAN)]


@pytest.mark.asyncio
async def test_what_cannot_be_mended_is_followed_anew_to_be_told_again(rig: Rig) -> None:
    followed = Followed()
    await started(rig)
    rig.domains.wiring.network_life.attend(followed, FollowedDevices())
    before = followed.times
    rig.performer.refusals["settle"] = "another's link bears its name"
    await verbs_of(rig).mend(LAN)
    assert followed.times == before + 1
