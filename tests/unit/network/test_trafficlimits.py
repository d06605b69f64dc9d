"""Limits as the kernel's traffic control is told of them: pyroute2 must read what was meant."""

import struct
from typing import Any

import pytest

from insula.engine.interfacespec import TrafficLimits, TrafficRate
from insula.network.rtnetlink import MessageType, NetlinkRequest
from insula.network.trafficlimits import limit_traffic, open_ingress, police, shape
from tests.unit.network.kinds.conversation import Conversation


def decoded(request: NetlinkRequest) -> Any:
    from pyroute2.netlink.rtnl.tcmsg import tcmsg

    header = struct.pack("=IHHII", 16 + len(request.body), request.message, request.flags, 1, 0)
    message = tcmsg(header + request.body)
    message.decode()
    return message


def test_what_is_sent_to_the_guest_is_shaped_by_a_bucket_at_the_hosts_end() -> None:
    request = shape(7, TrafficRate(average=500_000, peak=1_000_000, burst=20_000))
    message = decoded(request)
    assert request.message is MessageType.NEW_QUEUE
    assert (message["index"], message["parent"], message["handle"]) == (7, 0xFFFFFFFF, 0x10000)
    assert message.get_attr("TCA_KIND") == "tbf"
    options = message.get_attr("TCA_OPTIONS")
    parameters = options.get_attr("TCA_TBF_PARMS")
    assert (parameters["rate"], parameters["peak"]) == (500_000, 1_000_000)
    assert parameters["limit"] > 20_000
    assert struct.unpack_from("=I", request.body, request.body.index(struct.pack("=HH", 8, 6)) + 4) == (20_000,)


def test_a_rate_beyond_32_bits_is_told_in_64() -> None:
    request = shape(7, TrafficRate(average=6_000_000_000))
    assert struct.pack("=HHQ", 12, 4, 6_000_000_000) in request.body
    assert struct.pack("=HHQ", 12, 8, 6_000_000_000) in police(7, TrafficRate(average=6_000_000_000)).body


def test_what_comes_from_the_guest_is_policed_where_it_enters() -> None:
    ingress = decoded(open_ingress(7))
    assert (ingress["parent"], ingress.get_attr("TCA_KIND")) == (0xFFFFFFF1, "ingress")
    message = decoded(police(7, TrafficRate(average=500_000)))
    assert (message["index"], message["parent"], message["info"]) == (7, 0xFFFF0000, 0x10300)
    assert message.get_attr("TCA_KIND") == "u32"
    action = message.get_attr("TCA_OPTIONS").get_attr("TCA_U32_ACT").get_attr("TCA_ACT_PRIO_1")
    assert action.get_attr("TCA_ACT_KIND") == "police"
    parameters = action.get_attr("TCA_ACT_OPTIONS").get_attr("TCA_POLICE_TBF")
    assert (parameters["rate"], parameters["action"]) == (500_000, 2)


@pytest.mark.parametrize(
    ("limits", "asked"),
    [
        (None, ["a former limit", "a former limit"]),
        (TrafficLimits(inbound=TrafficRate(average=1)), ["the limit of what is sent to the guest", "a former limit"]),
        (
            TrafficLimits(outbound=TrafficRate(average=1)),
            ["a former limit", "a former limit", *["the limit of what the guest sends"] * 2],
        ),
    ],
)
def test_former_limits_go_and_wanted_ones_come(limits: TrafficLimits | None, asked: list[str]) -> None:
    host = Conversation()
    limit_traffic(host.socket, 7, limits)
    assert host.asked == asked


def test_a_kernel_without_such_limits_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Conversation()

    def perform(*requests: NetlinkRequest) -> None:
        raise FileNotFoundError(2, "the limit of what the guest sends: No such file or directory")

    monkeypatch.setattr(host, "perform", perform)
    with pytest.raises(OSError, match="the kernel lacks what limits traffic") as caught:
        limit_traffic(host.socket, 7, TrafficLimits(outbound=TrafficRate(average=1)))
    assert caught.value.errno == 95
