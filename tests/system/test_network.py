"""Interfaces of containers, made and unmade in network namespaces of the test's own."""

import os
import socket
import subprocess
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import pytest

from insula.engine.interfaceperformer import ConnectedInterface
from insula.engine.interfacespec import (
    Address,
    Interface,
    MacvlanInterface,
    MacvlanMode,
    MovedInterface,
    Route,
    VethInterface,
)
from insula.errors import OperationFailedError
from insula.network.counters import statistics
from insula.network.guestinterfaces import guest_interfaces, socket_inside
from insula.network.netlink import NetlinkPerformer
from insula.network.rtnetlink import Rtnetlink
from tests.exchanges import answered
from tests.testhost import TestHost
from tests.waiting import until

T = TypeVar("T")

CARD = VethInterface(guest="eth0", bridge="br0", mac="52:54:00:12:34:56")


def finished(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine that must not suspend."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    raise AssertionError("the coroutine suspended")


@dataclass(frozen=True, kw_only=True)
class Guest:
    """A network namespace with one process in it."""

    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        return self.process.pid

    def run(self, *argv: str) -> str:
        return subprocess.run(
            ["nsenter", f"--net=/proc/{self.pid}/ns/net", "--", *argv], check=True, capture_output=True, text=True
        ).stdout

    def pings(self, address: str) -> bool:
        return self.run("sh", "-c", f"busybox ping -c 1 -W 2 {address} >&2 && echo yes || echo no").strip() == "yes"

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@dataclass(frozen=True, kw_only=True)
class Site:
    """A host with a bridge `br0`, a performer on it, and guests."""

    host: TestHost
    performer: NetlinkPerformer
    stack: ExitStack

    def guest(self) -> Guest:
        """Return a new guest; it ends with the test."""
        process = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec sleep 1000"], stdout=subprocess.PIPE)
        guest = Guest(process=process)
        self.stack.callback(guest.end)
        assert process.stdout is not None
        with process.stdout as output:
            output.readline()
        return guest

    def connect(self, guest: Guest, *cards: Interface) -> tuple[ConnectedInterface, ...]:
        inside = socket_inside(guest.pid)
        try:
            return finished(self.performer.connect(cards, netns_pid=guest.pid, netlink=inside))
        finally:
            os.close(inside)

    def links(self) -> set[str]:
        return {line.split()[0].partition("@")[0] for line in self.host.run("ip", "-br", "link").stdout.splitlines()}


@pytest.fixture
def site(test_host: TestHost) -> Iterator[Site]:
    with ExitStack() as stack:
        test_host.run("ip", "link", "add", "br0", "type", "bridge")
        stack.callback(test_host.run, "ip", "link", "delete", "br0")
        test_host.run("ip", "link", "set", "br0", "up")
        test_host.run("ip", "address", "add", "10.0.0.1/24", "dev", "br0")
        with test_host.network():
            performer = NetlinkPerformer()
        stack.callback(performer.close)
        yield Site(host=test_host, performer=performer, stack=stack)


@pytest.mark.machine("capabilities")
def test_a_guest_reaches_the_host_over_the_bridge(site: Site) -> None:
    guest = site.guest()
    card = replace(
        CARD,
        addresses=(Address(address="10.0.0.2", prefix=24), Address(address="2001:db8::2", prefix=64)),
        routes=(Route(gateway="10.0.0.1"), Route(gateway="10.0.0.9", destination="192.0.2.0", prefix=24)),
    )
    (connected,) = site.connect(guest, card)
    assert connected == ConnectedInterface(
        guest="eth0", host="vnet0", host_index=connected.host_index, bridge="br0", mac="52:54:00:12:34:56"
    )
    answered(guest.pings, "10.0.0.1")
    answered(site.host.pings, "10.0.0.2")
    assert "default via 10.0.0.1 dev eth0" in guest.run("ip", "route")
    assert "192.0.2.0/24 via 10.0.0.9 dev eth0" in guest.run("ip", "route")
    addresses = guest.run("ip", "address", "show", "dev", "eth0")
    assert "inet 10.0.0.2/24 brd 10.0.0.255" in addresses
    assert "inet6 2001:db8::2/64 scope global" in addresses
    assert "2001:db8::2/64 scope global tentative" not in addresses
    assert "52:54:00:12:34:56" in addresses
    port = site.host.run("ip", "-d", "link", "show", "vnet0").stdout
    assert "master br0" in port
    assert "fe:54:00:12:34:56" in port
    assert "UP" in port


def test_a_guest_without_interfaces_has_lo_up(site: Site) -> None:
    guest = site.guest()
    assert site.connect(guest) == ()
    (lo,) = guest_interfaces(guest.pid)
    assert (lo.name, lo.up, lo.mac) == ("lo", True, "")
    assert Address(address="127.0.0.1", prefix=8) in lo.addresses


def test_a_gateway_outside_of_the_guests_own_prefix_is_taken_to_be_on_the_link(site: Site) -> None:
    guest = site.guest()
    card = replace(CARD, addresses=(Address(address="10.0.0.2", prefix=32),), routes=(Route(gateway="10.0.0.1"),))
    site.connect(guest, card)
    answered(guest.pings, "10.0.0.1")


def test_several_cards_have_their_names_and_the_host_free_ones(site: Site) -> None:
    one, other = site.guest(), site.guest()
    site.connect(one, replace(CARD, mac=None), replace(CARD, guest="lan0", host="web-lan", mac=None))
    connected = site.connect(other, replace(CARD, mac=None))
    assert {each.name for each in guest_interfaces(one.pid)} == {"lo", "eth0", "lan0"}
    assert [each.host for each in connected] == ["vnet1"]
    assert {"vnet0", "web-lan", "vnet1"} <= site.links()


def test_the_pair_goes_when_the_guest_ends(site: Site) -> None:
    guest = site.guest()
    connected = site.connect(guest, CARD)
    guest.end()
    finished(site.performer.disconnect(connected))
    until(lambda: "vnet0" not in site.links(), "the host's end being gone")
    finished(site.performer.disconnect(connected))


def test_the_pair_goes_even_if_somebody_holds_the_guests_namespace(site: Site) -> None:
    guest = site.guest()
    connected = site.connect(guest, CARD)
    held = os.open(f"/proc/{guest.pid}/ns/net", os.O_RDONLY)
    try:
        guest.end()
        finished(site.performer.disconnect(connected))
        until(lambda: "vnet0" not in site.links(), "the host's end being gone")
    finally:
        os.close(held)


def test_a_restarted_guest_gets_its_host_name_at_once_although_the_kernel_still_removes_the_old_one(site: Site) -> None:
    card = replace(CARD, host="web0")
    for _ in range(5):
        guest = site.guest()
        (connected,) = site.connect(guest, card)
        assert connected.host == "web0"
        guest.end()
        finished(site.performer.disconnect([connected]))
    until(lambda: not any(name.startswith(("web0", "dying")) for name in site.links()), "all pairs being gone")


def test_the_bridge_keeps_its_mtu_and_gives_it_to_guests(site: Site) -> None:
    site.host.run("ip", "link", "set", "br0", "mtu", "9000")
    guest = site.guest()
    site.connect(guest, CARD)
    assert "mtu 9000" in guest.run("ip", "link", "show", "eth0")
    assert "mtu 9000" in site.host.run("ip", "link", "show", "br0").stdout


def test_a_guests_own_mtu_is_given_to_both_ends(site: Site) -> None:
    guest = site.guest()
    site.connect(guest, replace(CARD, mtu=1400))
    assert "mtu 1400" in guest.run("ip", "link", "show", "eth0")
    assert "mtu 1400" in site.host.run("ip", "link", "show", "vnet0").stdout


def test_a_card_whose_link_is_down_has_no_carrier_and_keeps_its_configuration(site: Site) -> None:
    guest = site.guest()
    card = replace(
        CARD, up=False, addresses=(Address(address="10.0.0.2", prefix=24),), routes=(Route(gateway="10.0.0.1"),)
    )
    site.connect(guest, card)
    until(lambda: "NO-CARRIER" in guest.run("ip", "link", "show", "eth0"), "no carrier")
    site.host.run("ip", "link", "set", "vnet0", "up")
    until(lambda: "NO-CARRIER" not in guest.run("ip", "link", "show", "eth0"), "the carrier")
    answered(guest.pings, "10.0.0.1")


@pytest.mark.parametrize(
    ("card", "complaint"),
    [
        (replace(CARD, bridge="br9"), "there is no bridge 'br9' on the host"),
        (replace(CARD, bridge="lo"), "'lo' is no bridge"),
        (replace(CARD, host="br0"), "the host has an interface 'br0' already"),
        (replace(CARD, guest="lo"), "the guest has an interface 'lo' already"),
        (replace(CARD, addresses=(Address(address="10.0.0.2", prefix=24),) * 2), "address 10.0.0.2/24: File exists"),
        (
            replace(CARD, routes=(Route(gateway="10.0.0.1", destination="192.0.2.1", prefix=24),)),
            "route to 192.0.2.1/24 by 10.0.0.1: Invalid argument",
        ),
        (replace(CARD, mac="ff:ff:ff:ff:ff:ff"), "veth pair"),
    ],
)
def test_a_failure_names_the_card_and_undoes_all_cards_of_the_guest(
    site: Site, card: VethInterface, complaint: str
) -> None:
    guest = site.guest()
    good = replace(CARD, guest="first", mac=None)
    before = site.links()
    with pytest.raises(OperationFailedError, match=f"cannot connect interface '{card.guest}': .*{complaint}"):
        site.connect(guest, good, card)
    assert site.links() == before
    assert [each.name for each in guest_interfaces(guest.pid)] == ["lo"]


def test_counters_are_the_guests_view(site: Site) -> None:
    guest = site.guest()
    (connected,) = site.connect(guest, replace(CARD, addresses=(Address(address="10.0.0.2", prefix=24),)))
    with site.host.network(), Rtnetlink() as kernel:
        before = statistics(kernel, [connected.host_index])[connected.host_index]
        answered(guest.pings, "10.0.0.1")
        guest.run("busybox", "ping", "-c", "3", "-i", "0.01", "-s", "1000", "10.0.0.1")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(20):
                sender.sendto(b"x" * 1000, ("10.0.0.2", 9))
        after = statistics(kernel, [connected.host_index])[connected.host_index]
        sent, received = after.sent_bytes - before.sent_bytes, after.received_bytes - before.received_bytes
        assert sent > 3000
        assert received > sent + 15000
        assert statistics(kernel, [connected.host_index, 91, 92, 93, 94, 95]).keys() == {connected.host_index}


def test_addresses_are_read_inside_the_guest_whoever_gave_them(site: Site) -> None:
    guest = site.guest()
    site.connect(guest, CARD)
    guest.run("ip", "address", "add", "192.0.2.7/28", "dev", "eth0")
    guest.run("ip", "address", "add", "2001:db8::7/64", "dev", "eth0", "nodad")
    (_, eth0) = guest_interfaces(guest.pid)
    assert (eth0.name, eth0.mac, eth0.up) == ("eth0", "52:54:00:12:34:56", True)
    assert Address(address="192.0.2.7", prefix=28) in eth0.addresses
    assert Address(address="2001:db8::7", prefix=64) in eth0.addresses


def test_looking_inside_leaves_the_caller_where_it_was(site: Site) -> None:
    guest = site.guest()
    before = os.readlink("/proc/thread-self/ns/net")
    guest_interfaces(guest.pid)
    assert os.readlink("/proc/thread-self/ns/net") == before


def test_fifty_guests_at_once_get_fifty_names(site: Site) -> None:
    guests = [site.guest() for _ in range(50)]
    names = {site.connect(guest, replace(CARD, mac=None))[0].host for guest in guests}
    assert names == {f"vnet{number}" for number in range(50)}


def macvlan(number: int, mode: MacvlanMode = MacvlanMode.BRIDGE) -> MacvlanInterface:
    address = Address(address=f"10.0.7.{number}", prefix=24)
    return MacvlanInterface(guest="eth0", device="lower0", mode=mode, addresses=(address,))


@pytest.fixture
def lower(site: Site) -> Iterator[Site]:
    """A site with a device `lower0`, the other end of `upper0`."""
    site.host.run("ip", "link", "add", "lower0", "type", "veth", "peer", "name", "upper0")
    site.host.run("ip", "link", "set", "upper0", "up")
    site.host.run("ip", "link", "set", "lower0", "up")
    yield site
    site.host.run("ip", "link", "delete", "upper0")


def test_macvlans_of_one_device_reach_each_other_and_have_no_end_on_the_host(lower: Site) -> None:
    one, other = lower.guest(), lower.guest()
    before = lower.links()
    (first,) = lower.connect(one, macvlan(1))
    lower.connect(other, macvlan(2))
    answered(one.pings, "10.0.7.2")
    assert lower.links() == before
    assert "macvlan mode bridge" in one.run("ip", "-d", "link", "show", "eth0")
    assert first.mac in one.run("ip", "link", "show", "eth0")


def test_a_device_that_passes_through_is_free_again_once_its_guest_has_ended(lower: Site) -> None:
    for number in range(3):
        guest = lower.guest()
        connected = lower.connect(guest, macvlan(number, MacvlanMode.PASSTHROUGH))
        held = os.open(f"/proc/{guest.pid}/ns/net", os.O_RDONLY)
        try:
            guest.end()
            finished(lower.performer.disconnect(connected))
            until(lambda: "macvlan" not in lower.host.run("ip", "-d", "link").stdout, "no macvlan being left")
            until(lambda: _is_free(lower), "the device being free")
        finally:
            os.close(held)


def _is_free(site: Site) -> bool:
    guest = site.guest()
    try:
        undone = site.connect(guest, macvlan(9, MacvlanMode.PASSTHROUGH))
    except OperationFailedError:
        return False
    finished(site.performer.disconnect(undone))
    until(lambda: "eth0" not in guest.run("ip", "-br", "link"), "the trial being undone")
    return True


def test_a_moved_device_is_the_guests_and_comes_back_when_it_ends(lower: Site) -> None:
    lower.host.run("ip", "address", "add", "10.0.8.1/24", "dev", "upper0")
    for _ in range(3):
        guest = lower.guest()
        address = Address(address="10.0.8.2", prefix=24)
        connected = lower.connect(guest, MovedInterface(guest="wan", device="lower0", addresses=(address,)))
        assert "lower0" not in lower.links()
        answered(guest.pings, "10.0.8.1")
        guest.run("ip", "link", "set", "wan", "down")
        guest.run("ip", "link", "set", "wan", "name", "whatever")
        guest.end()
        finished(lower.performer.disconnect(connected))
        until(lambda: "lower0" in lower.links(), "the device being back")
        finished(lower.performer.disconnect(connected))


@pytest.mark.parametrize(
    "device",
    [
        pytest.param(("type", "dummy"), marks=pytest.mark.requires("link.dummy"), id="dummy"),
        pytest.param(
            ("link", "upper0", "type", "vlan", "id", "7"), marks=pytest.mark.requires("net.bridge-vlans"), id="vlan"
        ),
    ],
)
def test_a_device_of_software_comes_home_with_its_own_address_and_mtu(lower: Site, device: tuple[str, ...]) -> None:
    lower.host.run("ip", "link", "add", "name", "soft0", "mtu", "1400", "address", "52:54:00:00:77:01", *device)
    guest = lower.guest()
    wanted = MovedInterface(guest="wan", device="soft0", mac="52:54:00:00:77:02", mtu=1300)
    connected = lower.connect(guest, wanted)
    assert "soft0" not in lower.links()
    shown = guest.run("ip", "-o", "link", "show", "wan")
    assert "52:54:00:00:77:02" in shown and "mtu 1300" in shown
    guest.run("ip", "link", "set", "wan", "down")
    guest.run("ip", "link", "set", "wan", "name", "whatever")
    guest.end()
    finished(lower.performer.disconnect(connected))
    until(lambda: "soft0" in lower.links(), "the device being back")

    def as_before() -> bool:
        told = lower.host.run("ip", "link", "show", "soft0").stdout
        return "52:54:00:00:77:01" in told and "mtu 1400" in told

    until(as_before, "its own address and MTU")
    lower.host.run("ip", "link", "delete", "soft0")


def test_a_device_whose_name_somebody_has_by_then_comes_back_under_another(lower: Site) -> None:
    guest = lower.guest()
    connected = lower.connect(guest, MovedInterface(guest="wan", device="lower0"))
    lower.host.run("ip", "link", "add", "lower0", "type", "bridge")
    guest.end()
    finished(lower.performer.disconnect(connected))
    until(lambda: "back0" in lower.links(), "the device being back")
    lower.host.run("ip", "link", "delete", "lower0")


@pytest.mark.parametrize(
    ("card", "complaint"),
    [
        (MacvlanInterface(guest="b", device="gone"), "the host has no network device 'gone'"),
        (MovedInterface(guest="b", device="gone"), "the host has no network device 'gone'"),
        (MovedInterface(guest="b", device="lo"), "loopback cannot be moved"),
        (MacvlanInterface(guest="a", device="upper0"), "macvlan a: File exists"),
        (MovedInterface(guest="a", device="upper0"), "the guest has an interface 'a' already"),
    ],
)
def test_a_failed_card_gives_back_what_was_moved_before_it(lower: Site, card: Interface, complaint: str) -> None:
    guest = lower.guest()
    before = lower.links()
    with pytest.raises(OperationFailedError, match=f"cannot connect interface '{card.guest}': .*{complaint}"):
        lower.connect(guest, MovedInterface(guest="a", device="lower0"), card)
    assert lower.links() == before
    assert [each.name for each in guest_interfaces(guest.pid)] == ["lo"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (MacvlanMode.PASSTHROUGH, MacvlanMode.BRIDGE),
        (MacvlanMode.PASSTHROUGH, MacvlanMode.PASSTHROUGH),
        (MacvlanMode.BRIDGE, MacvlanMode.PASSTHROUGH),
    ],
)
def test_a_second_macvlan_beside_one_that_passes_through_is_refused_with_the_reason(
    lower: Site, first: MacvlanMode, second: MacvlanMode
) -> None:
    lower.connect(lower.guest(), macvlan(1, first))
    other = lower.guest()
    with pytest.raises(
        OperationFailedError, match=f"'lower0' takes no macvlan of mode '{second.value}': .* the only one"
    ):
        lower.connect(other, macvlan(2, second))
    assert [each.name for each in guest_interfaces(other.pid)] == ["lo"]


def test_a_macvlan_on_a_device_that_is_off_is_refused_and_not_left(lower: Site) -> None:
    lower.host.run("ip", "link", "set", "lower0", "down")
    guest = lower.guest()
    with pytest.raises(OperationFailedError, match="'lower0' is switched off"):
        lower.connect(guest, macvlan(1))
    assert [each.name for each in guest_interfaces(guest.pid)] == ["lo"]
