"""Which addresses a helper's side of a card has: those of its own subnet, by what the guest has there.

Both helpers can be told so, and slirp4netns knows no other rule for IPv4. Source: slirp4netns(1).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface, ip_interface

from insula.engine.interfacespec import Address, Interface, Route, UserInterface

_GATEWAY, _RESOLVER = 2, 3
_USUAL = (IPv4Interface("10.0.2.15/24"), IPv6Interface("fd00::15/64"))
"""What a guest is offered that was given no address of that family."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UserSubnet:
    """A subnet with two ends. guest: the guest's address there; given: whether the definition says so."""

    guest: IPv4Interface | IPv6Interface
    given: bool

    @property
    def gateway(self) -> str:
        """The helper's address, by which the guest reaches what is beyond."""
        return str(self.guest.network.network_address + _GATEWAY)

    @property
    def resolver(self) -> str:
        """Where the helper answers questions for names, by asking whom the host asks."""
        return str(self.guest.network.network_address + _RESOLVER)


def user_subnets(interface: UserInterface) -> tuple[UserSubnet, UserSubnet]:
    """Return the card's subnets of IPv4 and of IPv6."""
    ipv4, ipv6 = (_subnet(interface.addresses, usual) for usual in _USUAL)
    return ipv4, ipv6


def resolver_of(interface: Interface) -> str | None:
    """Return who answers a guest that was given an address; without one it asks for that, and is told.

    Of IPv4: of IPv6 helpers ask nameservers alone that have such an address.
    """
    if not isinstance(interface, UserInterface):
        return None
    ipv4, _ = user_subnets(interface)
    return ipv4.resolver if ipv4.given else None


def _subnet(addresses: tuple[Address, ...], usual: IPv4Interface | IPv6Interface) -> UserSubnet:
    for each in addresses:
        given = ip_interface(f"{each.address}/{each.prefix}")
        if given.version == usual.version:
            return UserSubnet(guest=given, given=True)
    return UserSubnet(guest=usual, given=False)


def routes_outwards(interface: UserInterface) -> tuple[Route, ...]:
    """Return the default routes of families in which the guest was given an address, and no route."""
    told = {":" in (each.gateway or each.destination or "") for each in interface.routes}
    wanted = (each for each in user_subnets(interface) if each.given and (each.guest.version == 6) not in told)
    return tuple(Route(gateway=each.gateway) for each in wanted)


def subnet_problems(interface: UserInterface) -> Iterator[str]:
    """Yield what is wrong with the addresses that a guest is given."""
    versions = [ip_interface(each.address).version for each in interface.addresses]
    for version in (4, 6):
        if versions.count(version) > 1:
            yield f"it has several addresses of IPv{version}, and its helper offers one; remove the others"
    for each in user_subnets(interface):
        size = each.guest.network.num_addresses
        if size <= _RESOLVER:
            yield f"{each.guest} leaves no room for the helper's own addresses: take a shorter prefix"
        elif str(each.guest.ip) in (each.gateway, each.resolver):
            yield f"{each.guest.ip} is the helper's own, as the second and third of a subnet are: take another"
