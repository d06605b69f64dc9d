"""Who the host answers for, and how it is told; tests/system/test_routed_guests.py has the packets."""

import struct
from typing import Any

import pytest

from insula.engine.interfacespec import Address, VethInterface
from insula.network.kinds import routedends
from insula.network.kinds.routedends import answer_for, answer_no_more, leave_unanswered, neighbours_of
from insula.network.rtnetlink import MessageType, NetlinkRequest
from tests.unit.network.kinds.conversation import Conversation, a_link


def decoded(request: NetlinkRequest) -> Any:
    from pyroute2.netlink.rtnl.ndmsg import ndmsg

    header = struct.pack("=IHHII", 16 + len(request.body), request.message, request.flags, 1, 0)
    message = ndmsg(header + request.body)
    message.decode()
    return message


@pytest.mark.parametrize(("address", "family"), [("192.0.2.7", 2), ("2001:db8::7", 10)])
def test_an_answer_is_a_proxied_neighbour(address: str, family: int) -> None:
    request = answer_for(7, address)
    message = decoded(request)
    assert request.message is MessageType.NEW_NEIGHBOUR
    assert (message["family"], message["ifindex"], message["flags"]) == (family, 7, 8)
    assert message.get_attr("NDA_DST") == address
    assert leave_unanswered(7, address).message is MessageType.DELETE_NEIGHBOUR


def test_the_host_answers_where_an_address_has_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    links = [a_link("lo", 1), a_link("eth0", 2, mac="52:54:00:00:00:02"), a_link("eth1", 3, mac="52:54:00:00:00:03")]
    own = [
        (2, Address(address="192.0.2.1", prefix=24)),
        (3, Address(address="198.51.100.1", prefix=32)),
        (3, Address(address="2001:db8::1", prefix=64)),
        (9, Address(address="192.0.2.9", prefix=24)),
    ]
    monkeypatch.setattr(routedends, "all_links", lambda host: links)
    monkeypatch.setattr(routedends, "all_addresses", lambda host: own)
    card = VethInterface(
        guest="eth0",
        addresses=(
            Address(address="192.0.2.7", prefix=32),
            Address(address="2001:db8::7", prefix=128),
            Address(address="10.0.0.7", prefix=32),
        ),
    )
    assert neighbours_of(Conversation().socket, card) == (("192.0.2.7", "eth0"), ("2001:db8::7", "eth1"))


def test_what_is_answered_for_no_more_may_be_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Conversation()
    monkeypatch.setattr(routedends, "link", lambda kernel, name: a_link("eth0") if name == "eth0" else None)
    answer_no_more(host.socket, (("192.0.2.7", "eth0"), ("192.0.2.8", "gone0")))
    assert host.asked == ["the answer for 192.0.2.7"]
