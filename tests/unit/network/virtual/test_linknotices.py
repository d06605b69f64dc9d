"""The kernel's notices about interfaces: encoded by pyroute2, and asked of the kernel itself."""

import socket
from typing import Any

import pytest

from insula.kernel.classicbpf import INSTRUCTION
from insula.network.rtnetlink import MessageType
from insula.network.virtual.linknotices import LinkNews, LinkNotice, LinkNotices, _filter, notices_in


def message(kind: MessageType, index: int, *, flags: int = 1, family: int = 0, name: str = "") -> bytes:
    from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

    about_address = kind == MessageType.DELETE_ADDRESS
    made: Any = ifaddrmsg() if about_address else ifinfmsg()
    made["index"], made["family"] = index, family
    if not about_address:
        made["flags"] = flags
        made["attrs"] = [("IFLA_IFNAME", name)] if name else []
    made["header"]["type"] = kind
    made.encode()
    return bytes(made.data)


def test_what_goes_is_told_and_what_comes_is_not() -> None:
    said = (
        message(MessageType.DELETE_LINK, 7)
        + message(MessageType.NEW_LINK, 8)
        + message(MessageType.NEW_LINK, 9, flags=0)
        + message(MessageType.DELETE_ADDRESS, 10, family=socket.AF_INET)
    )
    assert list(notices_in(said)) == [
        LinkNotice(index=7, news=LinkNews.GONE),
        LinkNotice(index=9, news=LinkNews.OFF),
        LinkNotice(index=10, news=LinkNews.ADDRESS_GONE),
    ]


def test_a_port_that_leaves_a_bridge_is_no_interface_that_goes() -> None:
    assert list(notices_in(message(MessageType.DELETE_LINK, 7, family=socket.AF_BRIDGE))) == []


@pytest.mark.parametrize("cut", range(0, 33, 3))
def test_a_message_that_is_cut_short_ends_the_reading(cut: int) -> None:
    said = message(MessageType.DELETE_LINK, 7)
    list(notices_in(said[:cut]))


def passes(code: bytes, data: bytes) -> bool:
    """Run a filter as the kernel does: the few instructions that ours has."""
    instructions = list(INSTRUCTION.iter_unpack(code))
    at, word = 0, 0
    while True:
        kind, yes, no, value = instructions[at]
        at += 1
        match kind:
            case 0x54:
                word &= value
            case 0x20:
                word = int.from_bytes(data[value : value + 4], "big")
            case 0x15:
                at += yes if word == value else no
            case 0x05:
                at += value
            case 0x06:
                return bool(value)
            case _:
                raise AssertionError(kind)


@pytest.mark.parametrize("followed", [(), (7,), (7, 300, 70000), tuple(range(2, 900, 2)), tuple(range(5000))])
def test_the_filter_lets_through_what_is_followed(followed: tuple[int, ...]) -> None:
    code = _filter(followed)
    everything = len(followed) > 1000
    for index in (1, 7, 8, 300, 301, 898, 70000):
        for kind in (MessageType.NEW_LINK, MessageType.DELETE_ADDRESS):
            assert passes(code, message(kind, index)) == (everything or index in followed)


@pytest.mark.parametrize("followed", [(), (7,), tuple(range(2, 900, 2))])
def test_all_that_comes_passes_while_a_name_is_waited_for(followed: tuple[int, ...]) -> None:
    code = _filter(followed, names=True)
    for index in (1, 7, 70000):
        assert passes(code, message(MessageType.NEW_LINK, index))
        for kind in (MessageType.DELETE_LINK, MessageType.DELETE_ADDRESS):
            assert passes(code, message(kind, index)) == (index in followed)


def test_an_interface_of_an_awaited_name_is_told() -> None:
    said = message(MessageType.NEW_LINK, 7, name="br0") + message(MessageType.NEW_LINK, 8, name="br1", flags=0)
    assert list(notices_in(said, {"br0"})) == [
        LinkNotice(index=7, news=LinkNews.THERE, name="br0"),
        LinkNotice(index=8, news=LinkNews.OFF),
    ]


def test_nothing_waits_where_nothing_has_happened() -> None:
    notices = LinkNotices()
    notices.follow((1, 2, 3))
    assert list(notices.read()) == []
    notices.close()
