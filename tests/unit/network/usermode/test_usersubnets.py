"""Which addresses a helper's side of a card has."""

import pytest

from insula.engine.interfacespec import Address, Route, UserInterface, VethInterface
from insula.network.usermode.usersubnets import resolver_of, routes_outwards, subnet_problems, user_subnets


def card(*addresses: str, routes: tuple[Route, ...] = ()) -> UserInterface:
    split = (each.split("/") for each in addresses)
    made = tuple(Address(address=address, prefix=int(prefix)) for address, prefix in split)
    return UserInterface(guest="eth0", addresses=made, routes=routes)


def test_a_guest_without_addresses_is_offered_the_usual_ones() -> None:
    ipv4, ipv6 = user_subnets(card())
    assert (str(ipv4.guest), ipv4.gateway, ipv4.resolver) == ("10.0.2.15/24", "10.0.2.2", "10.0.2.3")
    assert (str(ipv6.guest), ipv6.gateway, ipv6.resolver) == ("fd00::15/64", "fd00::2", "fd00::3")
    assert not ipv4.given
    assert routes_outwards(card()) == ()
    assert resolver_of(card()) is None


def test_a_given_address_has_its_gateway_and_its_resolver_in_its_own_subnet() -> None:
    given = card("192.0.2.70/26", "fd12::7/64")
    assert [each.gateway for each in routes_outwards(given)] == ["192.0.2.66", "fd12::2"]
    assert resolver_of(given) == "192.0.2.67"
    assert resolver_of(card("fd12::7/64")) is None
    assert resolver_of(VethInterface(guest="eth0")) is None
    assert list(subnet_problems(given)) == []


def test_routes_of_a_family_that_are_given_are_all_there_are() -> None:
    own = Route(gateway="192.0.2.66", destination="198.51.100.0", prefix=24)
    assert [each.gateway for each in routes_outwards(card("192.0.2.70/26", "fd12::7/64", routes=(own,)))] == ["fd12::2"]


@pytest.mark.parametrize(
    ("addresses", "problem"),
    [
        (("10.0.2.3/24",), "10.0.2.3 is the helper's own"),
        (("10.0.2.5/32",), "leaves no room"),
        (("10.0.2.5/24", "10.0.3.5/24"), "several addresses of IPv4"),
    ],
)
def test_addresses_that_no_helper_could_serve_are_told(addresses: tuple[str, ...], problem: str) -> None:
    assert problem in "; ".join(subnet_problems(card(*addresses)))
