"""Ports of a network are its running guests' cards, and nothing else remembers them."""

from dataclasses import replace
from uuid import UUID

import pytest

from insula.engine.interfaceperformer import ConnectedInterface
from insula.engine.interfacespec import BridgePort, PortVlans
from insula.engine.launch.holdings import Interfaces
from insula.errors import NetworkPortNotFoundError
from insula.model.interfaces import Interface
from insula.model.networkport import dump_port, port_uuid
from insula.model.xmlreader import load
from insula.network.virtual.guestends import GuestEnd
from insula.service.networkports import (
    PluggedCard,
    connected,
    devices_in_use,
    host_ends,
    plugged_card,
    plugged_cards,
    port_of,
)
from tests.unit.service.fakes import MAIL, WEB, Rig, domain_xml
from tests.unit.service.networksofrig import ADDRESS, LAN, network, started, verbs_of

pytestmark = pytest.mark.asyncio

MAC = "52:54:00:00:00:01"
CARD = f"<interface type='network'><mac address='{MAC}'/><source network='lan'/><target dev='tap7'/></interface>"
OTHER = "<interface type='bridge'><source bridge='br0'/></interface>"


def plugged(device: str | None = None) -> PluggedCard:
    card = load(Interface, "interface", CARD)
    return PluggedCard(uuid=WEB, owner="web", owner_uuid=MAIL, card=card, device=device)


def end(device: str | None) -> ConnectedInterface:
    return ConnectedInterface(guest="eth0", host="", host_index=0, bridge=None, mac=MAC, device=device)


def with_cards(xml: str) -> str:
    return xml.replace("<devices>", f"<devices>{CARD}{OTHER}")


async def test_the_ports_are_the_cards_of_running_guests(rig: Rig) -> None:
    lan = await started(rig)
    web = await rig.domains.define(with_cards(domain_xml()))
    await rig.domains.define(with_cards(domain_xml("mail", MAIL)))
    domains = rig.domains.services.domains
    assert plugged_cards(domains, lan) == ()
    await rig.domains.start(web)
    (found,) = plugged_cards(domains, lan)
    assert (found.owner, found.owner_uuid, found.card.mac) == ("web", WEB, MAC)
    assert found.uuid == port_uuid(WEB, "lan", MAC)
    assert plugged_card(domains, lan, found.uuid) == found
    assert host_ends(domains, lan) == {"tap7": GuestEnd(mac=MAC, port=BridgePort())}


async def test_guests_that_ran_on_are_plugged_in_as_before_when_the_network_starts_again(rig: Rig) -> None:
    lan = await started(rig)
    isolated = CARD.replace("<target", "<port isolated='yes'/><vlan><tag id='42'/></vlan><target")
    web = await rig.domains.define(domain_xml().replace("<devices>", f"<devices>{isolated}"))
    await rig.domains.start(web)
    await verbs_of(rig).destroy(lan)
    rig.performer.plugged.clear()
    await verbs_of(rig).start(lan)
    port = BridgePort(isolated=True, vlans=PortVlans(native=42))
    assert rig.performer.plugged == {str(LAN): {"tap7": GuestEnd(mac=MAC, port=port)}}


async def test_a_network_starts_though_guests_that_ran_on_cannot_be_plugged_in(rig: Rig) -> None:
    lan = await started(rig)
    web = await rig.domains.define(with_cards(domain_xml()))
    await rig.domains.start(web)
    await verbs_of(rig).destroy(lan)
    rig.performer.refusals["settle"] = "it is busy"
    await verbs_of(rig).start(lan)
    assert lan.is_active
    assert any("are not plugged in: " in text and "it is busy" in text for text in lan.notices)


async def test_a_card_whose_portgroup_is_gone_is_no_port(rig: Rig) -> None:
    lan = await started(rig)
    web = await rig.domains.define(with_cards(domain_xml()).replace("network='lan'", "network='lan' portgroup='gone'"))
    await rig.domains.start(web)
    assert host_ends(rig.domains.services.domains, lan) == {}


async def test_a_port_that_is_not_there_is_not_found(rig: Rig) -> None:
    lan = await started(rig)
    with pytest.raises(NetworkPortNotFoundError, match="no network port with matching UUID"):
        plugged_card(rig.domains.services.domains, lan, UUID(int=9))


async def test_a_network_tells_how_many_cards_it_has_if_it_has_any() -> None:
    assert connected(network(), ()).connections is None
    on_eth1 = plugged(device="eth1")
    pool = network(more="<forward mode='vepa'><interface dev='eth0'/><interface dev='eth1'/></forward>")
    counted = connected(pool, (on_eth1, on_eth1, plugged()))
    assert counted.connections == 3
    assert counted.forward is not None
    assert [each.connections for each in counted.forward.interfaces] == [None, 2]


async def test_a_port_is_told_as_libvirt_tells_it() -> None:
    port = port_of(plugged(), network(more="<bridge name='lan0'/>" + ADDRESS))
    assert port is not None
    assert (port.uuid, port.owner.name, port.mac) == (WEB, "web", MAC)
    assert "<plug type='network' bridge='lan0'/>" in dump_port(port)


async def test_a_port_of_a_pool_is_on_the_device_that_it_was_given() -> None:
    pool = network(more="<forward mode='passthrough'><interface dev='eth0'/><interface dev='eth1'/></forward>")
    port = port_of(plugged(device="eth1"), connected(pool, (plugged(device="eth1"),)))
    assert port is not None
    assert "<plug type='direct' dev='eth1' mode='passthrough'/>" in dump_port(port)


async def test_devices_of_the_host_are_counted_whoever_uses_them(rig: Rig) -> None:
    assert devices_in_use(rig.domains.services.domains) == {}
    await rig.domains.start(await rig.domains.define(domain_xml()))
    web = rig.domains.services.domains.by_name("web")
    assert web.run is not None
    ends = (end("eth1"), end("eth1"), end(None))
    container = web.run.container
    web.run.container = replace(container, record=replace(container.record, holdings=(Interfaces(connected=ends),)))
    assert devices_in_use(rig.domains.services.domains) == {"eth1": 2}
