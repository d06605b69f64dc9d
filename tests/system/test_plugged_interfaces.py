"""Interfaces that containers are given while they run, plugged in elsewhere, and that are taken away again."""

import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from insula import Address, Container, Engine, MacvlanInterface, MovedInterface, NetworkKind, Route, VethInterface
from insula.engine.interfacespec import Interface, IpvlanInterface, MacvlanMode
from insula.engine.keeper.link import completed
from insula.engine.launch.holdings import FormerPort, HalfPlugged, Interfaces
from insula.engine.launch.runningcontainer import ContainerRecord, Running
from insula.errors import OperationFailedError, OperationInvalidError, OperationUnsupportedError
from insula.network.netlink import NetlinkPerformer
from tests.exchanges import answered
from tests.testhost import TestHost

pytestmark = pytest.mark.requires("userns", "busybox", "overlay.idmapped")

IDLE = ("/bin/sleep", "100000")
FIRST = VethInterface(guest="eth0", bridge="br0", mac="52:54:00:12:34:56")
CARD = VethInterface(
    guest="eth1",
    bridge="br0",
    mac="52:54:00:12:34:57",
    addresses=(Address(address="10.0.0.2", prefix=24), Address(address="2001:db8::2", prefix=64)),
    routes=(Route(gateway="10.0.0.1"),),
)
ON_TOP = MacvlanInterface(guest="mac0", device="side0", mode=MacvlanMode.BRIDGE, mac="52:54:00:12:34:58")
MOVED = MovedInterface(guest="wan0", device="side0", addresses=(Address(address="192.0.2.2", prefix=24),))
EVERY = pytest.mark.parametrize("card", [CARD, ON_TOP, MOVED], ids=["veth", "macvlan", "moved"])


@pytest.fixture
def engine(test_host: TestHost) -> Iterator[Engine]:
    """On a host with bridges br0 and br1, and a device side0, whose other end is side1."""
    for bridge in ("br0", "br1"):
        test_host.run("ip", "link", "add", bridge, "type", "bridge")
        test_host.run("ip", "link", "set", bridge, "up")
    test_host.run("ip", "address", "add", "10.0.0.1/24", "dev", "br0")
    test_host.run("ip", "link", "add", "side0", "type", "veth", "peer", "name", "side1")
    test_host.run("ip", "link", "set", "side0", "up")
    test_host.run("ip", "link", "set", "side1", "up")
    with test_host.network():
        performer = NetlinkPerformer()
    with closing(performer), Engine(interfaces=performer) as made:
        yield made
    for link in ("br0", "br1", "side1"):
        test_host.run("ip", "link", "delete", link)


@pytest.fixture
def privileged() -> bool:
    return False


BOTH = pytest.mark.parametrize("privileged", [False, True], ids=["unprivileged", "privileged"])


@pytest.fixture
def guest(privileged: bool, busybox_root: Path, engine: Engine) -> Iterator[Container]:
    with Container(
        busybox_root, init=IDLE, ephemeral=True, privileged=privileged, interfaces=(FIRST,), engine=engine
    ) as made:
        yield made


def running(guest: Container) -> Running:
    return guest._life.alive()


def record(guest: Container) -> ContainerRecord:
    return running(guest).record


def inside(guest: Container, *words: str) -> str:
    return guest.run(list(words), check=True).stdout.decode()


def pings(guest: Container, *words: str) -> bool:
    return guest.run(["ping", "-c", "1", "-W", "1", *words]).returncode == 0


def links(guest: Container) -> list[str]:
    return sorted(inside(guest, "ls", "/sys/class/net").split())


def on_host(host: TestHost) -> list[str]:
    """Return the links of the host but those that it had at first."""
    names = [line.split(":")[1].split("@")[0].strip() for line in host.run("ip", "-o", "link").stdout.splitlines()]
    return sorted(set(names) - {"lo", "br0", "br1", "side1"})


@BOTH
def test_a_card_is_attached_carries_packets_and_goes_without_a_trace(guest: Container, test_host: TestHost) -> None:
    before = record(guest)
    guest.attach_interface(CARD)
    assert links(guest) == ["eth0", "eth1", "lo"]
    answered(test_host.pings, "10.0.0.2")
    answered(partial(pings, guest), "10.0.0.1")
    assert "default via 10.0.0.1 dev eth1" in inside(guest, "ip", "route")
    assert record(guest).spec.interfaces == (FIRST, CARD)
    assert [(each.guest, each.bridge) for each in record(guest).connected] == [("eth0", "br0"), ("eth1", "br0")]
    assert not any(isinstance(each, HalfPlugged) for each in record(guest).holdings)
    assert on_host(test_host) == ["side0", "vnet0", "vnet1"]
    guest.detach_interface("eth1")
    assert links(guest) == ["eth0", "lo"]
    assert on_host(test_host) == ["side0", "vnet0"]
    assert record(guest) == before


@BOTH
@EVERY
def test_one_of_every_kind_comes_goes_and_comes_again(guest: Container, test_host: TestHost, card: Interface) -> None:
    before = record(guest)
    for _ in range(2):
        guest.attach_interface(card)
        assert card.guest in links(guest)
        guest.detach_interface(card.guest)
        assert links(guest) == ["eth0", "lo"]
        assert (on_host(test_host), record(guest)) == (["side0", "vnet0"], before)
        test_host.run("ip", "link", "set", "side0", "up")


def test_a_device_of_the_host_is_the_guests_until_it_is_detached_and_comes_home_by_name(
    guest: Container, test_host: TestHost
) -> None:
    test_host.run("ip", "address", "add", "192.0.2.1/24", "dev", "side1")
    guest.attach_interface(MOVED)
    assert "side0" not in on_host(test_host)
    answered(test_host.pings, "192.0.2.2")
    inside(guest, "ip", "link", "set", "wan0", "down")
    inside(guest, "ip", "link", "set", "wan0", "name", "hidden0")
    guest.detach_interface("wan0")
    assert "side0" in on_host(test_host)
    assert "hidden0" not in links(guest)


@pytest.mark.requires("net.ipvlan")
def test_ipvlans_of_one_device_reach_one_another_and_what_is_beyond_it(guest: Container, test_host: TestHost) -> None:
    test_host.run("ip", "address", "add", "192.0.2.1/24", "dev", "side1")
    for number in (2, 3):
        address = Address(address=f"192.0.2.{number}", prefix=24)
        guest.attach_interface(IpvlanInterface(guest=f"ip{number}", device="side0", addresses=(address,)))
    answered(partial(pings, guest, "-I", "ip2"), "192.0.2.1")
    answered(test_host.pings, "192.0.2.3")
    guest.replug_interface(replace(record(guest).spec.interfaces[1], up=False))
    guest.detach_interface("ip2")
    guest.detach_interface("ip3")
    assert links(guest) == ["eth0", "lo"]


def test_where_the_kernel_has_no_ipvlan_that_is_told(guest: Container) -> None:
    card = IpvlanInterface(guest="ip0", device="lo")
    with pytest.raises((OperationFailedError, OperationUnsupportedError), match="cannot connect interface 'ip0': "):
        guest.attach_interface(card)
    assert links(guest) == ["eth0", "lo"]


def test_a_device_has_another_address_and_mtu_while_the_guest_has_it(guest: Container, test_host: TestHost) -> None:
    def told() -> str:
        words = test_host.run("ip", "-o", "link", "show", "side0").stdout.split()
        return " ".join((words[words.index("link/ether") + 1], words[words.index("mtu") + 1]))

    before = told()
    guest.attach_interface(replace(MOVED, mac="52:54:00:77:77:77", mtu=1400))
    assert inside(guest, "cat", "/sys/class/net/wan0/address", "/sys/class/net/wan0/mtu").split() == [
        "52:54:00:77:77:77",
        "1400",
    ]
    guest.detach_interface("wan0")
    assert told() == before


def test_a_device_that_was_attached_comes_home_when_the_guest_is_killed(
    busybox_root: Path, engine: Engine, test_host: TestHost
) -> None:
    with Container(busybox_root, init=IDLE, ephemeral=True, engine=engine) as guest:
        guest.attach_interface(MOVED)
        assert "side0" not in on_host(test_host)
        running(guest).signal(signal.SIGKILL)
    with Container(busybox_root, init=IDLE, ephemeral=True, interfaces=(MOVED,), engine=engine) as guest:
        assert "wan0" in links(guest)


def test_one_that_it_was_started_with_goes_too(guest: Container, test_host: TestHost) -> None:
    guest.detach_interface("eth0")
    assert links(guest) == ["lo"]
    assert on_host(test_host) == ["side0"]
    assert (record(guest).spec.interfaces, record(guest).connected) == ((), ())
    assert not any(isinstance(each, Interfaces) for each in record(guest).holdings)


def test_one_that_the_guest_has_removed_is_detached_all_the_same(guest: Container) -> None:
    guest.attach_interface(CARD)
    inside(guest, "ip", "link", "delete", "eth1")
    guest.detach_interface("eth1")
    assert record(guest).spec.interfaces == (FIRST,)
    with pytest.raises(OperationInvalidError, match="was given no interface 'eth1'"):
        guest.detach_interface("eth1")


def test_what_the_guest_calls_by_the_same_name_is_left_alone(guest: Container, test_host: TestHost) -> None:
    before = record(guest)
    inside(guest, "ip", "link", "add", "wan0", "type", "bridge")
    with pytest.raises(OperationFailedError, match="the guest has an interface 'wan0' already"):
        guest.attach_interface(MOVED)
    assert links(guest) == ["eth0", "lo", "wan0"]
    assert (on_host(test_host), record(guest)) == (["side0", "vnet0"], before)
    with pytest.raises(OperationInvalidError, match="has an interface 'eth0' already"):
        guest.attach_interface(replace(CARD, guest="eth0"))


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        (replace(CARD, bridge="nowhere"), "there is no bridge 'nowhere'"),
        (replace(CARD, bridge="side0"), "'side0' is no bridge"),
        (replace(CARD, host="br1"), "the host has an interface 'br1' already"),
        (replace(CARD, routes=CARD.routes * 2), "default route by 10.0.0.1: File exists"),
        (replace(ON_TOP, device="nowhere"), "the host has no network device 'nowhere'"),
        (replace(MOVED, device="lo"), "loopback cannot be moved"),
        (replace(MOVED, routes=CARD.routes * 2), "default route by 10.0.0.1: File exists"),
    ],
)
def test_what_cannot_be_made_leaves_nothing_inside_and_outside(
    guest: Container, test_host: TestHost, card: Interface, reason: str
) -> None:
    before = record(guest)
    with pytest.raises(OperationFailedError, match=reason) as caught:
        guest.attach_interface(card)
    assert not getattr(caught.value, "__notes__", [])
    assert (links(guest), on_host(test_host), record(guest)) == (["eth0", "lo"], ["side0", "vnet0"], before)


def master(host: TestHost, link: str) -> str:
    words = host.run("ip", "-o", "link", "show", link).stdout.split()
    return words[words.index("master") + 1] if "master" in words else ""


def test_a_card_changes_its_bridge_and_its_carrier_while_the_guest_keeps_it(
    guest: Container, test_host: TestHost
) -> None:
    guest.attach_interface(CARD)
    (host,) = [each.host for each in record(guest).connected if each.guest == "eth1"]
    index = inside(guest, "cat", "/sys/class/net/eth1/ifindex")
    guest.replug_interface(replace(CARD, bridge="br1", up=False))
    assert master(test_host, host) == "br1"
    assert inside(guest, "cat", "/sys/class/net/eth1/carrier").strip() == "0"
    assert [each.bridge for each in record(guest).connected] == ["br0", "br1"]
    assert record(guest).spec.interfaces[1] == replace(CARD, bridge="br1", up=False)
    assert not any(isinstance(each, FormerPort) for each in record(guest).holdings)
    guest.replug_interface(CARD)
    assert master(test_host, host) == "br0"
    assert inside(guest, "cat", "/sys/class/net/eth1/ifindex") == index
    answered(test_host.pings, "10.0.0.2")
    guest.replug_interface(replace(CARD, bridge=None))
    assert master(test_host, host) == ""


def test_what_cannot_change_while_it_is_plugged_in_is_refused(guest: Container) -> None:
    guest.attach_interface(ON_TOP)
    before = record(guest)
    with pytest.raises(OperationUnsupportedError, match="stands on 'side0' as long as it is plugged in"):
        guest.replug_interface(replace(ON_TOP, device="br1"))
    with pytest.raises(OperationUnsupportedError, match="is a macvlan as long as it is plugged in"):
        guest.replug_interface(replace(CARD, guest="mac0"))
    with pytest.raises(OperationFailedError, match="no bridge 'nowhere'"):
        guest.replug_interface(replace(FIRST, bridge="nowhere"))
    assert record(guest) == before


def test_a_shared_or_frozen_network_is_not_changed(guest: Container, busybox_root: Path, engine: Engine) -> None:
    guest.freeze()
    with pytest.raises(OperationInvalidError, match="is paused: resume it first"):
        guest.attach_interface(CARD)
    guest.thaw()
    with (
        Container(busybox_root, init=IDLE, ephemeral=True, network=NetworkKind.HOST, engine=engine) as other,
        pytest.raises(OperationInvalidError, match="has no network of its own"),
    ):
        other.attach_interface(CARD)


def dying(at: int) -> tuple[Callable[[ContainerRecord], None], list[ContainerRecord]]:
    """Return what writes records until the one before the at-th, and then dies; and what it wrote."""
    written: list[ContainerRecord] = []

    def write(now: ContainerRecord) -> None:
        if len(written) == at:
            raise KeyboardInterrupt
        written.append(now)

    return write, written


async def _nothing(*_: object, **__: object) -> list[OSError]:
    return []


@EVERY
def test_what_a_daemon_made_and_did_not_live_to_tell_of_is_taken_back_by_the_next(
    guest: Container, test_host: TestHost, card: Interface
) -> None:
    recorded = record(guest)
    interfaces, handle = guest._life.engine().launcher.interfaces, running(guest)
    write, written = dying(at=1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(type(guest._life.engine().launcher.changes._release), "walk", _nothing)
        with pytest.raises(KeyboardInterrupt):
            completed(interfaces.attach(handle, card, write))
    assert card.guest in links(guest)
    handle.record = ContainerRecord.decode(written[0].encode())
    completed(guest._life.engine().launcher.changes.settle(handle))
    assert (links(guest), on_host(test_host)) == (["eth0", "lo"], ["side0", "vnet0"])
    assert handle.record == recorded


@EVERY
def test_what_a_daemon_took_away_and_did_not_live_to_tell_of_is_struck_from_the_record_by_the_next(
    guest: Container, card: Interface
) -> None:
    recorded = record(guest)
    guest.attach_interface(card)
    interfaces, handle = guest._life.engine().launcher.interfaces, running(guest)
    write, _ = dying(at=0)
    there = record(guest)
    with pytest.raises(KeyboardInterrupt):
        completed(interfaces.detach(handle, card.guest, write))
    handle.record = ContainerRecord.decode(there.encode())
    completed(interfaces.settle(handle))
    assert handle.record == recorded


def test_a_card_that_a_daemon_plugged_in_elsewhere_and_did_not_live_to_tell_of_is_put_back_by_the_next(
    guest: Container, test_host: TestHost
) -> None:
    recorded = record(guest)
    interfaces, handle = guest._life.engine().launcher.interfaces, running(guest)
    write, written = dying(at=1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(type(guest._life.engine().launcher.changes._release), "walk", _nothing)
        with pytest.raises(KeyboardInterrupt):
            completed(interfaces.change_port(handle, replace(FIRST, bridge="br1", up=False), write))
    assert master(test_host, "vnet0") == "br1"
    handle.record = ContainerRecord.decode(written[0].encode())
    completed(guest._life.engine().launcher.changes.settle(handle))
    assert master(test_host, "vnet0") == "br0"
    assert handle.record == recorded
