"""Rules of virtual networks, proven with packets between namespaces of the test's own."""

import asyncio
import errno
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, ip_address, ip_network

import pytest

from insula.model.networksettings import TransportProtocol
from insula.network.firewall.firewall import Firewall
from insula.network.firewall.networkrules import ForwardedPort, NetworkRules, Reach
from insula.network.firewall.rulewatch import RuleWatch
from tests.exchanges import exchanged, listening, socket_in
from tests.hostnet import GATEWAY, GATEWAY_6, HOST_ADDRESS, HOST_ADDRESS_6, UPLINK, HostNet
from tests.testhost import TestHost
from tests.waiting import patience, scaled

pytestmark = pytest.mark.requires("nft")

GUEST, FAR, OUTER = "192.0.2.10", GATEWAY, HOST_ADDRESS
GUEST6, FAR6, OUTER6 = "2001:db8:1::10", GATEWAY_6, HOST_ADDRESS_6
WAYS = ("192.0.2.1", "2001:db8:1::1")
"""The guests' gateways: the host's addresses on the bridge."""
REFUSALS = {errno.EHOSTUNREACH, errno.EACCES, errno.ECONNREFUSED, errno.ENETUNREACH}
"""What a socket says of a refusal by ICMP: "administratively prohibited" of IPv4, of IPv6."""

RULES = NetworkRules(
    name="test",
    bridge="br0",
    reach=Reach.NAT,
    subnets=(ip_network("192.0.2.0/24"), ip_network("2001:db8:1::/64")),
    nat_ipv6=True,
)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A host with the bridge br0 and a guest on it, and a machine beyond the uplink that knows a way to the guest."""

    net: HostNet
    host: TestHost
    guest: TestHost
    far: TestHost
    firewall: Firewall

    def apply(self, *rules: NetworkRules) -> None:
        self.host.inside(lambda: self.firewall.apply(*rules))

    def ruleset(self) -> str:
        return self.host.run("nft", "list", "ruleset").stdout


@pytest.fixture
def scene(hostnet: HostNet) -> Iterator[Scene]:
    host, far = hostnet.host, hostnet.outside
    host.run("ip", "link", "add", "br0", "up", "type", "bridge")
    for gateway, length in zip(WAYS, (24, 64), strict=True):
        host.run("ip", "address", "add", f"{gateway}/{length}", "dev", "br0", *nodad(gateway))
    host.run("sysctl", "-q", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
    for subnet, gateway in zip(RULES.subnets, (OUTER, OUTER6), strict=True):
        far.run("ip", "route", "add", str(subnet), "via", gateway)
    with hostnet.guest("vnet0", "br0") as guest:
        give(guest, GUEST, GUEST6)
        yield Scene(net=hostnet, host=host, guest=guest, far=far, firewall=Firewall("insula-test"))
        host.run("nft", "flush", "ruleset")
        host.run("ip", "link", "delete", "br0")


def nodad(address: str) -> tuple[str, ...]:
    """An address of IPv6 is usable at once only where duplicates are not looked for."""
    return ("nodad",) if ":" in address else ()


def give(guest: TestHost, *addresses: str) -> None:
    """Give a guest on br0 its addresses, and the host for a gateway."""
    for address, length, way in zip(addresses, (24, 64), WAYS, strict=True):
        guest.run("ip", "address", "add", f"{address}/{length}", "dev", "eth0", *nodad(address))
        guest.run("ip", "route", "add", "default", "via", way)


def exchange(scene: Scene, to: str, kind: socket.SocketKind, *, port: int = 4000) -> tuple[str, int]:
    """Have the guest ask the machine beyond, and return by what address and port it appears there."""
    with listening(scene.far, to, port, kind) as listener, socket_in(scene.guest, to, kind) as client:
        return exchanged(client, to, port, listener)


def refused(client: socket.socket, address: str, *, port: int = 4000) -> bool:
    """Whether what is sent there is answered with a refusal, which the socket is told at once."""
    with client:
        try:
            client.connect((address, port))
            if client.type == socket.SOCK_DGRAM:
                client.send(b"question")
                client.recv(100)
        except OSError as error:
            return error.errno in REFUSALS
        return False


KINDS = pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["tcp", "udp"])
PLACES = pytest.mark.parametrize(("far", "outer"), [(FAR, OUTER), (FAR6, OUTER6)], ids=["ipv4", "ipv6"])


@KINDS
@PLACES
def test_guests_behind_nat_appear_by_the_hosts_address(
    scene: Scene, kind: socket.SocketKind, far: str, outer: str
) -> None:
    scene.apply(RULES)
    assert exchange(scene, far, kind)[0] == outer


@KINDS
def test_guests_behind_nat_appear_by_the_range_that_is_asked_for(scene: Scene, kind: socket.SocketKind) -> None:
    scene.host.run("ip", "address", "add", "203.0.113.77/32", "dev", UPLINK)
    address = IPv4Address("203.0.113.77")
    scene.apply(replace(RULES, nat_addresses=(address, address), nat_ports=(3000, 3010)))
    who, port = exchange(scene, FAR, kind)
    assert who == "203.0.113.77"
    assert 3000 <= port <= 3010


def test_ipv6_behind_nat_is_routed_unless_its_translation_is_asked_for(scene: Scene) -> None:
    scene.apply(replace(RULES, nat_ipv6=False))
    assert exchange(scene, FAR6, socket.SOCK_STREAM)[0] == GUEST6
    assert exchange(scene, FAR, socket.SOCK_STREAM)[0] == OUTER


@KINDS
@pytest.mark.parametrize("address", [GUEST, GUEST6], ids=["ipv4", "ipv6"])
def test_nobody_outside_reaches_a_guest_behind_nat(scene: Scene, kind: socket.SocketKind, address: str) -> None:
    scene.apply(RULES)
    with listening(scene.guest, address, 4000, kind):
        assert refused(socket_in(scene.far, address, kind), address)


@KINDS
@pytest.mark.parametrize("address", [GUEST, GUEST6], ids=["ipv4", "ipv6"])
def test_a_routed_network_is_reached_from_outside_by_its_own_addresses(
    scene: Scene, kind: socket.SocketKind, address: str
) -> None:
    scene.apply(replace(RULES, reach=Reach.ROUTE))
    with listening(scene.guest, address, 4000, kind) as listener, socket_in(scene.far, address, kind) as client:
        assert exchanged(client, address, 4000, listener)[0] == (FAR if address == GUEST else FAR6)
    assert exchange(scene, FAR if address == GUEST else FAR6, kind)[0] == address


@KINDS
@PLACES
def test_guests_of_an_isolated_network_reach_the_host_and_nothing_beyond(
    scene: Scene, kind: socket.SocketKind, far: str, outer: str
) -> None:
    scene.apply(replace(RULES, reach=Reach.ISOLATED))
    with listening(scene.far, far, 4000, kind):
        assert refused(socket_in(scene.guest, far, kind), far)
    guest = GUEST if far == FAR else GUEST6
    with listening(scene.guest, guest, 4000, kind):
        assert refused(socket_in(scene.far, guest, kind), guest)
    at_host = "192.0.2.1" if far == FAR else "2001:db8:1::1"
    with (
        socket_in(scene.host, at_host, kind) as listener,
        socket_in(scene.guest, at_host, kind) as client,
    ):
        listener.bind((at_host, 4001))
        if kind == socket.SOCK_STREAM:
            listener.listen()
        assert exchanged(client, at_host, 4001, listener)[0] == guest


def test_an_open_network_has_no_rules(scene: Scene) -> None:
    scene.apply(RULES)
    scene.apply(replace(RULES, reach=Reach.OPEN))
    assert exchange(scene, FAR, socket.SOCK_STREAM)[0] == GUEST
    assert "/test" not in scene.ruleset()


@KINDS
def test_guests_leave_through_the_devices_that_are_named_only(scene: Scene, kind: socket.SocketKind) -> None:
    scene.apply(replace(RULES, devices=("eth8",)))
    with listening(scene.far, FAR, 4000, kind):
        assert refused(socket_in(scene.guest, FAR, kind), FAR)
    scene.apply(replace(RULES, devices=("eth8", UPLINK)))
    assert exchange(scene, FAR, kind)[0] == OUTER


@pytest.mark.parametrize("reach", [Reach.NAT, Reach.ROUTE])
def test_what_a_guest_sends_by_an_address_of_another_network_is_refused(scene: Scene, reach: Reach) -> None:
    scene.apply(replace(RULES, reach=reach))
    scene.guest.run("ip", "address", "add", "198.18.0.5/32", "dev", "eth0")
    scene.host.run("ip", "route", "add", "198.18.0.5/32", "dev", "br0")
    with listening(scene.far, FAR, 4000) as listener, socket_in(scene.guest, FAR, socket.SOCK_STREAM) as client:
        client.bind(("198.18.0.5", 0))
        with pytest.raises(OSError, match="No route to host"):
            client.connect((FAR, 4000))
        listener.settimeout(scaled(0.2))
        with pytest.raises(TimeoutError):
            listener.accept()


def test_two_networks_behind_nat_do_not_reach_each_other(scene: Scene) -> None:
    scene.host.run("ip", "link", "add", "br1", "type", "bridge")
    scene.host.run("ip", "address", "add", "198.18.0.1/24", "dev", "br1")
    scene.host.run("ip", "link", "set", "br1", "up")
    other = NetworkRules(name="other", bridge="br1", reach=Reach.NAT, subnets=(ip_network("198.18.0.0/24"),))
    with scene.net.guest("vnet1", "br1") as neighbour:
        neighbour.run("ip", "address", "add", "198.18.0.9/24", "dev", "eth0")
        neighbour.run("ip", "route", "add", "default", "via", "198.18.0.1")
        scene.apply(RULES, other)
        with listening(neighbour, "198.18.0.9", 4000):
            assert refused(socket_in(scene.guest, "198.18.0.9", socket.SOCK_STREAM), "198.18.0.9")
        with listening(scene.far, FAR, 4000) as far, socket_in(neighbour, FAR, socket.SOCK_STREAM) as client:
            assert exchanged(client, FAR, 4000, far)[0] == OUTER
    scene.host.run("ip", "link", "delete", "br1")


FORWARDS = (
    ForwardedPort(port=8080, to_port=80, to_address=ip_address(GUEST)),
    ForwardedPort(port=8080, to_port=80, to_address=ip_address(GUEST6)),
    ForwardedPort(transport=TransportProtocol.UDP, port=8080, to_port=80, to_address=ip_address(GUEST)),
    ForwardedPort(transport=TransportProtocol.UDP, port=8080, to_port=80, to_address=ip_address(GUEST6)),
    ForwardedPort(port=9000, count=3, to_port=7000, to_address=ip_address(GUEST), address=ip_address(OUTER)),
)


@KINDS
@pytest.mark.parametrize("reach", [Reach.NAT, Reach.ROUTE, Reach.OPEN])
@pytest.mark.parametrize(("guest", "outer"), [(GUEST, OUTER), (GUEST6, OUTER6)], ids=["ipv4", "ipv6"])
def test_a_forwarded_port_of_the_host_leads_to_the_guest_from_everywhere(
    scene: Scene, kind: socket.SocketKind, reach: Reach, guest: str, outer: str
) -> None:
    scene.apply(replace(RULES, reach=reach, forwards=FORWARDS))
    with listening(scene.guest, guest, 80, kind) as listener:
        with socket_in(scene.far, guest, kind) as client:
            assert exchanged(client, outer, 8080, listener)[0] == (FAR if guest == GUEST else FAR6)
        with socket_in(scene.host, guest, kind) as client:
            exchanged(client, outer, 8080, listener)
        with scene.net.guest("vnet1", "br0", mac="52:54:00:aa:00:02") as neighbour:
            give(neighbour, "192.0.2.11", "2001:db8:1::11")
            with socket_in(neighbour, guest, kind) as client:
                exchanged(client, outer, 8080, listener)


def test_forwarded_ports_that_are_moved_keep_their_order(scene: Scene) -> None:
    scene.apply(replace(RULES, forwards=FORWARDS))
    for offset in range(3):
        with listening(scene.guest, GUEST, 7000 + offset) as listener:
            client = socket_in(scene.far, FAR, socket.SOCK_STREAM)
            with client:
                assert exchanged(client, OUTER, 9000 + offset, listener)[0] == FAR


def test_forwarded_ports_that_come_and_go_leave_the_rules_that_a_new_table_would_have(scene: Scene) -> None:
    """Whatever was said before: ports behind the others, fewer of them, another order, after a flush of others'."""

    def leads(port: int, inner: int) -> bool:
        """Whether a connection does: where no rule leads it on, the host refuses it at once."""
        with listening(scene.guest, GUEST, inner) as listener, socket_in(scene.far, FAR, socket.SOCK_STREAM) as client:
            try:
                return bool(exchanged(client, OUTER, port, listener))
            except ConnectionRefusedError:
                return False

    for forwards in (FORWARDS[:1], FORWARDS, FORWARDS[1:], FORWARDS[::-1], FORWARDS[:1], FORWARDS):
        scene.apply(replace(RULES, forwards=forwards))
        assert scene.host.inside(scene.firewall.restore) == ()
        assert leads(8080, 80) is (FORWARDS[0] in forwards)
        assert leads(9001, 7001) is (FORWARDS[-1] in forwards)
    scene.host.run("nft", "flush", "ruleset")
    scene.apply(replace(RULES, forwards=FORWARDS[1:]))
    assert scene.host.inside(scene.firewall.restore) == ()
    shown = scene.ruleset()
    scene.host.run("nft", "flush", "ruleset")
    scene.host.inside(scene.firewall.restore)
    assert scene.ruleset() == shown


def test_a_forwarded_port_is_the_hosts_and_of_no_address_beyond_it(scene: Scene) -> None:
    scene.apply(replace(RULES, forwards=FORWARDS))
    with listening(scene.far, FAR, 8080) as listener, socket_in(scene.guest, FAR, socket.SOCK_STREAM) as client:
        assert exchanged(client, FAR, 8080, listener)[0] == OUTER


FOREIGN = """
table ip nat {
    chain POSTROUTING {
        type nat hook postrouting priority 100; policy accept;
        ip saddr 172.17.0.0/16 oifname != "docker0" counter packets 0 bytes 0 masquerade
    }
}
table inet mine {
    set few {
        type ipv4_addr
        elements = { 203.0.113.77 }
    }
    chain input {
        type filter hook input priority 0; policy accept;
        ip saddr @few drop
    }
}
table inet insula {
    chain of-another-daemon {
        type filter hook forward priority 0; policy accept;
    }
}
"""


def test_nothing_of_others_rules_is_changed(scene: Scene) -> None:
    scene.host.run("nft", "-f", "-", input=FOREIGN)
    before = scene.ruleset()
    scene.apply(replace(RULES, forwards=FORWARDS))
    assert scene.ruleset().startswith(before)
    scene.apply(replace(RULES, reach=Reach.ISOLATED))
    scene.host.inside(scene.firewall.restore)
    scene.host.inside(lambda: scene.firewall.remove("test", "unknown"))
    assert scene.ruleset() == before


def test_two_installations_have_rules_beside_each_other(scene: Scene) -> None:
    other = Firewall("insula-other")
    scene.apply(RULES)
    before = scene.ruleset()
    other_rules = replace(RULES, bridge="br7", reach=Reach.ISOLATED)
    scene.host.inside(lambda: other.apply(other_rules))
    scene.host.inside(lambda: other.remove("test"))
    assert scene.ruleset() == before


def test_a_network_that_changes_keeps_nothing_of_what_it_was(scene: Scene) -> None:
    scene.apply(replace(RULES, reach=Reach.ISOLATED))
    isolated = scene.ruleset()
    scene.apply(replace(RULES, forwards=FORWARDS, bridge="br8"))
    later_daemon = Firewall("insula-test")
    scene.host.inside(lambda: later_daemon.apply(replace(RULES, reach=Reach.ISOLATED)))
    assert scene.ruleset() == isolated


def test_one_network_goes_without_the_others(scene: Scene) -> None:
    scene.apply(RULES)
    alone = scene.ruleset()
    scene.apply(replace(RULES, name="second", bridge="br1", subnets=(ip_network("198.18.0.0/24"),), forwards=FORWARDS))
    scene.host.inside(lambda: Firewall("insula-test").remove("second"))
    assert scene.ruleset() == alone


def test_rules_that_somebody_has_flushed_are_put_back(scene: Scene) -> None:
    scene.apply(replace(RULES, forwards=FORWARDS))
    ours = scene.ruleset()
    assert scene.host.inside(scene.firewall.restore) == ()
    for harm in ("flush ruleset", "flush chain inet insula-test to/test", "flush map inet insula-test from"):
        scene.host.run("nft", harm)
        assert scene.host.inside(scene.firewall.restore) == ("rules of the network 'test'",)
        assert scene.ruleset() == ours
        assert scene.host.inside(scene.firewall.restore) == ()


def test_rules_that_the_kernel_refuses_change_nothing(scene: Scene) -> None:
    scene.apply(RULES)
    before = scene.ruleset()
    nowhere = ForwardedPort(port=70000, to_port=80, to_address=ip_address(GUEST))
    with pytest.raises(Exception, match=r"rules of the network 'test': the rule \"TCP 70000 is 80 of 192.0.2.10\""):
        scene.apply(replace(RULES, forwards=(nowhere,)))
    assert scene.ruleset() == before


def test_who_flushes_the_ruleset_meets_our_rules_again_without_being_looked_for(scene: Scene) -> None:
    told: list[str] = []

    async def watching() -> None:
        with scene.host.network():
            watch = RuleWatch(scene.firewall, told.append)
        try:
            await asyncio.to_thread(scene.host.run, "nft", "flush", "ruleset")
            async with asyncio.timeout(patience(10)):
                while not told:  # noqa: ASYNC110 - the watch tells by a call
                    await asyncio.sleep(0.01)
        finally:
            watch.close()

    scene.apply(RULES)
    before = scene.ruleset()
    restore = scene.firewall.restore
    scene.firewall.restore = lambda: scene.host.inside(restore)  # type: ignore[method-assign]
    asyncio.run(watching())
    assert told[0].startswith("nft (process ")
    assert told[0].endswith("took away or changed rules of the network 'test'; they are back")
    assert scene.ruleset() == before
    assert exchange(scene, FAR, socket.SOCK_STREAM)[0] == OUTER
