"""A daemon that follows another finds each network in its true state, and puts it in order."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from insula.errors import OperationFailedError
from insula.network.virtual.networkwatch import NetworkEvent
from insula.service.networkruns import NetworkRuns
from insula.service.runrecord import RunPhase
from tests.unit.service.fakes import Rig, until
from tests.unit.service.networksofrig import ADDRESS, LAN, WAN, kinds, network, registry_of, started, verbs_of

pytestmark = pytest.mark.asyncio

Successor = Callable[[], Awaitable[Rig]]


@pytest_asyncio.fixture
async def successor(rig: Rig, tmp_path: Path) -> AsyncIterator[Successor]:
    """Makes the next daemon over the same host, ready."""
    made: list[Rig] = []

    async def succeed() -> Rig:
        await (made[-1] if made else rig).domains.close()
        made.append(Rig(tmp_path, host=rig.host, performer=rig.performer))
        await made[-1].domains.recover()
        return made[-1]

    yield succeed
    for each in made:
        await each.close()


def rewrite(rig: Rig, **changes: object) -> None:
    """Let the record of the only active network be as a daemon that died left it."""
    runs = NetworkRuns(rig.layout.running_networks)
    (run,) = runs.load().runs
    runs.write(replace(run, **changes))  # type: ignore[arg-type]


async def test_networks_stay_as_they_are_when_a_daemon_follows_another(rig: Rig, successor: Successor) -> None:
    await started(rig)
    await verbs_of(rig).define(network("wan", WAN))
    later = await successor()
    lan, wan = registry_of(later).by_name("lan"), registry_of(later).by_name("wan")
    assert (lan.is_active, lan.is_persistent, wan.is_active) == (True, True, False)
    assert (lan.current.bridge_name, lan.notices) == ("virbr0", ())
    assert kinds(later) == [], "nothing has happened"
    await verbs_of(later).destroy(lan)
    assert later.performer.running == {}


async def test_a_transient_network_is_known_by_its_record_alone(rig: Rig, successor: Successor) -> None:
    await started(rig, config=False)
    later = await successor()
    assert registry_of(later).by_uuid(LAN).is_active
    assert not registry_of(later).by_uuid(LAN).is_persistent


async def test_what_an_active_network_misses_comes_back_and_is_noticed(rig: Rig, successor: Successor) -> None:
    await started(rig)
    rig.performer.running.clear()
    later = await successor()
    assert str(LAN) in later.performer.running
    assert registry_of(later).by_name("lan").notices == ("it was made anew",)


async def test_one_that_cannot_be_put_in_order_is_active_and_says_so(rig: Rig, successor: Successor) -> None:
    await started(rig)
    rig.performer.refusals["settle"] = "its bridge is somebody else's"
    later = await successor()
    lan = registry_of(later).by_name("lan")
    assert lan.is_active
    assert "could not be put in order when insulad started" in lan.notices[0]


async def test_a_start_that_was_cut_short_is_taken_back(rig: Rig, successor: Successor) -> None:
    await started(rig)
    rewrite(rig, phase=RunPhase.STARTING)
    later = await successor()
    lan = registry_of(later).by_name("lan")
    assert (lan.is_active, later.performer.running) == (False, {})
    assert list(later.layout.running_networks.glob("*.json")) == []
    await verbs_of(later).start(lan)


async def test_a_transient_network_whose_stop_was_cut_short_is_gone(rig: Rig, successor: Successor) -> None:
    await started(rig, config=False)
    rewrite(rig, phase=RunPhase.ENDING)
    later = await successor()
    assert (len(registry_of(later)), later.performer.running) == (0, {})
    assert list(later.layout.running_networks.glob("*.json")) == []


async def test_what_cannot_be_taken_back_is_tried_at_the_next_start(rig: Rig, successor: Successor) -> None:
    await started(rig)
    rewrite(rig, phase=RunPhase.STARTING)
    rig.performer.refusals["stop"] = "it is busy"
    later = await successor()
    lan = registry_of(later).by_name("lan")
    with pytest.raises(OperationFailedError, match="it is busy"):
        await verbs_of(later).start(lan)
    later.performer.refusals.clear()
    await verbs_of(later).start(lan)
    assert lan.is_active


async def test_networks_of_an_earlier_boot_are_off_and_those_with_autostart_start(
    rig: Rig, successor: Successor
) -> None:
    lan = await started(rig)
    await verbs_of(rig).create(network("wan", WAN))
    await verbs_of(rig).set_autostart(lan, on=True)
    rig.performer.running.clear()
    rig.host.boot = "another"
    later = await successor()
    assert [each.name for each in registry_of(later)] == ["lan"]
    assert registry_of(later).by_name("lan").is_active
    assert kinds(later) == ["lan STARTED"]


async def test_autostart_happens_once_a_boot(rig: Rig, successor: Successor) -> None:
    lan = await started(rig)
    await verbs_of(rig).set_autostart(lan, on=True)
    await verbs_of(rig).destroy(lan)
    later = await successor()
    assert not registry_of(later).by_name("lan").is_active


async def test_a_record_that_cannot_be_read_stays_and_stops_nobody(
    rig: Rig, successor: Successor, caplog: pytest.LogCaptureFixture
) -> None:
    await started(rig)
    bad = rig.layout.running_networks / f"{WAN}.json"
    bad.write_text('{"format": 99}')
    later = await successor()
    assert registry_of(later).by_name("lan").is_active
    assert bad.exists()
    assert "its format is 99, and this daemon knows 1" in caplog.text


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_text("{")])
async def test_a_network_whose_record_is_lost_is_active_by_its_definition(
    rig: Rig, successor: Successor, damage: Callable[[Path], object]
) -> None:
    await started(rig)
    await verbs_of(rig).define(network(more="<bridge name='other0'/>" + ADDRESS))
    damage(rig.layout.running_networks / f"{LAN}.json")
    later = await successor()
    lan = registry_of(later).by_name("lan")
    assert (lan.is_active, lan.is_persistent, lan.current.bridge_name) == (True, True, "virbr0")
    assert lan.notices[0] == "what was written down about it was lost: it is active as its definition says"
    (written,) = NetworkRuns(rig.layout.running_networks).load().runs
    assert written == lan.run
    assert kinds(later) == [], "nothing has happened"
    await verbs_of(later).destroy(lan)
    assert later.performer.running == {}


async def test_one_that_nothing_describes_any_more_is_shown_by_its_bridge_and_can_be_stopped(
    rig: Rig, successor: Successor
) -> None:
    await started(rig, config=False)
    (rig.layout.running_networks / f"{LAN}.json").unlink()
    before = dict(rig.performer.running)
    await verbs_of(rig).define(network("virbr0", WAN, "<bridge name='wan0'/>"))
    later = await successor()
    found = registry_of(later).by_uuid(LAN)
    assert (found.name, found.is_active, found.is_persistent) == ("virbr0-00000000", True, False)
    assert "it has no definition: it goes on, and can be stopped" in found.notices[0]
    assert later.performer.running == before, "nobody has touched it"
    await verbs_of(later).destroy(found)
    assert later.performer.running == {}


async def test_a_record_of_a_later_insulad_is_not_written_over(rig: Rig, successor: Successor) -> None:
    await started(rig)
    theirs = rig.layout.running_networks / f"{LAN}.json"
    theirs.write_text('{"format": 99}')
    later = await successor()
    assert not registry_of(later).by_name("lan").is_active
    assert theirs.read_text() == '{"format": 99}'


async def test_a_host_that_cannot_be_asked_for_bridges_stops_nobody(rig: Rig, successor: Successor) -> None:
    await started(rig)
    rig.performer.refusals["found"] = "there is no netlink"
    assert registry_of(await successor()).by_name("lan").is_active


async def test_a_definition_that_makes_no_sense_is_set_aside(rig: Rig, successor: Successor) -> None:
    await verbs_of(rig).define(network())
    (rig.layout.network_definitions / "odd.xml").write_text("<network><name>odd</name>")
    later = await successor()
    assert [each.name for each in registry_of(later)] == ["lan"]
    assert (later.layout.network_definitions / "odd.xml.set-aside").exists()


async def test_what_the_watch_tells_is_acted_upon(rig: Rig) -> None:
    lan = await started(rig)
    rig.performer.running.clear()
    for event in NetworkEvent:
        rig.domains.wiring.network_told(str(LAN), event)
    await until(lambda: str(LAN) in rig.performer.running)
    await until(lambda: lan.notices == ("it was made anew",))
