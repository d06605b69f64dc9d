"""Addresses and routes of an interface, whatever its kind."""

from insula.engine.interfacespec import Address, Route, VethInterface
from insula.network.kinds.interfacedriver import configure
from tests.unit.network.kinds.conversation import Conversation

CARD = VethInterface(
    guest="eth0", addresses=(Address(address="10.0.0.2", prefix=24),), routes=(Route(gateway="10.0.0.1"),)
)


def test_routes_follow_once_it_is_switched_on() -> None:
    inside = Conversation()
    configure(inside.socket, 2, CARD)
    assert inside.asked == ["address 10.0.0.2/24", "interface 2 up", "default route by 10.0.0.1"]


def test_one_that_stays_off_has_its_addresses_alone() -> None:
    inside = Conversation()
    configure(inside.socket, 2, CARD, up=False)
    assert inside.asked == ["address 10.0.0.2/24"]
