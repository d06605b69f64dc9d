"""What a network sets aside for a guest it gets, whatever others want: real bridges, packets, and their counts."""

import fcntl
import socket
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from insula import Address, Container, Engine, VethInterface
from insula.engine.interfacespec import BridgePort, TrafficRate
from insula.errors import InsulaError
from insula.network.bridgerate import floors, set_aside, share_rate
from insula.network.counters import statistics
from insula.network.links import link
from insula.network.netlink import NetlinkPerformer
from insula.network.rtnetlink import Rtnetlink
from insula.network.virtual.guestends import GuestEnd
from tests.hostnet import HostNet
from tests.madenetworks import NAT, Networks
from tests.testhost import TestHost
from tests.waiting import patience, until

pytestmark = pytest.mark.requires("tc")

FIRST, SECOND = "52:54:00:aa:00:01", "52:54:00:aa:00:02"
RATE = 2_000_000
_SEND_BUFFER_FORCED = 32
"""SO_SNDBUFFORCE."""


def bridge_floors(host: TestHost, bridge: str) -> dict[str, int]:
    with host.network():
        kernel = Rtnetlink()
    with closing(kernel):
        found = link(kernel, bridge)
        return {} if found is None else floors(kernel, found.index)


def received(kernel: Rtnetlink, *ends: str) -> tuple[int, ...]:
    """Return the bytes that came to the guests with these ends on the host."""
    indices = [found.index for each in ends if (found := link(kernel, each)) is not None]
    counted = statistics(kernel, indices)
    return tuple(counted[each].received_bytes for each in indices)


def parts_of_a_flood(host: TestHost, kernel: Rtnetlink, most: int) -> tuple[int, int]:
    """Have packets wait for both guests until so many bytes came; return how many to each.

    Only what came while packets waited for both counts: who sends may have been kept waiting itself by a busy host.
    """
    with host.network(), ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2)]
        for number, each in enumerate(sockets, start=2):
            each.setblocking(False)
            each.setsockopt(socket.SOL_SOCKET, _SEND_BUFFER_FORCED, 300_000)  # less than a class keeps waiting
            each.connect((f"10.0.0.{number}", 9))
        before, got = received(kernel, "vnet0", "vnet1"), (0, 0)

        def enough() -> bool:
            nonlocal before, got
            waited = all(waiting(each) for each in sockets)
            now = received(kernel, "vnet0", "vnet1")
            if waited:
                got = (got[0] + now[0] - before[0], got[1] + now[1] - before[1])
            before = now
            for each in sockets:
                with suppress(BlockingIOError):
                    while True:
                        each.send(bytes(1400))
            return sum(got) > most

        until(enough, "the flood's end", 60)
    return got


def waiting(sender: socket.socket) -> int:
    """Return how much of what a socket sent waits in a queue: udp(7), TIOCOUTQ."""
    return int.from_bytes(fcntl.ioctl(sender, termios.TIOCOUTQ, bytes(4)), sys.byteorder)


@contextmanager
def two_guests(hostnet: HostNet) -> Iterator[Rtnetlink]:
    """Yield the host's side of a bridge that shares out `RATE`, with two guests that have addresses."""
    host = hostnet.host
    host.run("ip", "link", "add", "br0", "type", "bridge")
    host.run("ip", "address", "add", "10.0.0.1/24", "dev", "br0")
    host.run("ip", "link", "set", "br0", "up")
    with host.network():
        kernel = Rtnetlink()
    with closing(kernel), hostnet.guest("vnet0", "br0", mac=FIRST), hostnet.guest("vnet1", "br0", mac=SECOND):
        for number, mac in ((2, FIRST), (3, SECOND)):
            host.run("ip", "neighbour", "add", f"10.0.0.{number}", "lladdr", mac, "dev", "br0")
        try:
            yield kernel
        finally:
            host.run("ip", "link", "delete", "br0")


def test_two_guests_share_as_their_floors_say(hostnet: HostNet) -> None:
    """By what each has of one run, in the order of the promises: the machine's speed has no part in it."""
    with two_guests(hostnet) as kernel:
        bridge = link(kernel, "br0")
        assert bridge is not None
        share_rate(kernel, bridge.index, TrafficRate(average=RATE))
        set_aside(kernel, bridge.index, FIRST, RATE * 3 // 4)
        first, second = parts_of_a_flood(hostnet.host, kernel, RATE)
        assert 2 < first / second < 4.5
        set_aside(kernel, bridge.index, FIRST, RATE // 5)
        first, second = parts_of_a_flood(hostnet.host, kernel, RATE)
        assert 2.5 < second / first < 6
        set_aside(kernel, bridge.index, SECOND, RATE * 4 // 5)
        set_aside(kernel, bridge.index, FIRST, RATE // 5)
        first, second = parts_of_a_flood(hostnet.host, kernel, RATE)
        assert 2.5 < second / first < 6


def test_what_others_leave_is_everybodys(hostnet: HostNet) -> None:
    """A guest with a small floor gets more than that where nobody else wants it: about all there is."""
    with two_guests(hostnet) as kernel:
        bridge = link(kernel, "br0")
        assert bridge is not None
        share_rate(kernel, bridge.index, TrafficRate(average=RATE))
        set_aside(kernel, bridge.index, FIRST, RATE // 20)
        with hostnet.host.network():
            flood = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with flood:
            flood.settimeout(patience(30))
            flood.connect(("10.0.0.2", 9))
            began, (before,) = time.monotonic(), received(kernel, "vnet0")
            for _ in range(2 * RATE // 1400):
                flood.send(bytes(1400))
            (now,) = received(kernel, "vnet0")
            seconds = time.monotonic() - began
        assert (now - before) / seconds < RATE * 1.3
        assert now - before > RATE


LIMITED = NAT.replace("<forward", "<bandwidth><inbound average='2000' peak='4000'/></bandwidth><forward")


@pytest.mark.requires("dnsmasq")
def test_floors_that_somebody_took_away_come_back_and_those_of_guests_that_went_go(
    networks: Networks, hostnet: HostNet
) -> None:
    network, record = networks.start(LIMITED)
    ends = {"vnet0": GuestEnd(mac=FIRST, port=BridgePort(floor=1_000_000))}
    with hostnet.guest("vnet0", "virbr0", mac=FIRST):
        assert networks.settle(network, record, ends) == (f"the floor of the guest's card {FIRST} was set aside again",)
        assert networks.settle(network, record, ends) == ()
        networks.host.run("tc", "qdisc", "delete", "dev", "virbr0", "root")
        assert len(networks.settle(network, record, ends)) == 1
        assert bridge_floors(networks.host, "virbr0") == {FIRST: 1_000_000}
        assert "rate 16Mbit ceil 32Mbit" in networks.host.run("tc", "class", "show", "dev", "virbr0").stdout
        too_much = {"vnet0": GuestEnd(mac=FIRST, port=BridgePort(floor=5_000_000))}
        (told,) = networks.settle(network, record, too_much)
        assert "would overcommit 'peak'" in told
    assert networks.settle(network, record) == (
        f"what was set aside for the card {FIRST}, which is gone, was given back",
    )
    assert bridge_floors(networks.host, "virbr0") == {}


@pytest.mark.requires("userns", "busybox", "overlay.idmapped")
def test_a_floor_comes_changes_and_goes_with_its_card(test_host: TestHost, busybox_root: Path) -> None:
    test_host.run("ip", "link", "add", "br0", "type", "bridge")
    test_host.run("ip", "link", "set", "br0", "up")
    with test_host.network():
        performer, kernel = NetlinkPerformer(), Rtnetlink()

    def card(floor: int | None) -> VethInterface:
        return VethInterface(
            guest="eth0",
            bridge="br0",
            mac=FIRST,
            addresses=(Address(address="10.0.0.2", prefix=24),),
            port=BridgePort(floor=floor),
        )

    def guest(floor: int | None, engine: Engine, mac: str = FIRST) -> Container:
        init = ("/bin/sleep", "100000")
        given = replace(card(floor), mac=mac)
        return Container(busybox_root, init=init, ephemeral=True, interfaces=(given,), engine=engine)

    with closing(kernel), closing(performer), Engine(interfaces=performer) as engine:
        with pytest.raises(InsulaError, match="no inbound QoS set"):
            guest(1000, engine).start()
        bridge = link(kernel, "br0")
        assert bridge is not None
        share_rate(kernel, bridge.index, TrafficRate(average=RATE))
        with guest(1_000_000, engine) as first:
            assert bridge_floors(test_host, "br0") == {FIRST: 1_000_000}
            with pytest.raises(InsulaError, match="would overcommit 'average'"):
                guest(1_500_000, engine, SECOND).start()
            with pytest.raises(InsulaError, match="would overcommit 'average'"):
                first.replug_interface(card(RATE + 1000))
            assert bridge_floors(test_host, "br0") == {FIRST: 1_000_000}
            first.replug_interface(card(500_000))
            assert bridge_floors(test_host, "br0") == {FIRST: 500_000}
            with guest(1_500_000, engine, SECOND):
                assert bridge_floors(test_host, "br0") == {FIRST: 500_000, SECOND: 1_500_000}
            until(lambda: bridge_floors(test_host, "br0") == {FIRST: 500_000}, "the other's floor being given back")
            first.replug_interface(card(None))
            assert bridge_floors(test_host, "br0") == {}
            first.replug_interface(card(700_000))
        until(lambda: bridge_floors(test_host, "br0") == {}, "the floor being given back")
    test_host.run("ip", "link", "delete", "br0")
