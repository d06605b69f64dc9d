"""An offered network collides with nothing, is what it is asked to be, and is not there yet."""

from ipaddress import IPv4Network, ip_network
from typing import Any

import pytest

from insula.errors import InvalidArgumentError, NetworkExistsError, OperationFailedError
from insula.model.networkforward import ForwardMode
from insula.model.scalars import OnOff
from insula.network.virtual.hostroutes import Subnet
from insula.service.networkoffers import NetworkOffers, WantedNetwork, offered, wanted_network
from insula.service.networks import VirtualNetworks
from tests.unit.service.networksofrig import network

TAKEN: tuple[Subnet, ...] = (IPv4Network("192.168.122.0/24"), IPv4Network("192.168.123.7/32"))


def subnets(of: Any) -> list[str]:
    return [str(each.interface.network) for each in of.ips]


def test_a_free_subnet_is_chosen_with_addresses_to_give_out() -> None:
    made = offered(WantedNetwork(name="default"), TAKEN)
    assert (made.name, made.mode, made.uuid.version) == ("default", ForwardMode.NAT, 4)
    ipv4, ipv6 = made.ips
    assert ipv4.interface is not None and ipv4.dhcp is not None
    assert str(ipv4.interface) == "192.168.124.1/24"
    assert [(str(each.start), str(each.end)) for each in ipv4.dhcp.ranges] == [("192.168.124.2", "192.168.124.254")]
    assert made.bridge is not None and made.bridge.stp is OnOff.OFF
    assert ipv6.interface is not None
    assert ipv6.interface.network.subnet_of(ip_network("fd00::/8"))  # type: ignore[arg-type]


def test_libvirts_own_is_offered_where_it_is_free() -> None:
    assert subnets(offered(WantedNetwork(name="default", ipv6=False), ())) == ["192.168.122.0/24"]


def test_what_is_asked_for_is_offered() -> None:
    made = offered(wanted_network("lan", {"mode": "none", "subnet": "10.1.0.0/28", "ipv6": False}), ())
    assert (made.mode, subnets(made)) == (ForwardMode.NONE, ["10.1.0.0/28"])


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        ({"mode": "hostdev"}, "'mode' must be one of"),
        ({"mode": 5}, "'mode' must be one of"),
        ({"subnet": "10.1.0.0/30"}, "8 to 29 bits"),
        ({"subnet": "10.1.0.5/24"}, "'subnet'"),
        ({"subnet": 7}, "8 to 29 bits"),
        ({"subnet": "fd00::/64"}, "8 to 29 bits"),
        ({"ipv6": "no"}, "'ipv6' must be true or false"),
        ({"odd": 1}, "'odd' is nothing that an offered network has"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(request_: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=text):
        wanted_network("lan", request_)


def test_what_is_wanted_and_taken_is_told_in_the_words_of_who_asked() -> None:
    with pytest.raises(OperationFailedError, match=r"192\.168\.122\.0/25 collides with 192\.168\.122\.0/24, .* choose"):
        offered(wanted_network("lan", {"subnet": "192.168.122.0/25"}), TAKEN)


@pytest.mark.asyncio
async def test_what_other_networks_have_is_not_offered_though_they_are_off() -> None:
    registry = VirtualNetworks()
    other = network(more="<ip address='192.168.122.1' prefix='24'/>")
    registry.new(other, config=other)
    offers = NetworkOffers(registry, lambda: (IPv4Network("192.168.123.0/24"),))
    assert subnets(await offers.offer(WantedNetwork(name="wan", ipv6=False))) == ["192.168.124.0/24"]
    with pytest.raises(NetworkExistsError, match="network 'lan' already exists"):
        await offers.offer(WantedNetwork(name="lan"))
    assert not registry.has_name("wan")
