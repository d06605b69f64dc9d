"""An ipvlan as the kernel is told of it, and its end; tests/system/test_plugged_interfaces.py has the rest."""

import errno
import re
import struct
from dataclasses import replace
from typing import Any

import pytest

from insula.engine.interfaceperformer import ConnectedInterface, InterfaceKind
from insula.engine.interfacespec import IpvlanInterface, IpvlanLayer
from insula.network.kinds.ipvlan import IpvlanKind
from insula.network.links import of_process
from insula.network.rtnetlink import NetlinkRequest
from tests.unit.network.kinds.conversation import Conversation, a_link

ENDED = ConnectedInterface(
    guest="eth0", host="", host_index=0, bridge=None, mac="52:54:00:00:00:01", kind=InterfaceKind.IPVLAN, guest_index=3
)


def decoded(request: NetlinkRequest) -> Any:
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

    header = struct.pack("=IHHII", 16 + len(request.body), request.message, request.flags, 1, 0)
    message = ifinfmsg(header + request.body)
    message.decode()
    return message


@pytest.mark.parametrize(("layer", "mode"), [(IpvlanLayer.L2, 0), (IpvlanLayer.L3, 1), (IpvlanLayer.L3S, 2)])
def test_it_is_made_in_its_place_on_a_device_of_ours(layer: IpvlanLayer, mode: int) -> None:
    wanted = IpvlanInterface(guest="eth0", device="eth7", layer=layer, mtu=1400)
    request = IpvlanKind().creation(wanted, "at52", a_link("eth7", 3), of_process(4711), "52:54:00:00:00:01")
    message = decoded(request)
    assert message.get_attr("IFLA_IFNAME") == "at52"
    assert message.get_attr("IFLA_ADDRESS") is None
    assert message.get_attr("IFLA_LINK") == 3
    assert message.get_attr("IFLA_MTU") == 1400
    assert message.get_attr("IFLA_NET_NS_PID") == 4711
    information = message.get_attr("IFLA_LINKINFO")
    assert information.get_attr("IFLA_INFO_KIND") == "ipvlan"
    assert information.get_attr("IFLA_INFO_DATA").get_attr("IFLA_IPVLAN_MODE") == mode


def test_it_is_removed_where_the_guests_network_is_still_open_and_left_to_the_kernel_elsewhere() -> None:
    host, inside = Conversation(), Conversation()
    IpvlanKind().end(ENDED, host.socket, inside.socket, 9)
    IpvlanKind().end(ENDED, host.socket, None, 9)
    assert (host.asked, inside.asked) == ([], ["interface 3"])


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EOPNOTSUPP, "this host's kernel has no ipvlan"),
        (errno.EBUSY, "the host's device 'eth7' takes no ipvlan: .* devices with macvlans"),
        (errno.EINVAL, "the host's device 'eth7' takes no ipvlan: .* devices with macvlans"),
    ],
)
def test_a_refusal_says_what_takes_none(number: int, words: str) -> None:
    refusal = IpvlanKind().refusal(OSError(number, "refused"), IpvlanInterface(guest="eth0", device="eth7"))
    assert refusal is not None and re.fullmatch(words, refusal)


def test_what_the_kernel_says_by_itself_is_left_as_it_is() -> None:
    assert IpvlanKind().refusal(OSError(errno.EPERM, "no"), IpvlanInterface(guest="eth0", device="eth7")) is None


def test_it_stands_elsewhere_on_another_device_or_layer() -> None:
    former = IpvlanInterface(guest="eth0", device="eth7")
    assert not IpvlanKind().is_elsewhere(ENDED, former, replace(former, up=False))
    assert IpvlanKind().is_elsewhere(ENDED, former, replace(former, device="eth8"))
    assert IpvlanKind().is_elsewhere(ENDED, former, replace(former, layer=IpvlanLayer.L3))
