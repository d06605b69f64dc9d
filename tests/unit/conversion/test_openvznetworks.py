from insula.conversion.openvznetworks import address_keys, netif_keys
from insula.model.domain import DomainDefinition
from insula.model.interfaces import InterfaceType
from tests.unit.conversion.conversions import converted, keys_of

TREE = 'VE_PRIVATE="/vz/private/101"\n'


def _read(text: str) -> tuple[DomainDefinition, set[str]]:
    found = converted("openvz", TREE + text)
    return found.domain, keys_of(found.findings)


def test_cards_are_on_their_bridges() -> None:
    text = (
        'NETIF="ifname=eth0,mac=00:18:51:a0:8b:cc,host_ifname=veth101.0,host_mac=FE:FF:FF:FF:FF:FF,bridge=vzbr0;'
        'ifname=eth1,mac=00:18:51:a0:8b:cd,network=Bridged"\nNETDEV="eth5"\n'
    )
    domain, findings = _read(text)
    first, second = domain.devices.interfaces
    assert (first.type, first.source and first.source.bridge, first.target) == (
        InterfaceType.BRIDGE,
        "vzbr0",
        "veth101.0",
    )
    assert (first.mac, first.guest and first.guest.device) == ("00:18:51:a0:8b:cc", "eth0")
    assert second.type is InterfaceType.ETHERNET and findings == {"NETIF"}
    assert domain.devices.host_devices[0].moved_interface == "eth5"
    written = dict(netif_keys(domain))
    assert "ifname=eth0,mac=00:18:51:a0:8b:cc,host_ifname=veth101.0,bridge=vzbr0" in written["NETIF"]
    assert written["NETDEV"] == "eth5"


def test_addresses_that_the_host_routes_are_a_card_of_its_own_and_named() -> None:
    domain, findings = _read('IP_ADDRESS="192.0.2.7 2001:db8::7/64 x"')
    (card,) = domain.devices.interfaces
    assert [str(each.address) for each in card.ips] == ["192.0.2.7", "2001:db8::7"]
    assert findings == {"IP_ADDRESS"}
    assert list(address_keys(domain)) == [("IP_ADDRESS", "192.0.2.7 2001:db8::7/64")]


def test_an_address_that_is_none_is_named() -> None:
    assert _read('IP_ADDRESS="x"')[1] == {"IP_ADDRESS"}
    assert _read('NETIF="ifname=eth0,mac=x,bridge=b"')[1] == {"NETIF"}
