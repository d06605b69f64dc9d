"""Changes of links over a kernel that only pretends; tests/system/test_changed_links.py has the real one."""

import errno
from collections.abc import Collection

import pytest

from insula.engine.interfacespec import Address, Route
from insula.engine.linkchange import LinkChange, LinkSnapshot
from insula.network import linkchanges
from insula.network.linkchanges import perform_change, restore, state_of
from insula.network.links import Link, add_address, add_route
from insula.network.rtnetlink import NetlinkRequest, Rtnetlink
from tests.unit.network.kinds.conversation import Conversation, a_link

OLD, NEW = Address(address="10.0.0.2", prefix=24), Address(address="10.0.0.3", prefix=24)
WAY, FAR = Route(gateway="10.0.0.1"), Route(gateway="10.0.0.9", destination="192.0.2.0", prefix=24)
OLD_TOLD, WAY_TOLD = add_address(5, OLD).body, add_route(5, WAY).body
FORMER = LinkSnapshot(index=5, name="eth0", up=True, mtu=1500, addresses=(OLD_TOLD.hex(),), routes=(WAY_TOLD.hex(),))
CHANGE = LinkChange(
    up=False, mtu=1400, name="lan0", add_addresses=(NEW,), remove_addresses=(OLD,), remove_routes=(WAY,)
)


class Inside(Conversation):
    """A conversation in which some requests fail, by what they are about."""

    def __init__(self, **refused: int) -> None:
        super().__init__()
        self.refused = refused

    def perform(self, *requests: NetlinkRequest) -> None:
        super().perform(*requests)
        for request in requests:
            if (number := self.refused.pop(request.what, None)) is not None:
                raise OSError(number, f"{request.what}: no")


def there(
    monkeypatch: pytest.MonkeyPatch,
    found: Link | None,
    addresses: Collection[bytes] = (OLD_TOLD,),
    routes: Collection[bytes] = (WAY_TOLD,),
) -> None:
    """Let the guest have this link, with these addresses and routes."""

    def link(kernel: Rtnetlink, which: object) -> Link | None:
        return found

    monkeypatch.setattr(linkchanges, "link", link)
    monkeypatch.setattr(linkchanges, "saved_addresses", lambda kernel, index: list(addresses))
    monkeypatch.setattr(linkchanges, "routes_through", lambda kernel, index, most: list(routes))


def test_what_a_change_may_take_is_remembered_and_nothing_of_one_that_only_adds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there(monkeypatch, a_link("eth0"))
    assert state_of(Inside().socket, "eth0", CHANGE) == FORMER
    adding = LinkChange(add_addresses=(NEW,))
    assert state_of(Inside().socket, "eth0", adding) == LinkSnapshot(index=5, name="eth0", up=True, mtu=1500)
    there(monkeypatch, None)
    assert state_of(Inside().socket, "eth0", CHANGE) is None


def test_what_could_not_be_told_from_what_was_added_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    there(monkeypatch, a_link("eth0"))
    with pytest.raises(FileExistsError, match=r"it has the address 10\.0\.0\.2 already"):
        state_of(Inside().socket, "eth0", LinkChange(add_addresses=(OLD,)))
    with pytest.raises(FileExistsError, match=r"the default route by 10\.0\.0\.1 goes through it already"):
        state_of(Inside().socket, "eth0", LinkChange(add_routes=(WAY,)))


def test_a_routers_link_is_not_changed_at_the_peril_of_its_table(monkeypatch: pytest.MonkeyPatch) -> None:
    there(monkeypatch, a_link("eth0"), routes=[WAY_TOLD] * 1025)
    with pytest.raises(OSError, match="1025 routes go through it, and 1024 can be put back") as caught:
        state_of(Inside().socket, "eth0", CHANGE)
    assert caught.value.errno == errno.E2BIG
    assert state_of(Inside().socket, "eth0", LinkChange(add_addresses=(NEW,))) is not None


def test_addresses_that_a_guest_made_without_number_are_not_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    there(monkeypatch, a_link("eth0"), addresses=[OLD_TOLD] * 1025)
    with pytest.raises(OSError, match="it has 1025 addresses, and 1024 can be put back") as caught:
        state_of(Inside().socket, "eth0", CHANGE)
    assert caught.value.errno == errno.E2BIG


def test_what_is_removed_goes_first_and_routes_come_last() -> None:
    inside = Inside()
    perform_change(inside.socket, FORMER, CHANGE)
    assert inside.asked == [
        "default route by 10.0.0.1",
        "address 10.0.0.2/24",
        "interface 5 to be named lan0",
        "an MTU of 1400",
        "interface 5 down",
        "address 10.0.0.3/24",
    ]
    inside = Inside(**{"address 10.0.0.2/24": errno.EEXIST})
    perform_change(inside.socket, FORMER, LinkChange(up=True, add_routes=(FAR,)), addresses=(OLD,), routes=(WAY,))
    assert inside.asked == [
        "interface 5 up",
        "address 10.0.0.2/24",
        "default route by 10.0.0.1",
        "route to 192.0.2.0/24 by 10.0.0.9",
    ]


def test_a_kernel_that_renames_only_what_is_off_costs_a_link_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    there(monkeypatch, a_link("lan0"))
    inside = Inside(**{"interface 5 to be named lan0": errno.EBUSY})
    perform_change(inside.socket, FORMER, LinkChange(name="lan0"))
    assert inside.asked[:3] == ["interface 5 to be named lan0"] * 2 + ["interface 5 up"]
    assert "a former address" in inside.asked and "a former route" in inside.asked
    with pytest.raises(OSError, match="no"):
        perform_change(Inside(**{"interface 5 to be named lan0": errno.EEXIST}).socket, FORMER, LinkChange(name="lan0"))


def test_everything_is_put_back_whatever_of_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    there(monkeypatch, a_link("lan0"), addresses=[add_address(5, NEW).body], routes=[])
    inside = Inside(**{"an MTU of 1500": errno.EINVAL})
    found = a_link("lan0")
    monkeypatch.setattr(linkchanges, "link", lambda kernel, which: found)
    restore(inside.socket, FORMER, CHANGE)
    assert inside.asked[:3] == ["address 10.0.0.3/24", "interface 5 to be named eth0", "interface 5 up"]
    assert inside.asked[3:5] == ["a former address"] * 2, "off and on again: the first one is the source"
    inside = Inside(**{"interface 5 to be named eth0": errno.EEXIST})
    with pytest.raises(OSError, match="to be named eth0: no"):
        restore(inside.socket, FORMER, CHANGE)
    assert "a former route" in inside.asked


def test_a_link_that_is_gone_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    there(monkeypatch, None)
    inside = Inside()
    restore(inside.socket, FORMER, CHANGE)
    assert inside.asked == []
