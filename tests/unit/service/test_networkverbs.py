"""Networks come, change and go: on the disk and the host first, then told; in libvirt's words where they cannot."""

import asyncio
import shutil
from uuid import UUID

import pytest

from insula.errors import (
    NetworkExistsError,
    NetworkNotFoundError,
    OperationFailedError,
    OperationInvalidError,
)
from insula.model.numbers import Affect, MetadataType
from insula.model.xmlnamespaces import INSULA_NAMESPACE
from insula.network.virtual.networkrecord import Lease
from insula.service.events import NetworkMetadataChange
from insula.service.networkmetadata import network_metadata_of
from insula.service.networkoverview import network_overview
from tests.unit.service.fakes import Rig
from tests.unit.service.networksofrig import LAN, WAN, kinds, network, registry_of, started, verbs_of

pytestmark = pytest.mark.asyncio


async def test_a_defined_network_is_found_and_is_on_the_disk(rig: Rig) -> None:
    managed = await verbs_of(rig).define(network())
    assert registry_of(rig).by_name("lan") is registry_of(rig).by_uuid(LAN) is managed
    assert "<name>lan</name>" in (rig.layout.network_definitions / "lan.xml").read_text()
    assert (managed.is_active, managed.is_persistent, managed.autostart) == (False, True, False)
    assert kinds(rig) == ["lan DEFINED"]


async def test_a_definition_without_a_bridge_is_given_the_name_of_a_free_one(rig: Rig) -> None:
    first = await verbs_of(rig).define(network())
    second = await verbs_of(rig).define(network("wan", WAN))
    assert (first.current.bridge_name, second.current.bridge_name) == ("virbr0", "virbr1")


async def test_a_new_definition_keeps_the_bridge_that_it_does_not_name(rig: Rig) -> None:
    await verbs_of(rig).define(network("wan", WAN))
    await started(rig)
    again = await verbs_of(rig).define(network(more="<ip address='10.8.0.1' prefix='24'/>"))
    assert again.config is not None
    assert again.config.bridge_name == again.current.bridge_name == "virbr1"
    assert str(again.current.ips[0].address) == "10.9.0.1", "what is active goes on as it is"


async def test_what_the_host_does_not_allow_today_can_be_defined(rig: Rig) -> None:
    rig.performer.refusals["plan"] = "its subnet is routed elsewhere"
    managed = await verbs_of(rig).define(network())
    assert managed.current.bridge_name is None
    with pytest.raises(OperationFailedError, match="its subnet is routed elsewhere"):
        await verbs_of(rig).start(managed)
    assert not managed.is_active
    assert kinds(rig) == ["lan DEFINED"]


@pytest.mark.parametrize(("name", "uuid"), [("lan", WAN), ("wan", LAN)])
async def test_a_name_or_a_uuid_that_another_network_has_is_refused(rig: Rig, name: str, uuid: UUID) -> None:
    await verbs_of(rig).define(network())
    with pytest.raises(NetworkExistsError, match=r"network 'lan' (already exists|is already defined) with uuid"):
        await verbs_of(rig).define(network(name, uuid))
    with pytest.raises(NetworkExistsError):
        await verbs_of(rig).create(network(name, uuid))


async def test_a_bridge_that_another_network_has_is_refused(rig: Rig) -> None:
    await verbs_of(rig).define(network(more="<bridge name='lan0'/>"))
    with pytest.raises(OperationFailedError, match="bridge name 'lan0' already in use by network 'lan': give another"):
        await verbs_of(rig).define(network("wan", WAN, "<bridge name='lan0'/>"))
    assert not registry_of(rig).has_name("wan")


async def test_a_network_whose_definition_cannot_be_written_is_not_there(rig: Rig) -> None:
    shutil.rmtree(rig.layout.network_definitions, ignore_errors=True)
    rig.layout.network_definitions.parent.mkdir(parents=True, exist_ok=True)
    rig.layout.network_definitions.write_text("no directory")
    with pytest.raises(OperationFailedError, match="cannot save the definition of network 'lan'"):
        await verbs_of(rig).define(network())
    assert len(registry_of(rig)) == 0
    assert kinds(rig) == []


async def test_a_started_network_runs_until_it_is_destroyed(rig: Rig) -> None:
    managed = await started(rig)
    assert managed.is_active
    assert str(LAN) in rig.performer.running
    with pytest.raises(OperationInvalidError, match="network is already active"):
        await verbs_of(rig).start(managed)
    await verbs_of(rig).destroy(managed)
    assert rig.performer.running == {}
    with pytest.raises(OperationInvalidError, match="network 'lan' is not active"):
        await verbs_of(rig).destroy(managed)
    assert kinds(rig) == ["lan DEFINED", "lan STARTED", "lan STOPPED"]
    assert registry_of(rig).by_name("lan") is managed


async def test_a_transient_network_is_gone_with_its_run_and_so_are_its_leases(rig: Rig) -> None:
    managed = await started(rig, config=False)
    assert not managed.is_persistent
    with pytest.raises(OperationInvalidError, match="can't undefine transient network"):
        await verbs_of(rig).undefine(managed)
    with pytest.raises(OperationInvalidError, match="cannot set autostart for transient network"):
        await verbs_of(rig).set_autostart(managed, on=True)
    with pytest.raises(OperationInvalidError, match="network is already active as 'lan'"):
        await verbs_of(rig).create(network())
    await verbs_of(rig).destroy(managed)
    assert len(registry_of(rig)) == 0
    assert rig.performer.forgotten == [str(LAN)]
    assert kinds(rig) == ["lan STARTED", "lan STOPPED"]
    with pytest.raises(NetworkNotFoundError):
        await verbs_of(rig).destroy(managed)


async def test_a_transient_network_that_cannot_be_started_is_not_there(rig: Rig) -> None:
    rig.performer.refusals["start"] = "no bridge can be made"
    with pytest.raises(OperationFailedError, match="no bridge can be made"):
        await verbs_of(rig).create(network())
    assert len(registry_of(rig)) == 0
    assert list(rig.layout.running_networks.glob("*.json")) == []


async def test_an_active_network_that_is_undefined_is_transient_from_then_on(rig: Rig) -> None:
    managed = await started(rig)
    await verbs_of(rig).set_autostart(managed, on=True)
    await verbs_of(rig).undefine(managed)
    assert (managed.is_active, managed.is_persistent, managed.autostart) == (True, False, False)
    assert not (rig.layout.network_definitions / "lan.xml").exists()
    await verbs_of(rig).destroy(managed)
    assert not registry_of(rig).has_name("lan")


async def test_a_transient_network_that_is_defined_stays(rig: Rig) -> None:
    managed = await started(rig, config=False)
    assert await verbs_of(rig).define(network()) is managed
    await verbs_of(rig).destroy(managed)
    assert registry_of(rig).by_name("lan").is_persistent


async def test_a_defined_network_may_run_by_another_definition_once(rig: Rig) -> None:
    managed = await verbs_of(rig).define(network())
    assert await verbs_of(rig).create(network(more="<ip address='10.7.0.1' prefix='24'/>")) is managed
    assert str(managed.current.ips[0].address) == "10.7.0.1"
    await verbs_of(rig).destroy(managed)
    assert str(managed.current.ips[0].address) == "10.9.0.1"


async def test_autostart_is_a_link_beside_the_definition(rig: Rig) -> None:
    managed = await verbs_of(rig).define(network())
    await verbs_of(rig).set_autostart(managed, on=True)
    assert (rig.layout.network_autostart / "lan.xml").resolve() == rig.layout.network_definitions / "lan.xml"
    await verbs_of(rig).set_autostart(managed, on=False)
    assert list(rig.layout.network_autostart.iterdir()) == []
    assert not managed.autostart


async def test_networks_that_start_together_choose_different_bridges(rig: Rig) -> None:
    rig.performer.refusals["plan"] = "not now"
    managed = [await verbs_of(rig).define(network(name, uuid)) for name, uuid in (("lan", LAN), ("wan", WAN))]
    del rig.performer.refusals["plan"]
    await asyncio.gather(*(verbs_of(rig).start(each) for each in managed))
    assert {each.current.bridge_name for each in managed} == {"virbr0", "virbr1"}


async def test_metadata_is_changed_where_it_is_meant(rig: Rig) -> None:
    managed = await started(rig)
    verbs = verbs_of(rig)
    await verbs.set_metadata(managed, MetadataType.TITLE, "live", key=None, uri=None, affect=Affect.CURRENT)
    assert managed.config is not None
    assert (managed.current.title, managed.config.title) == ("live", None)
    both = Affect.LIVE | Affect.CONFIG
    await verbs.set_metadata(managed, MetadataType.ELEMENT, "<x/>", key="a", uri="urn:a", affect=both)
    assert network_metadata_of(managed.current, MetadataType.ELEMENT, "urn:a") == "<x/>"
    assert network_metadata_of(managed.config, MetadataType.ELEMENT, "urn:a") == "<x/>"
    told = [each for each in rig.told if isinstance(each, NetworkMetadataChange)]
    assert [(each.kind, each.uri) for each in told] == [(MetadataType.TITLE, None), (MetadataType.ELEMENT, "urn:a")]


async def test_what_is_not_there_cannot_be_changed(rig: Rig) -> None:
    managed = await verbs_of(rig).define(network())
    title = MetadataType.TITLE
    with pytest.raises(OperationInvalidError, match="network is not running"):
        await verbs_of(rig).set_metadata(managed, title, "x", key=None, uri=None, affect=Affect.LIVE)
    transient = await verbs_of(rig).create(network("wan", WAN))
    with pytest.raises(OperationInvalidError, match="cannot change persistent config of a transient network"):
        await verbs_of(rig).set_metadata(transient, title, "x", key=None, uri=None, affect=Affect.CONFIG)


async def test_leases_are_those_of_an_active_network_or_of_one_card(rig: Rig) -> None:
    managed = await started(rig)
    cards = [f"52:54:00:00:00:0{number}" for number in (1, 2)]
    rig.performer.given[str(LAN)] = tuple(
        Lease(address=f"10.9.0.{place}", prefix=24, version=4, expiry=0, mac=mac) for place, mac in enumerate(cards, 2)
    )
    assert [each.address for each in await verbs_of(rig).leases(managed)] == ["10.9.0.2", "10.9.0.3"]
    assert [each.address for each in await verbs_of(rig).leases(managed, cards[1].upper())] == ["10.9.0.3"]
    await verbs_of(rig).destroy(managed)
    assert await verbs_of(rig).leases(managed) == []


async def test_what_was_taken_away_is_mended_and_noticed(rig: Rig) -> None:
    managed = await started(rig)
    del rig.performer.running[str(LAN)]
    await verbs_of(rig).mend(LAN)
    assert str(LAN) in rig.performer.running
    assert managed.notices == ("it was made anew",)
    await verbs_of(rig).destroy(managed)
    await verbs_of(rig).mend(LAN)
    await verbs_of(rig).mend(WAN)
    assert rig.performer.running == {}


async def test_what_cannot_be_mended_is_noticed(rig: Rig) -> None:
    managed = await started(rig)
    rig.performer.refusals["settle"] = "its bridge is somebody else's"
    await verbs_of(rig).mend(LAN)
    assert managed.is_active
    assert "somebody else's" in managed.notices[0]


async def test_a_device_that_a_network_leads_to_is_named_while_it_is_gone(rig: Rig) -> None:
    managed = await started(rig)
    for each in (LAN, WAN):
        verbs_of(rig).device_told(each, "eth1", False)
    assert managed.notices == ("the host's device 'eth1', which it leads to, is gone",)
    rig.performer.mends = ("packets are forwarded from eth1 again",)
    verbs_of(rig).device_told(LAN, "eth1", True)
    await registry_of(rig).tasks.ended(1)
    assert managed.notices == ("packets are forwarded from eth1 again",)


async def test_networks_that_are_created_at_once_all_come_and_are_told_of_meanwhile(rig: Rig) -> None:
    """None of them has a definition or a run while it comes, which must not keep the others from coming."""
    comings = [asyncio.create_task(verbs_of(rig).create(network(f"n{each}", UUID(int=each + 1)))) for each in range(4)]
    await asyncio.sleep(0)
    shown = [network_overview(each, ()) for each in registry_of(rig)]
    assert [(each["name"], each["active"]) for each in shown] == [(f"n{each}", False) for each in range(4)]
    come = await asyncio.gather(*comings)
    assert all(each.is_active for each in come)
    assert len({each.current.bridge_name for each in come}) == 4


async def test_a_network_that_misses_something_when_it_is_created_is_refused_once(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def plan(*_words: object) -> None:
        asked.append(1)
        raise NetworkNotFoundError("another network that it needs is not there")

    monkeypatch.setattr(rig.performer, "plan", plan)
    with pytest.raises(NetworkNotFoundError, match="another network"):
        await verbs_of(rig).create(network())
    assert asked == [1]
    assert len(registry_of(rig)) == 0


async def test_what_our_own_settings_in_the_metadata_say_is_done_on_the_host(rig: Rig) -> None:
    nat = "<forward mode='nat'/><ip address='10.9.0.1' netmask='255.255.255.0'/>"
    lan = await verbs_of(rig).define(network(more=nat))
    await verbs_of(rig).start(lan)

    async def put(value: str, uri: str) -> None:
        both = Affect.LIVE | Affect.CONFIG
        await verbs_of(rig).set_metadata(lan, MetadataType.ELEMENT, value, key="x", uri=uri, affect=both)

    on_host = rig.performer.running[str(LAN)]
    await put("<note/>", "urn:somebody")
    assert rig.performer.running[str(LAN)] is on_host
    await put("<network><forward start='8080' to='10.9.0.5' tostart='80'/></network>", INSULA_NAMESPACE)
    assert [each.start for each in rig.performer.running[str(LAN)].settings.port_forwards] == [8080]
    assert lan.config is not None
    assert [each.start for each in lan.config.settings.port_forwards] == [8080]
