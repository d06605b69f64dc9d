"""What a bridge shares out, and sets aside; tests/system/test_floors.py has the kernel's side."""

import errno
import struct
from typing import Any, cast

import pytest

from insula.engine.interfacespec import TrafficRate
from insula.network.bridgerate import floors, set_aside, set_aside_no_more, share_rate
from insula.network.rtnetlink import MessageType, NetlinkFlag, NetlinkRequest, Rtnetlink
from insula.network.trafficwords import SUBJECT

BRIDGE = 7
MAC, OTHER, THIRD = "52:54:00:00:00:01", "52:54:00:00:00:02", "52:54:00:00:00:03"


class Kernel:
    """A traffic control that keeps what it is told, and tells it."""

    def __init__(self) -> None:
        self.kept: dict[MessageType, dict[int, bytes]] = {MessageType.SHOW_CLASS: {}, MessageType.SHOW_FILTER: {}}
        self.queues: list[bytes] = []
        self.lacking = False

    @property
    def socket(self) -> Rtnetlink:
        return cast("Rtnetlink", self)

    def dump(self, request: NetlinkRequest) -> list[bytes]:
        return list(self.kept[request.message].values())

    def perform(self, *requests: NetlinkRequest) -> None:
        for each in requests:
            self._perform(each)

    def _perform(self, request: NetlinkRequest) -> None:
        if self.lacking:
            raise FileNotFoundError(errno.ENOENT, request.what)
        _, _, handle, _, information = SUBJECT.unpack_from(request.body)
        classes, filters = self.kept[MessageType.SHOW_CLASS], self.kept[MessageType.SHOW_FILTER]
        match request.message:
            case MessageType.NEW_QUEUE:
                self.queues.append(request.body)
            case MessageType.NEW_CLASS:
                if handle in classes and NetlinkFlag.EXCLUSIVE in request.flags:
                    raise FileExistsError(errno.EEXIST, request.what)
                classes[handle] = request.body
            case MessageType.NEW_FILTER:
                filters[information] = request.body
            case MessageType.DELETE_CLASS:
                classes.pop(handle, None)
            case MessageType.DELETE_FILTER:
                filters.pop(information, None)
            case _:
                raise OSError(errno.ENOENT, request.what)


@pytest.fixture
def kernel() -> Kernel:
    made = Kernel()
    share_rate(made.socket, BRIDGE, TrafficRate(average=1_000_000))
    return made


def decoded(message: MessageType, body: bytes) -> Any:
    from pyroute2.netlink.rtnl.tcmsg import tcmsg

    read = tcmsg(struct.pack("=IHHII", 16 + len(body), message, 0, 1, 0) + body)
    read.decode()
    return read


def test_a_bridge_has_one_rate_which_all_that_nothing_is_set_aside_for_share(kernel: Kernel) -> None:
    whole, others = (decoded(MessageType.NEW_CLASS, each) for each in kernel.kept[MessageType.SHOW_CLASS].values())
    assert (whole["handle"], whole["parent"], others["handle"], others["parent"]) == (
        0x10001,
        0xFFFFFFFF,
        0x10002,
        0x10001,
    )
    assert whole.get_attr("TCA_KIND") == "htb"
    rate = whole.get_attr("TCA_OPTIONS").get_attr("TCA_HTB_PARMS")
    assert (rate["rate"], rate["ceil"]) == (1_000_000, 1_000_000)
    shared = others.get_attr("TCA_OPTIONS").get_attr("TCA_HTB_PARMS")
    assert shared["ceil"] == 1_000_000 and shared["rate"] < 10_000
    tree, waiting = (decoded(MessageType.NEW_QUEUE, each) for each in kernel.queues)
    assert (tree["handle"], tree.get_attr("TCA_KIND")) == (0x10000, "htb")
    assert (waiting["parent"], waiting.get_attr("TCA_KIND")) == (0x10002, "bfifo")


def test_a_rate_that_changes_keeps_the_tree_and_what_is_set_aside(kernel: Kernel) -> None:
    set_aside(kernel.socket, BRIDGE, MAC, 400_000)
    share_rate(kernel.socket, BRIDGE, TrafficRate(average=6_000_000_000, peak=7_000_000_000))
    assert floors(kernel.socket, BRIDGE) == {MAC: 400_000}
    set_aside(kernel.socket, BRIDGE, OTHER, 5_000_000_000)
    assert floors(kernel.socket, BRIDGE)[OTHER] == 5_000_000_000


def test_a_guests_class_is_found_by_its_mac_address(kernel: Kernel) -> None:
    set_aside(kernel.socket, BRIDGE, MAC, 400_000)
    (body,) = kernel.kept[MessageType.SHOW_FILTER].values()
    read = decoded(MessageType.NEW_FILTER, body)
    options = read.get_attr("TCA_OPTIONS")
    assert (read["parent"], read.get_attr("TCA_KIND")) == (0x10000, "u32")
    assert options.get_attr("TCA_U32_CLASSID") == 0x10003
    address = bytes.fromhex(MAC.replace(":", ""))
    assert address[:4] + struct.pack("=ii", -14, 0) in body
    assert address[4:] + bytes(2) + struct.pack("=ii", -10, 0) in body


def test_a_floor_changes_and_is_given_back(kernel: Kernel) -> None:
    for floor in (400_000, 400_000, 700_000):
        set_aside(kernel.socket, BRIDGE, MAC, floor)
        assert floors(kernel.socket, BRIDGE) == {MAC: floor}
    set_aside(kernel.socket, BRIDGE, OTHER, 300_000)
    for _ in range(2):
        set_aside_no_more(kernel.socket, BRIDGE, MAC)
        assert floors(kernel.socket, BRIDGE) == {OTHER: 300_000}
    assert len(kernel.kept[MessageType.SHOW_CLASS]) == 3


@pytest.mark.parametrize(("rate", "word"), [(TrafficRate(average=900, peak=1000), "peak"), (None, "average")])
def test_floors_that_do_not_fit_are_refused_and_nothing_changes(
    kernel: Kernel, rate: TrafficRate | None, word: str
) -> None:
    if rate is not None:
        share_rate(kernel.socket, BRIDGE, TrafficRate(average=rate.average * 1000, peak=1_000_000))
    set_aside(kernel.socket, BRIDGE, MAC, 400_000)
    set_aside(kernel.socket, BRIDGE, OTHER, 600_000)
    for mac, floor in ((THIRD, 1000), (OTHER, 601_000)):
        with pytest.raises(OSError, match=f"would overcommit '{word}' on its network: of 1000 kilobytes") as caught:
            set_aside(kernel.socket, BRIDGE, mac, floor)
        assert caught.value.errno == errno.EDQUOT
        assert floors(kernel.socket, BRIDGE) == {MAC: 400_000, OTHER: 600_000}


def test_who_starts_at_the_same_time_takes_another_class(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The class that seemed to be free is another guest's by now."""
    dump = kernel.dump
    set_aside(kernel.socket, BRIDGE, MAC, 1000)
    known = {MessageType.SHOW_CLASS: 2, MessageType.SHOW_FILTER: 0}
    monkeypatch.setattr(kernel, "dump", lambda request: dump(request)[: known[request.message]])
    set_aside(kernel.socket, BRIDGE, OTHER, 2000)
    monkeypatch.undo()
    assert floors(kernel.socket, BRIDGE) == {MAC: 1000, OTHER: 2000}


def test_a_bridge_without_a_rate_and_a_kernel_without_classes_refuse() -> None:
    kernel = Kernel()
    with pytest.raises(OSError, match=r"invalid use of 'floor' .* no inbound QoS set"):
        set_aside(kernel.socket, BRIDGE, MAC, 1000)
    kernel.lacking = True
    with pytest.raises(OSError, match="the kernel lacks what limits traffic") as caught:
        share_rate(kernel.socket, BRIDGE, TrafficRate(average=1))
    assert caught.value.errno == errno.EOPNOTSUPP
