"""What ports of guests' interfaces have beside their bridge: isolation, limits, and that a running guest's change."""

import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from insula import Address, Container, Engine, VethInterface
from insula.engine.interfacespec import BridgePort, PortProtection, PortVlans, TrafficLimits, TrafficRate
from insula.errors import InsulaError, OperationUnsupportedError, UnsupportedConfigError
from insula.network.firewall.portrules import PortRules
from insula.network.netlink import NetlinkPerformer
from tests.exchanges import answered
from tests.testhost import TestHost
from tests.waiting import until

pytestmark = pytest.mark.requires("userns", "busybox", "overlay.idmapped")

IDLE = ("/bin/sleep", "100000")


class Guard:
    """Remembers who is protected."""

    def __init__(self) -> None:
        self.protected: dict[str, PortRules] = {}

    def protect(self, *ports: PortRules) -> None:
        if any(each.protection.filter == "nowhere" for each in ports):
            raise UnsupportedConfigError("there is no filter 'nowhere'")
        self.protected |= {each.host: each for each in ports}

    def release(self, *hosts: str) -> None:
        for each in hosts:
            self.protected.pop(each, None)


@pytest.fixture
def guard() -> Guard:
    return Guard()


@pytest.fixture
def engine(test_host: TestHost, guard: Guard) -> Iterator[Engine]:
    test_host.run("ip", "link", "add", "br0", "type", "bridge")
    test_host.run("ip", "link", "set", "br0", "up")
    test_host.run("ip", "address", "add", "10.0.0.1/24", "dev", "br0")
    with test_host.network():
        performer = NetlinkPerformer(guard)
    with closing(performer), Engine(interfaces=performer) as made:
        yield made
    test_host.run("ip", "link", "delete", "br0")


def card(number: int, port: BridgePort) -> VethInterface:
    return VethInterface(
        guest="eth0",
        host=f"port{number}",
        bridge="br0",
        mac=f"52:54:00:12:34:{number:02x}",
        addresses=(Address(address=f"10.0.0.{number}", prefix=24),),
        port=port,
    )


def reaches(guest: Container, address: str) -> bool:
    return guest.run(["ping", "-c", "1", "-W", "1", address]).returncode == 0


def started(root: Path, engine: Engine, *cards: VethInterface) -> list[Container]:
    return [Container(root, init=IDLE, ephemeral=True, interfaces=(each,), engine=engine) for each in cards]


def test_isolated_ports_reach_the_host_and_open_ports_but_not_one_another(busybox_root: Path, engine: Engine) -> None:
    apart, usual = BridgePort(isolated=True), BridgePort()
    with ExitStack() as stack:
        first, _, third = (
            stack.enter_context(each)
            for each in started(busybox_root, engine, card(2, apart), card(3, apart), card(4, usual))
        )
        answered(partial(reaches, first), "10.0.0.1", "10.0.0.4")
        answered(partial(reaches, third), "10.0.0.3")
        assert not reaches(first, "10.0.0.3")
        first.replug_interface(card(2, usual))
        until(lambda: reaches(first, "10.0.0.3"), "it being apart no more")
        first.replug_interface(card(2, apart))
        assert not reaches(first, "10.0.0.3")


@contextmanager
def served(host: TestHost, *command: str) -> Iterator[None]:
    server = host.start(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield
    server.kill()
    server.wait()


def queues(host: TestHost) -> str:
    return host.run("tc", "qdisc", "show", "dev", "port2").stdout


FAST = TrafficRate(average=100_000_000)
SLOW = TrafficRate(average=500_000, burst=10_000)


@pytest.mark.requires("tc")
def test_what_is_sent_to_a_guest_is_held_to_its_limit_which_changes_while_it_runs(
    busybox_root: Path, engine: Engine, test_host: TestHost, scratch: Path
) -> None:
    """What is limited takes as long as its bytes at that rate, or longer: that hangs on no machine's speed."""
    slow = BridgePort(limits=TrafficLimits(inbound=SLOW))
    (made,) = started(busybox_root, engine, card(2, slow))

    (scratch / "little").write_bytes(bytes(500_000))
    (scratch / "much").write_bytes(bytes(5_000_000))
    (scratch / "first").write_text("there\n")
    # Python's own asks the resolver for the name of its address, which is nobody's to tell here, before it listens.
    serve = ("busybox", "httpd", "-f", "-p", "10.0.0.1:8000", "-h", str(scratch))

    def fetch(guest: Container, name: str) -> bool:
        return guest.run(["wget", "-q", "-O", "/dev/null", f"http://10.0.0.1:8000/{name}"]).returncode == 0

    with made as guest, served(test_host, *serve):
        assert "tbf" in queues(test_host) and "rate 4Mbit" in queues(test_host)
        until(lambda: fetch(guest, "first"), "the server being there")
        began = time.monotonic()
        assert fetch(guest, "little")
        assert time.monotonic() - began > (500_000 - 10_000) / 500_000 * 0.9
        guest.replug_interface(card(2, BridgePort(limits=TrafficLimits(inbound=replace(FAST, peak=200_000_000)))))
        assert "rate 800Mbit" in queues(test_host) and "peakrate 1600Mbit" in queues(test_host)
        assert fetch(guest, "much")
        guest.replug_interface(card(2, BridgePort()))
        assert "tbf" not in queues(test_host)


@pytest.mark.requires("tc", "net.police")
def test_what_a_guest_sends_is_held_to_its_limit(busybox_root: Path, engine: Engine, test_host: TestHost) -> None:
    limits = TrafficLimits(outbound=TrafficRate(average=50_000, peak=100_000))
    (made,) = started(busybox_root, engine, card(2, BridgePort(limits=limits)))
    with made as guest:
        told = test_host.run("tc", "-s", "filter", "show", "dev", "port2", "ingress").stdout
        assert "police" in told and "rate 400Kbit" in told and "peakrate 800Kbit" in told
        flood = "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        flood += "for _ in range(1000): s.sendto(bytes(1400), ('10.0.0.1', 9))"
        network = f"--net=/proc/{guest._life.alive().pid}/ns/net"
        test_host.run("nsenter", network, sys.executable, "-c", flood)
        told = test_host.run("tc", "-s", "filter", "show", "dev", "port2", "ingress").stdout
        assert "dropped 0" not in told
        guest.replug_interface(card(2, BridgePort()))
        assert "ingress" not in queues(test_host)


def test_where_the_kernel_has_no_such_limit_nothing_is_started(
    busybox_root: Path, engine: Engine, test_host: TestHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> None:
        raise OSError(95, "the kernel lacks what limits traffic")

    monkeypatch.setattr("insula.network.kinds.portsettings.limit_traffic", missing)
    (made,) = started(busybox_root, engine, card(2, BridgePort(limits=TrafficLimits(outbound=SLOW))))
    with pytest.raises(InsulaError, match="cannot connect interface 'eth0': the kernel lacks what limits traffic"):
        made.start()
    assert "port2" not in test_host.run("ip", "link").stdout


@pytest.mark.requires("net.bridge-vlans")
def test_ports_carry_the_vlans_that_they_are_given(busybox_root: Path, engine: Engine, test_host: TestHost) -> None:
    test_host.run("ip", "link", "set", "br0", "type", "bridge", "vlan_filtering", "1")
    ten, twenty = BridgePort(vlans=PortVlans(native=10)), BridgePort(vlans=PortVlans(native=20))
    trunk = BridgePort(vlans=PortVlans(tagged=(10, 20)))
    with ExitStack() as stack:
        first, second, router = (
            stack.enter_context(each)
            for each in started(busybox_root, engine, card(2, ten), card(3, twenty), card(4, trunk))
        )
        assert not reaches(first, "10.0.0.3") and not reaches(first, "10.0.0.1")
        assert not reaches(router, "10.0.0.2"), "its address is of frames without a tag, which no VLAN here takes"
        router.run(
            ["sh", "-c", "ip link add link eth0 name eth0.10 type vlan id 10; ip link set eth0.10 up"], check=True
        )
        router.run(["sh", "-c", "ip addr flush dev eth0; ip addr add 10.0.0.4/24 dev eth0.10"], check=True)
        answered(partial(reaches, router), "10.0.0.2")
        assert not reaches(router, "10.0.0.3")
        second.replug_interface(card(3, ten))
        until(lambda: reaches(first, "10.0.0.3"), "both being in one VLAN")
        second.replug_interface(card(3, BridgePort()))
        until(lambda: reaches(second, "10.0.0.1"), "it being in the bridge's own VLAN")
        assert not reaches(first, "10.0.0.3")


def test_vlans_on_a_bridge_that_does_not_tell_them_apart_are_refused(busybox_root: Path, engine: Engine) -> None:
    (usual,) = started(busybox_root, engine, card(2, BridgePort()))
    with usual as guest, pytest.raises(OperationUnsupportedError, match=r"'br0' does not .* vlan_filtering 1"):
        guest.replug_interface(card(2, BridgePort(vlans=PortVlans(native=10))))


def test_a_protected_port_is_guarded_from_before_its_first_frame_until_it_is_gone(
    busybox_root: Path, engine: Engine, guard: Guard
) -> None:
    clean = BridgePort(protection=PortProtection(filter="clean-traffic", parameters=(("IP", "10.0.0.2"),)))
    (made,) = started(busybox_root, engine, card(2, clean))
    with made as guest:
        assert guard.protected == {
            "port2": PortRules(
                host="port2",
                mac="52:54:00:12:34:02",
                protection=PortProtection(filter="clean-traffic", parameters=(("IP", "10.0.0.2"),)),
                addresses=("10.0.0.2",),
            )
        }
        guest.replug_interface(card(2, BridgePort()))
        assert guard.protected == {}
        with pytest.raises(UnsupportedConfigError, match="no filter 'nowhere'"):
            guest.replug_interface(card(2, BridgePort(protection=PortProtection(filter="nowhere"))))
        guest.replug_interface(card(2, clean))
        other = replace(card(3, clean), guest="eth1")
        guest.attach_interface(other)
        assert set(guard.protected) == {"port2", "port3"}
        guest.detach_interface("eth1")
        assert set(guard.protected) == {"port2"}


BRIDGE_GROUP = "01:80:c2:00:00:00"
CLAIM_OF_THE_ROOT = bytes.fromhex(
    "424203 0000 00 00 00 0000020000000001 00000000 0000020000000001 8001 0000 1400 0200 0f00"
)
"""A configuration message of STP by the best of all bridges. Source: IEEE 802.1D-2004, 9.3.1."""


def speak_stp(host: TestHost, guest: Container) -> None:
    """Have a guest say that it is the root of the bridges' tree."""
    send = "import socket, sys; s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(('eth0', 0))\n"
    send += "s.send(bytes.fromhex(sys.argv[1]))"
    frame = bytes.fromhex(BRIDGE_GROUP.replace(":", "") + "525400123402") + struct.pack("!H", len(CLAIM_OF_THE_ROOT))
    network = f"--net=/proc/{guest._life.alive().pid}/ns/net"
    host.run("nsenter", network, sys.executable, "-c", send, (frame + CLAIM_OF_THE_ROOT).hex())


def waits(host: TestHost, ticks: int) -> bool:
    """Whether the bridge has a port wait for so long, which the root of the tree says."""
    return f" forward_delay {ticks} " in host.run("ip", "-d", "link", "show", "br0").stdout


def test_a_guest_that_speaks_stp_is_cut_off_and_changes_nothing_unless_it_is_trusted(
    busybox_root: Path, engine: Engine, test_host: TestHost
) -> None:
    test_host.run("ip", "link", "set", "br0", "type", "bridge", "stp_state", "1", "forward_delay", "200")
    with ExitStack() as stack:
        usual, trusted = (
            stack.enter_context(each)
            for each in started(busybox_root, engine, card(2, BridgePort()), card(3, BridgePort(trusted=True)))
        )
        until(lambda: reaches(usual, "10.0.0.1") and reaches(trusted, "10.0.0.1"), "both ports forwarding")
        speak_stp(test_host, usual)
        until(lambda: "state disabled" in test_host.run("bridge", "link", "show", "dev", "port2").stdout, "the guard")
        assert waits(test_host, 200)
        answered(partial(reaches, trusted), "10.0.0.1")
        # A cable that is pulled out and put in again, as the administrator does it: virsh domif-setlink.
        usual.replug_interface(replace(card(2, BridgePort()), up=False))
        usual.replug_interface(card(2, BridgePort(trusted=True)))
        until(lambda: reaches(usual, "10.0.0.1"), "the port forwarding again")
        speak_stp(test_host, trusted)
        until(lambda: waits(test_host, 1500), "the bridge following the trusted guest")


def test_a_bridge_that_learns_nothing_of_a_port_knows_the_guest_by_its_own_address_alone(
    busybox_root: Path, engine: Engine, test_host: TestHost
) -> None:
    known = BridgePort(only_mac="52:54:00:12:34:02")
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(each) for each in started(busybox_root, engine, card(2, known), card(3, BridgePort()))
        )
        answered(partial(reaches, second), "10.0.0.2")
        answered(partial(reaches, first), "10.0.0.1")
        first.run(["ip", "link", "set", "eth0", "address", "52:54:00:00:00:99"], check=True)
        assert not reaches(first, "10.0.0.1"), "what is for an unknown address is not sent there"
        table = test_host.run("bridge", "fdb", "show", "br", "br0").stdout
        assert "52:54:00:12:34:02 dev port2 master br0 static" in table
        assert "52:54:00:00:00:99" not in table
        first.replug_interface(card(2, BridgePort()))
        until(lambda: reaches(first, "10.0.0.1"), "the bridge learning again")
