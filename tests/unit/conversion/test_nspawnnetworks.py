import pytest

from insula.conversion.domaindraft import HOST
from insula.model.domain import DomainDefinition
from insula.model.interfaces import InterfaceType, IpvlanMode
from tests.unit.conversion.conversions import converted, keys_of


def _read(text: str) -> tuple[DomainDefinition, set[str]]:
    found = converted("nspawn", f"[Network]\n{text}")
    return found.domain, keys_of(found.findings) - {"(the file's name)"}


@pytest.mark.parametrize("text", ["", "VirtualEthernet=yes", "Private=yes\nVirtualEthernet=yes"])
def test_a_link_to_the_host_is_what_the_unit_asks_for(text: str) -> None:
    (card,) = _read(text)[0].devices.interfaces
    assert card.type is InterfaceType.ETHERNET and card.guest is not None and card.guest.device == "host0"


@pytest.mark.parametrize("text", ["VirtualEthernet=no", "Private=no", "Private=no\nVirtualEthernet=no"])
def test_who_wants_no_network_of_its_own_has_the_hosts(text: str) -> None:
    domain, _ = _read(text)
    assert domain.lxc is not None and domain.lxc.network == HOST and not domain.devices.interfaces


@pytest.mark.parametrize("text", ["Private=yes", "Private=yes\nVirtualEthernet=no"])
def test_a_private_network_may_have_no_card(text: str) -> None:
    domain, _ = _read(text)
    assert domain.lxc is None and not domain.devices.interfaces


def test_cards_are_of_all_kinds() -> None:
    domain, findings = _read(
        "VirtualEthernet=no\nBridge=br0\nVirtualEthernetExtra=vea:inside\nMACVLAN=eth0\nIPVLAN=eth1:iv\n"
        "Interface=eth2 eth3:x\n"
    )
    kinds = {each.guest.device: each for each in domain.devices.interfaces if each.guest is not None}
    assert set(kinds) == {"host0", "inside", "mv-eth0", "iv"}
    assert kinds["host0"].type is InterfaceType.BRIDGE and kinds["inside"].target == "vea"
    source = kinds["iv"].source
    assert source is not None and source.ipvlan is IpvlanMode.L2
    assert [each.moved_interface for each in domain.devices.host_devices] == ["eth2", "eth3"]
    assert findings == {"Network.Interface"}


@pytest.mark.parametrize("line", ["Zone=web", "Port=tcp:80", "Private=maybe", "VirtualEthernet=maybe", "Nonsense=1"])
def test_what_cannot_be_is_named(line: str) -> None:
    assert _read(line)[1] == {f"Network.{line.partition('=')[0]}"}
