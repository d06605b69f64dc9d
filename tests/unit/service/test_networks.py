"""Which networks there are, and what a guest's card finds in them."""

import pytest

from insula.errors import (
    NetworkNotFoundError,
    OperationFailedError,
    OperationInvalidError,
    UnsupportedConfigError,
)
from insula.model.domain import DomainDefinition
from insula.model.interfaces import Interface, InterfaceType
from insula.model.networknumbers import ListNetworks
from insula.model.networkport import actual_interface
from insula.model.pciaddress import PciAddress
from insula.service.networks import VirtualNetworks, chosen_networks, with_named_devices
from tests.unit.service.fakes import Rig, domain_xml
from tests.unit.service.networksofrig import WAN, network, registry_of, started, verbs_of


def card(text: str) -> Interface:
    xml = domain_xml().replace("<devices>", f"<devices>{text}")
    (found,) = DomainDefinition.load(xml).devices.interfaces
    return found


PLUGGED = "<interface type='network'><source network='lan'/></interface>"


@pytest.mark.asyncio
async def test_a_card_of_an_active_network_is_a_port_of_its_bridge(rig: Rig) -> None:
    await started(rig)
    actual = registry_of(rig).actual(card(PLUGGED))
    assert actual.type is InterfaceType.BRIDGE
    assert actual.source is not None
    assert actual.source.bridge == "virbr0"


@pytest.mark.asyncio
async def test_a_card_finds_no_network_that_is_off(rig: Rig) -> None:
    await verbs_of(rig).define(network())
    with pytest.raises(OperationInvalidError, match="network 'lan' is not active"):
        registry_of(rig).actual(card(PLUGGED))


def test_a_card_finds_no_network_that_is_not_there() -> None:
    with pytest.raises(NetworkNotFoundError, match="no network with matching name 'lan'"):
        VirtualNetworks().actual(card(PLUGGED))


def test_a_card_of_another_kind_stays_itself() -> None:
    plain = card("<interface type='bridge'><source bridge='br0'/></interface>")
    assert VirtualNetworks().actual(plain) is plain


POOL = "<forward mode='passthrough'><interface dev='eth0'/><interface dev='eth1'/><interface dev='eth2'/></forward>"


@pytest.mark.asyncio
async def test_no_two_cards_get_one_device_of_a_pool(rig: Rig) -> None:
    await verbs_of(rig).create(network(more=POOL))
    networks = registry_of(rig)
    networks.count(lambda: {"eth0": 1})
    actual = networks.plugging()
    plugged = [actual(card(PLUGGED)) for _ in range(2)]
    assert [each.source and each.source.device for each in plugged] == ["eth1", "eth2"]
    with pytest.raises(OperationFailedError, match="all 3 devices of the network 'lan' are in use"):
        actual(card(PLUGGED))
    assert networks.plugging()(card(PLUGGED)) == plugged[0]


FUNCTIONS = "<forward mode='hostdev'>{}</forward>".format(
    "".join(f"<address type='pci' bus='3' slot='16' function='{number}'/>" for number in range(3))
)


def test_of_functions_the_host_gives_those_that_it_has() -> None:
    def at(address: PciAddress) -> str:
        if address.function == 0:
            raise UnsupportedConfigError("a guest has it")
        return f"vf{address.function}"

    named = with_named_devices(network(more=FUNCTIONS), at)
    assert named.forward is not None
    assert [each.device for each in named.forward.interfaces] == ["vf1", "vf2"]
    assert actual_interface(card(PLUGGED), named).type is InterfaceType.HOSTDEV


def test_where_the_host_has_no_function_left_that_is_told() -> None:
    def at(_address: PciAddress) -> str:
        raise UnsupportedConfigError("there is none")

    with pytest.raises(OperationFailedError, match="none of the 3 devices of the network 'lan' to give"):
        with_named_devices(network(more=FUNCTIONS), at)


@pytest.mark.asyncio
async def test_a_filter_lets_through_what_fits_each_of_its_groups(rig: Rig) -> None:
    lan = await started(rig)
    await verbs_of(rig).set_autostart(lan, on=True)
    await verbs_of(rig).define(network("off", WAN))
    await verbs_of(rig).create(network("brief", WAN.__class__(int=7)))
    chosen = {
        ListNetworks(0): ["lan", "off", "brief"],
        ListNetworks.ACTIVE: ["lan", "brief"],
        ListNetworks.INACTIVE: ["off"],
        ListNetworks.ACTIVE | ListNetworks.INACTIVE: ["lan", "off", "brief"],
        ListNetworks.TRANSIENT: ["brief"],
        ListNetworks.PERSISTENT | ListNetworks.ACTIVE: ["lan"],
        ListNetworks.AUTOSTART: ["lan"],
        ListNetworks.NO_AUTOSTART | ListNetworks.PERSISTENT: ["off"],
    }
    for wanted, names in chosen.items():
        assert [each.name for each in chosen_networks(registry_of(rig), wanted)] == names
