"""Changes of links: what cannot be meant is refused, and what a spec says afterwards."""

import json
from dataclasses import replace

import pytest

from insula.engine import codec
from insula.engine.interfacespec import Address, MacvlanInterface, MovedInterface, Route, VethInterface
from insula.engine.linkchange import LinkChange, LinkSnapshot
from insula.errors import InvalidArgumentError

FIRST, SECOND = Address(address="10.0.0.2", prefix=24), Address(address="2001:db8::2", prefix=64)
CARD = VethInterface(guest="eth0", bridge="br0", addresses=(FIRST, SECOND), routes=(Route(gateway="10.0.0.1"),))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (LinkChange(), "says nothing"),
        (LinkChange(name="a/b"), "cannot name an interface"),
        (LinkChange(mtu=67), "68 bytes at least, not 67"),
        (LinkChange(mtu=1 << 40), "68 bytes at least"),
        (LinkChange(add_addresses=(Address(address="10.0.0", prefix=8),)), "'10.0.0' is no IP address"),
        (LinkChange(remove_addresses=(Address(address="10.0.0.1", prefix=33),)), "0 to 32 bits, not 33"),
        (LinkChange(add_addresses=(Address(address="10.0.0.1", prefix=8, peer="::1"),)), "two versions of IP"),
        (LinkChange(add_routes=(Route(gateway=None),)), "a gateway, a destination, or both"),
        (LinkChange(remove_routes=(Route(gateway="::1", destination="10.0.0.0", prefix=8),)), "two versions of IP"),
        (LinkChange(add_routes=(Route(gateway="10.0.0.1", metric=-1),)), "a number of 32 bits, not -1"),
    ],
)
def test_what_no_kernel_would_take_is_refused(change: LinkChange, reason: str) -> None:
    with pytest.raises(InvalidArgumentError, match=reason):
        change.check()


def test_a_change_that_only_adds_takes_nothing_away() -> None:
    adding = LinkChange(up=True, add_addresses=(FIRST,), add_routes=(Route(gateway="10.0.0.1"),))
    adding.check()
    assert adding.only_adds
    for other in (
        LinkChange(up=False),
        LinkChange(mtu=9000),
        LinkChange(name="lan0"),
        LinkChange(remove_routes=CARD.routes),
    ):
        assert not other.only_adds


def test_an_interface_of_the_spec_is_afterwards_what_its_link_is() -> None:
    far = Route(gateway=None, destination="192.0.2.0", prefix=24)
    same = Address(address="2001:0db8::0002", prefix=64)
    change = LinkChange(up=False, mtu=1400, name="lan0", remove_addresses=(same,), add_routes=(far,))
    assert change.of(CARD) == replace(
        CARD, guest="lan0", mtu=1400, guest_up=False, addresses=(FIRST,), routes=(*CARD.routes, far)
    )
    macvlan, moved = MacvlanInterface(guest="eth0", device="d"), MovedInterface(guest="eth0", device="d")
    assert change.of(macvlan) == replace(macvlan, guest="lan0", mtu=1400, up=False, routes=(far,))
    assert change.of(moved) == replace(moved, guest="lan0", up=False, routes=(far,))


def test_what_was_before_survives_json() -> None:
    state = LinkSnapshot(index=2, name="eth0", up=True, mtu=1500, addresses=("0a18",), routes=("02",))
    assert codec.decode(LinkSnapshot, json.loads(json.dumps(codec.encode(state)))) == state
