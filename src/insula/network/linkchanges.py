"""Changes of one link inside a guest's network namespace, and their reverse.

Each function talks over a socket that was opened inside (`network.guestinterfaces.socket_in`); no program of the guest
takes part. A link is known by its index, which stays when its name changes.
"""

import errno
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address

from insula.engine.interfacespec import Address, Route
from insula.engine.linkchange import LinkChange, LinkSnapshot
from insula.network.links import (
    add_address,
    add_route,
    link,
    remove_address,
    remove_route,
    rename,
    rename_down,
    route_name,
    set_mtu,
    switch,
)
from insula.network.rtnetlink import NetlinkRequest, Rtnetlink
from insula.network.savedparts import (
    address_again,
    address_away,
    address_of,
    is_ipv4,
    is_route,
    route_again,
    routes_through,
    saved_addresses,
    saved_routes,
)

_MOST = 1024
"""Routes, and addresses, that are written down for a change that may take them away; a router's table is its routing
daemon's."""
_MOST_READ = 1 << 16
"""Routes of each family that are read to find those of a link, before anything is changed."""
_MOST_AGAIN = 1 << 20
"""The same when a change is undone: what the guest made meanwhile shall not keep it from that, nor cost all memory."""
_THERE = frozenset({errno.EEXIST})
_GONE = frozenset({errno.EADDRNOTAVAIL, errno.ESRCH, errno.ENOENT, errno.ENODEV})


def state_of(inside: Rtnetlink, name: str, change: LinkChange) -> LinkSnapshot | None:
    """Return a link as it is, with all that a change may take from it; None if there is none of that name.

    Raises: FileExistsError if it has what is to be added: then that could not be told from what was added; OSError with
    E2BIG for more routes or addresses than can be put back.
    """
    found = link(inside, name)
    if found is None:
        return None
    addresses, routes = saved_addresses(inside, found.index), routes_through(inside, found.index, most=_MOST_READ)
    for address in change.add_addresses:
        if ip_address(address.address).packed in map(address_of, addresses):
            raise FileExistsError(errno.EEXIST, f"it has the address {address.address} already")
    for route in change.add_routes:
        if any(is_route(each, route) for each in routes):
            raise FileExistsError(errno.EEXIST, f"the {route_name(route)} goes through it already")
    state = LinkSnapshot(index=found.index, name=found.name, up=found.up, mtu=found.mtu)
    if change.only_adds:
        return state
    saved = saved_routes(routes)
    if len(saved) > _MOST:
        raise OSError(errno.E2BIG, f"{len(saved)} routes go through it, and {_MOST} can be put back at most")
    if len(addresses) > _MOST:
        raise OSError(errno.E2BIG, f"it has {len(addresses)} addresses, and {_MOST} can be put back at most")
    return replace(state, addresses=tuple(each.hex() for each in addresses), routes=tuple(each.hex() for each in saved))


def perform_change(
    inside: Rtnetlink,
    former: LinkSnapshot,
    change: LinkChange,
    *,
    addresses: Iterable[Address] = (),
    routes: Iterable[Route] = (),
) -> None:
    """Make a link different.

    addresses, routes: what it was given and lost when it was switched off, for one that is switched on.
    Raises: OSError telling what the kernel refused; part of it is done then.
    """
    index = former.index
    for route in change.remove_routes:
        inside.perform(remove_route(index, route))
    for address in change.remove_addresses:
        inside.perform(remove_address(index, address))
    if change.name is not None and change.name != former.name:
        _rename(inside, former, change.name)
    if change.mtu is not None:
        inside.perform(set_mtu(index, change.mtu))
    if change.up is False:
        inside.perform(switch(index, up=False))
    for address in change.add_addresses:
        inside.perform(add_address(index, address))
    if change.up:
        inside.perform(switch(index, up=True))
        _each(inside, (add_address(index, each) for each in addresses), fine=_THERE)
        _each(inside, (add_route(index, each) for each in routes), fine=_THERE)
    for route in change.add_routes:
        inside.perform(add_route(index, route))


def restore(inside: Rtnetlink, former: LinkSnapshot, change: LinkChange) -> None:
    """Make a link what it was before a change that is done, in part, or not at all. May be called again.

    What the guest itself has added meanwhile stays. Raises: OSError of the first thing that cannot be had back, the
    others being back.
    """
    found = link(inside, former.index)
    if found is None:
        return
    failures: list[OSError] = []
    index = former.index
    routes = routes_through(inside, index, most=_MOST_AGAIN)
    addresses = {address_of(each) for each in saved_addresses(inside, index)}
    added = (
        *(remove_route(index, each) for each in change.add_routes if any(is_route(route, each) for route in routes)),
        *(remove_address(index, each) for each in change.add_addresses if ip_address(each.address).packed in addresses),
    )
    _each(inside, added, fine=_GONE, failures=failures)
    try:
        if found.name != former.name:
            _rename(inside, former, former.name)
        if found.mtu != former.mtu:
            inside.perform(set_mtu(former.index, former.mtu))
        inside.perform(switch(former.index, up=former.up))
    except OSError as error:
        failures.append(error)
    _put_back(inside, former, failures)
    if failures:
        raise failures[0]


def _rename(inside: Rtnetlink, former: LinkSnapshot, name: str) -> None:
    try:
        inside.perform(rename(former.index, name))
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        # Kernels before 6.2 rename only what is switched off, which costs its routes and its addresses of IPv6.
        inside.perform(rename_down(former.index, name))
        inside.perform(switch(former.index, up=former.up))
        failures: list[OSError] = []
        _put_back(inside, former, failures)
        if failures:
            raise failures[0] from error


def _put_back(inside: Rtnetlink, former: LinkSnapshot, failures: list[OSError]) -> None:
    """Give a link the addresses and routes again that it has lost."""
    addresses = [bytes.fromhex(each) for each in former.addresses]
    there = {address_of(each) for each in saved_addresses(inside, former.index)}
    ours = [each for each in addresses if is_ipv4(each)]
    if any(address_of(each) not in there for each in ours):
        # The first address of a network is the source of what is sent there: their order has a meaning.
        _each(inside, map(address_away, ours), fine=_GONE, failures=failures)
    _each(inside, map(address_again, addresses), fine=_THERE, failures=failures)
    # Those that others lead through come first, whatever order they are told in.
    routes = [route_again(bytes.fromhex(each)) for each in former.routes]
    _each(inside, routes, fine=_THERE, failures=[])
    _each(inside, routes, fine=_THERE, failures=failures)


def _each(
    inside: Rtnetlink,
    requests: Iterable[NetlinkRequest],
    *,
    fine: frozenset[int],
    failures: list[OSError] | None = None,
) -> None:
    """Have each carried out, whatever becomes of the others; fine: errnos that mean it is so already.

    failures: where the others go, raised if it is None.
    """
    for request in requests:
        try:
            inside.perform(request)
        except OSError as error:
            if error.errno in fine:
                continue
            if failures is None:
                raise
            failures.append(error)
