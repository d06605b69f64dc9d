"""Messages of rtnetlink: pyroute2 reads what we write, and the running kernel answers what we ask."""

import errno
import os
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insula.network.rtnetlink import (
    MessageType,
    NetlinkRequest,
    Rtnetlink,
    as_number,
    as_text,
    attribute,
    attributes,
    number,
    text,
)

LINK_QUESTION = struct.pack("=BxHiII", 0, 0, 1, 0, 0)
NAME = 3


@given(st.dictionaries(st.integers(1, 0x3FFF), st.binary(max_size=40)))
def test_attributes_are_read_as_they_were_written(wanted: dict[int, bytes]) -> None:
    data = b"".join(attribute(kind, payload) for kind, payload in wanted.items())
    assert len(data) % 4 == 0
    assert attributes(data) == wanted


@given(st.binary(max_size=60))
def test_any_bytes_can_be_taken_for_attributes_without_harm(data: bytes) -> None:
    found = attributes(data)
    assert all(len(payload) <= len(data) for payload in found.values())


def test_a_flag_for_nesting_does_not_hide_an_attribute() -> None:
    assert attributes(attribute(0x8000 | 18, b"abc")) == {18: b"abc"}


def test_texts_end_with_a_zero_and_numbers_are_32_bits_wide() -> None:
    found = attributes(text(1, "eth0") + number(2, 0xFFFFFFFE))
    assert found[1] == b"eth0\0"
    assert as_text(found[1]) == "eth0"
    assert as_number(found[2]) == 0xFFFFFFFE


def test_the_kernel_shows_lo_by_its_index() -> None:
    with Rtnetlink() as kernel:
        body = kernel.show(NetlinkRequest(message=MessageType.SHOW_LINK, body=LINK_QUESTION, what="lo"))
    assert body is not None
    assert as_text(attributes(body, 16)[NAME]) == "lo"


def test_what_is_not_there_is_shown_as_none() -> None:
    question = struct.pack("=BxHiII", 0, 0, 2**31 - 1, 0, 0)
    with Rtnetlink() as kernel:
        assert kernel.show(NetlinkRequest(message=MessageType.SHOW_LINK, body=question, what="interface")) is None


def test_a_dump_holds_every_interface_the_c_library_knows() -> None:
    with Rtnetlink() as kernel:
        bodies = kernel.dump(
            NetlinkRequest(message=MessageType.SHOW_LINK, body=struct.pack("=BxHiII", 0, 0, 0, 0, 0), what="all")
        )
    names = {as_text(attributes(body, 16)[NAME]) for body in bodies}
    assert names == {name for _, name in socket.if_nameindex()}


def test_a_refusal_names_the_subject_and_the_kernels_reason() -> None:
    question = struct.pack("=BxHiII", 0, 0, 2**31 - 1, 1, 1)
    with Rtnetlink() as kernel, pytest.raises(OSError, match=r"interface 'x'") as caught:
        kernel.perform(NetlinkRequest(message=MessageType.SET_LINK, body=question, what="interface 'x'"))
    assert caught.value.errno in (errno.ENODEV, errno.EPERM)
    assert os.strerror(caught.value.errno) in str(caught.value)


def test_after_a_refusal_the_conversation_goes_on() -> None:
    bad = NetlinkRequest(message=MessageType.SET_LINK, body=struct.pack("=BxHiII", 0, 0, 2**31 - 1, 1, 1), what="bad")
    with Rtnetlink() as kernel:
        with pytest.raises(OSError, match="bad"):
            kernel.perform(bad, bad)
        assert kernel.show(NetlinkRequest(message=MessageType.SHOW_LINK, body=LINK_QUESTION, what="lo")) is not None


def test_nothing_to_perform_asks_nothing() -> None:
    with Rtnetlink() as kernel:
        kernel.perform()


def test_a_socket_opened_elsewhere_is_used_and_stays_its_owners() -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as owned:
        with Rtnetlink(owned.fileno()) as kernel:
            assert kernel.show(NetlinkRequest(message=MessageType.SHOW_LINK, body=LINK_QUESTION, what="lo")) is not None
        assert owned.fileno() >= 0
        owned.getsockname()


def test_more_than_is_wanted_is_refused_before_all_of_it_was_read() -> None:
    question = NetlinkRequest(message=MessageType.SHOW_ADDRESS, body=bytes(8), what="addresses")
    with Rtnetlink() as kernel:
        there = kernel.dump(question)
        assert kernel.dump(question, most=len(there)) == there
    with Rtnetlink() as kernel, pytest.raises(OSError, match=rf"addresses: more than {len(there) - 1}") as caught:
        kernel.dump(question, most=len(there) - 1)
    assert caught.value.errno == errno.E2BIG
