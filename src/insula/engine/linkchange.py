"""Changes of a network link that a running guest has: what is wanted, and what was there before.

Both are part of a container's record while a change is on its way, and survive JSON.
"""

from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TypeVar

from insula.engine.interfacespec import (
    Address,
    Interface,
    IpvlanInterface,
    MacvlanInterface,
    Route,
    UserInterface,
    VethInterface,
)
from insula.errors import InvalidArgumentError
from insula.kernel.interfacenames import is_interface_name

_MTU_LEAST, _MTU_MOST = 68, (1 << 31) - 1
"""What the kernel takes of any link; most take less. Source: dev_validate_mtu() in Linux' net/core/dev.c."""
_METRIC_MOST = (1 << 32) - 1
_Part = TypeVar("_Part", bound=Address | Route)


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkChange:
    """What is to become different of a link; None and empty tuples leave it as it is.

    up: whether it is switched on; mtu: bytes of a packet; name: its new one, at most 15 bytes of ASCII; add_…,
    remove_…: addresses and routes (of the main table), each as it is to be, or is. What is removed goes first.
    """

    up: bool | None = None
    mtu: int | None = None
    name: str | None = None
    add_addresses: tuple[Address, ...] = ()
    remove_addresses: tuple[Address, ...] = ()
    add_routes: tuple[Route, ...] = ()
    remove_routes: tuple[Route, ...] = ()

    @property
    def only_adds(self) -> bool:
        """Whether the kernel takes nothing away because of it, as it takes routes from a link that is switched off."""
        takes = self.up is False or self.mtu is not None or self.name is not None
        return not (takes or self.remove_addresses or self.remove_routes)

    def check(self) -> None:
        """Raises: InvalidArgumentError for what no kernel would take."""
        if self == LinkChange():
            raise InvalidArgumentError("the change of a link says nothing: give it what is to become different")
        if self.name is not None and not is_interface_name(self.name):
            raise InvalidArgumentError(f"{self.name!r} cannot name an interface: at most 15 bytes of ASCII, no '%:/'")
        if self.mtu is not None and not _MTU_LEAST <= self.mtu <= _MTU_MOST:
            raise InvalidArgumentError(f"an MTU is {_MTU_LEAST} bytes at least, not {self.mtu}")
        for address in (*self.add_addresses, *self.remove_addresses):
            _check_address(address.address, address.prefix)
            if address.peer is not None:
                _check_address(address.peer, address.prefix)
                _check_family(address.address, address.peer)
        for route in (*self.add_routes, *self.remove_routes):
            if route.gateway is None and route.destination is None:
                raise InvalidArgumentError("a route has a gateway, a destination, or both")
            if route.gateway is not None:
                _check_address(route.gateway, 0)
            if route.destination is not None:
                _check_address(route.destination, route.prefix)
            if route.gateway is not None and route.destination is not None:
                _check_family(route.destination, route.gateway)
            if route.metric is not None and not 0 <= route.metric <= _METRIC_MOST:
                raise InvalidArgumentError(f"a route's metric is a number of 32 bits, not {route.metric}")

    def of(self, interface: Interface) -> Interface:
        """Return what an interface of the spec is afterwards. A moved device's MTU is no part of a spec."""
        addresses = _changed(interface.addresses, self.add_addresses, self.remove_addresses)
        routes = _changed(interface.routes, self.add_routes, self.remove_routes)
        changed = replace(interface, guest=self.name or interface.guest, addresses=addresses, routes=routes)
        if self.up is not None:
            if isinstance(changed, VethInterface):
                changed = replace(changed, guest_up=self.up)
            else:
                changed = replace(changed, up=self.up)
        if self.mtu is not None and isinstance(
            changed, VethInterface | MacvlanInterface | IpvlanInterface | UserInterface
        ):
            changed = replace(changed, mtu=self.mtu)
        return changed


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkSnapshot:
    """A link as it was. index: within the guest, where it stays when the name changes; up, mtu: as in `LinkChange`.

    addresses, routes: the kernel's own messages of them in hexadecimal digits, in its order, by which all of each comes
    back; none where nothing of them can be lost.
    """

    index: int
    name: str
    up: bool
    mtu: int
    addresses: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()


def _changed(former: tuple[_Part, ...], added: tuple[_Part, ...], removed: tuple[_Part, ...]) -> tuple[_Part, ...]:
    gone = {_meaning(each) for each in removed}
    kept = [each for each in former if _meaning(each) not in gone]
    return (*kept, *added)


def _meaning(part: Address | Route) -> tuple[object, ...]:
    """Return what addresses, or routes, are told apart by: one address may be written in several ways."""
    if isinstance(part, Address):
        return (ip_address(part.address), part.prefix)
    target = ip_address(part.destination) if part.destination else None
    gateway = ip_address(part.gateway) if part.gateway else None
    return (target, part.prefix if target else 0, gateway, part.metric)


def _check_family(one: str, other: str) -> None:
    if ip_address(one).version != ip_address(other).version:
        raise InvalidArgumentError(f"{one} and {other} are of two versions of IP")


def _check_address(address: str, prefix: int) -> None:
    try:
        most = ip_address(address).max_prefixlen
    except ValueError as error:
        raise InvalidArgumentError(f"{address!r} is no IP address") from error
    if not 0 <= prefix <= most:
        raise InvalidArgumentError(f"the prefix of {address} has 0 to {most} bits, not {prefix}")
