"""Guests' cards come back to their bridges, and are named to the administrator while they are on none."""

from dataclasses import replace

import pytest

from insula.engine.interfaceperformer import ConnectedInterface
from insula.engine.interfacespec import BridgePort, VethInterface
from insula.engine.launch.holdings import Interfaces
from insula.model.numbers import Affect
from insula.network.guestports import RefusedPort
from insula.service.cardbridges import CardBridges
from insula.service.events import DeviceUpdated
from insula.service.managed import ManagedDomain
from tests.unit.service.fakes import WEB, Rig, domain_xml
from tests.unit.service.followeddevices import FollowedDevices
from tests.unit.service.networksofrig import network, registry_of, started, verbs_of

pytestmark = pytest.mark.asyncio

MAC = "52:54:00:00:00:01"
CARD = f"<interface type='{{type}}'><mac address='{MAC}'/><source {{source}}/><target dev='vnet0'/></interface>"
BR0 = CARD.format(type="bridge", source="bridge='br0'")
LAN_CARD = CARD.format(type="network", source="network='lan'")
PLAIN = BridgePort()
SAID = "its card eth0 (vnet0 on the host) is plugged into nothing: "


def bridges_of(rig: Rig) -> CardBridges:
    return rig.domains.wiring.card_bridges


async def plugged(rig: Rig, card: str = BR0, bridge: str = "br0", port: BridgePort = PLAIN) -> ManagedDomain:
    """Return a running guest with a card on a bridge."""
    web = await rig.domains.define(domain_xml().replace("<devices>", f"<devices>{card}"))
    await rig.domains.start(web)
    managed = rig.domains.services.domains.by_name("web")
    on(managed, bridge, port)
    return managed


def on(managed: ManagedDomain, bridge: str, port: BridgePort = PLAIN) -> None:
    assert managed.run is not None
    container = managed.run.container
    ends = (ConnectedInterface(guest="eth0", host="vnet0", host_index=7, bridge=bridge, mac=MAC),)
    spec = replace(container.record.spec, interfaces=(VethInterface(guest="eth0", bridge=bridge, port=port),))
    record = replace(container.record, spec=spec, holdings=(*container.record.holdings[:1], Interfaces(connected=ends)))
    managed.run.container = replace(container, record=record)


async def looked(rig: Rig) -> None:
    """Wait until everything that was told has been looked at."""
    await registry_of(rig).tasks.ended(5)


async def test_a_card_is_named_while_its_bridge_is_gone_and_plugged_in_when_one_of_its_name_comes(rig: Rig) -> None:
    managed = await plugged(rig, port=BridgePort(isolated=True))
    followed = FollowedDevices()
    bridges_of(rig).attend(followed)
    assert followed.now == {WEB: {"br0"}}
    rig.ports.loose, rig.ports.bridges = {"vnet0"}, set()
    bridges_of(rig).told(WEB, "br0", False)
    assert managed.notices == (SAID + "the host has no bridge 'br0'",)
    await looked(rig)
    assert managed.notices == (SAID + "the host has no bridge 'br0'",)
    rig.ports.bridges = {"br0"}
    bridges_of(rig).told(WEB, "br0", True)
    await looked(rig)
    assert rig.ports.plugged == {"vnet0": ("br0", BridgePort(isolated=True))}
    assert not managed.notices


async def test_cards_that_lost_their_bridge_while_no_daemon_looked_are_found_at_its_start(rig: Rig) -> None:
    managed = await plugged(rig)
    rig.ports.loose = {"vnet0"}
    bridges_of(rig).attend(FollowedDevices())
    await looked(rig)
    assert rig.ports.plugged == {"vnet0": ("br0", BridgePort())}
    assert not managed.notices


async def test_a_bridge_that_does_not_take_a_card_yet_is_asked_once_more_when_it_changes(rig: Rig) -> None:
    managed = await plugged(rig)
    followed = FollowedDevices()
    bridges_of(rig).attend(followed)
    await looked(rig)
    rig.ports.loose, rig.ports.refused = {"vnet0"}, {"vnet0": RefusedPort(reason="it knows no VLANs")}
    bridges_of(rig).told(WEB, "br0", True)
    await looked(rig)
    assert managed.notices == (SAID + "it knows no VLANs",)
    assert followed.reminded == ["br0"]
    rig.ports.refused = {"vnet0": RefusedPort(reason="it is busy", tried=True)}
    bridges_of(rig).told(WEB, "br0", True)
    await looked(rig)
    assert managed.notices == (SAID + "it is busy",)
    assert followed.reminded == ["br0"]
    rig.ports.refused.clear()
    bridges_of(rig).told(WEB, "br0", True)
    await looked(rig)
    assert not managed.notices


async def test_a_card_of_a_virtual_network_is_plugged_in_by_that_alone(rig: Rig) -> None:
    lan = await started(rig)
    managed = await plugged(rig, LAN_CARD, "virbr0")
    rig.ports.loose = {"vnet0"}
    bridges_of(rig).attend(FollowedDevices())
    await looked(rig)
    assert rig.ports.plugged == {}
    assert managed.notices == (SAID + "the network 'lan' has no port for it now",)
    await verbs_of(rig).destroy(lan)
    bridges_of(rig).told(WEB, "virbr0", False)
    await looked(rig)
    assert managed.notices == (SAID + "the network 'lan' is not active",)
    rig.ports.loose.clear()
    await verbs_of(rig).start(lan)
    await looked(rig)
    assert not managed.notices


async def test_a_card_never_comes_into_another_network_that_took_the_name_of_its_bridge(rig: Rig) -> None:
    """A transient network's guests run on when it ends, and another may be given its bridge's name."""
    managed = await plugged(rig, LAN_CARD, "virbr0")
    bridges_of(rig).attend(FollowedDevices())
    rig.ports.loose = {"vnet0"}
    await verbs_of(rig).create(network("wan"))
    bridges_of(rig).told(WEB, "virbr0", True)
    await looked(rig)
    assert rig.ports.plugged == {}
    assert managed.notices == (SAID + "the network 'lan' is not active",)


async def test_a_card_that_was_put_elsewhere_is_followed_there(rig: Rig) -> None:
    managed = await plugged(rig)
    followed = FollowedDevices()
    bridges_of(rig).attend(followed)
    bridges_of(rig).told(WEB, "br0", False)
    await looked(rig)
    on(managed, "br1")
    rig.events.publish(DeviceUpdated(domain=managed.ref))
    assert followed.now == {WEB: {"br1"}}
    await looked(rig)
    assert not managed.notices


async def test_a_guest_that_ends_is_followed_no_more(rig: Rig) -> None:
    managed = await plugged(rig)
    followed = FollowedDevices()
    bridges_of(rig).attend(followed)
    rig.ports.loose, rig.ports.bridges = {"vnet0"}, set()
    bridges_of(rig).told(WEB, "br0", False)
    await looked(rig)
    await rig.domains.services.lifecycle.destroy(managed)
    assert followed.now == {}
    bridges_of(rig).told(WEB, "br0", True)
    await looked(rig)
    assert rig.ports.plugged == {}


async def test_an_update_of_a_running_guests_device_is_told_within(rig: Rig) -> None:
    await rig.domains.start(await rig.domains.define(domain_xml()))
    managed = rig.domains.services.domains.by_name("web")
    await rig.domains.services.devices.attach(managed, BR0, Affect.LIVE)
    await rig.domains.services.devices.update(managed, BR0.replace("br0", "br1"), Affect.LIVE)
    assert [each for each in rig.told if isinstance(each, DeviceUpdated)] == [DeviceUpdated(domain=managed.ref)]
