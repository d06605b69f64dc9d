"""Traffic counters, asked of the running kernel."""

import socket

from insula.network.counters import statistics
from insula.network.links import LOOPBACK
from insula.network.rtnetlink import Rtnetlink


def test_what_lo_received_is_what_it_sent() -> None:
    with Rtnetlink() as kernel:
        (counters,) = statistics(kernel, [LOOPBACK]).values()
    assert counters.received_bytes == counters.sent_bytes
    assert counters.received_packets == counters.sent_packets


def test_traffic_is_counted() -> None:
    with Rtnetlink() as kernel, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        before = statistics(kernel, [LOOPBACK])[LOOPBACK]
        sender.bind(("127.0.0.1", 0))
        sender.sendto(b"x" * 1000, sender.getsockname())
        after = statistics(kernel, [LOOPBACK])[LOOPBACK]
    assert after.received_bytes >= before.received_bytes + 1000
    assert after.sent_packets > before.sent_packets


def test_interfaces_that_are_gone_are_left_out() -> None:
    with Rtnetlink() as kernel:
        assert set(statistics(kernel, [LOOPBACK, 2**31 - 1])) == {LOOPBACK}


def test_many_at_once_hold_the_same_interfaces_as_one_by_one() -> None:
    gone = [2**31 - each for each in range(1, 9)]
    with Rtnetlink() as kernel:
        assert set(statistics(kernel, [LOOPBACK, *gone])) == {LOOPBACK}


def test_no_interface_is_no_question() -> None:
    with Rtnetlink() as kernel:
        assert statistics(kernel, []) == {}
