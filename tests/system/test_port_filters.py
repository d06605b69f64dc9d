"""Filters before bridge ports, proven with frames between namespaces of the test's own."""

import contextlib
import socket
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pytest

from insula.engine.interfacespec import PortProtection
from insula.model.builtinfilters import built_in_filter
from insula.model.nwfilter import FilterDefinition, load_filter
from insula.network.firewall.firewall import Firewall, no_filter
from insula.network.firewall.portrules import PortRules
from tests.exchanges import exchanged, listening, socket_in
from tests.hostnet import HostNet
from tests.testhost import TestHost
from tests.waiting import scaled, until

pytestmark = pytest.mark.requires("nft")

MAC, OTHER_MAC, NEIGHBOUR_MAC = "52:54:00:aa:00:01", "52:54:00:aa:00:77", "52:54:00:aa:00:02"
GUEST, OTHER, NEIGHBOUR = "192.0.2.10", "192.0.2.66", "192.0.2.11"
GUEST_6, NEIGHBOUR_6 = "2001:db8:1::10", "2001:db8:1::11"
KINDS = pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["tcp", "udp"])


@dataclass(frozen=True, kw_only=True)
class Ports:
    """A bridge with two guests; the filters stand before the first one's port, vnet0."""

    host: TestHost
    guest: TestHost
    neighbour: TestHost
    firewall: Firewall
    own: dict[str, FilterDefinition]

    def protect(self, filter_: str, *parameters: tuple[str, str], addresses: tuple[str, ...] = (GUEST,)) -> None:
        protection = PortProtection(filter=filter_, parameters=parameters)
        port = PortRules(host="vnet0", mac=MAC, protection=protection, addresses=addresses)
        self.host.inside(lambda: self.firewall.protect(port))

    def define(self, xml: str) -> None:
        definition = load_filter(xml)
        self.own[definition.name] = definition

    def drops(self) -> Mapping[str, int]:
        return self.host.inside(lambda: self.firewall.drops("vnet0"))

    def dropped(self, chain: str) -> None:
        """Wait until a frame has been dropped by a chain."""
        until(lambda: self.drops().get(chain, 0) > 0, f"a frame that the chain {chain} drops: {self.drops()}")

    def ruleset(self) -> str:
        return self.host.run("nft", "-s", "list", "ruleset").stdout

    def reach(self, kind: socket.SocketKind, to: str = NEIGHBOUR, *, port: int = 4000) -> bool:
        """Whether the guest asks the neighbour and is answered."""
        return self._reach(self.guest, self.neighbour, to, kind, port)

    def is_reached(self, kind: socket.SocketKind, at: str = GUEST, *, port: int = 4000) -> bool:
        """Whether the guest answers what the neighbour asks."""
        return self._reach(self.neighbour, self.guest, at, kind, port)

    def kept_from(self, kind: socket.SocketKind, to: str = NEIGHBOUR, *, port: int = 4000) -> bool:
        """Whether the guest's question is not answered within some tenths of a second."""
        return not self._reach(self.guest, self.neighbour, to, kind, port, seconds=0.7)

    def unreached(self, kind: socket.SocketKind, at: str = GUEST, *, port: int = 4000) -> bool:
        """Whether the guest does not answer the neighbour's question within some tenths of a second."""
        return not self._reach(self.neighbour, self.guest, at, kind, port, seconds=0.7)

    def knock(self, asker: TestHost, at: str, port: int) -> None:
        """Send the first packet of a connection that nobody waits for."""
        with socket_in(asker, at, socket.SOCK_STREAM) as client:
            client.setblocking(False)
            client.connect_ex((at, port))

    def _reach(
        self, asker: TestHost, answerer: TestHost, to: str, kind: socket.SocketKind, port: int, *, seconds: float = 10
    ) -> bool:
        with listening(answerer, to, port, kind) as listener, socket_in(asker, to, kind) as client:
            client.settimeout(scaled(seconds))
            listener.settimeout(scaled(seconds))
            try:
                exchanged(client, to, port, listener)
            except OSError:
                return False
            return True


@pytest.fixture
def ports(hostnet: HostNet) -> Iterator[Ports]:
    own: dict[str, FilterDefinition] = {}
    host = hostnet.host
    host.run("ip", "link", "add", "br0", "up", "type", "bridge")
    with (
        hostnet.guest("vnet0", "br0", mac=MAC) as guest,
        hostnet.guest("vnet1", "br0", mac=NEIGHBOUR_MAC) as neighbour,
    ):
        for each, *addresses in ((guest, GUEST, GUEST_6), (neighbour, NEIGHBOUR, NEIGHBOUR_6)):
            each.run("ip", "address", "add", f"{addresses[0]}/24", "dev", "eth0")
            each.run("ip", "address", "add", f"{addresses[1]}/64", "dev", "eth0", "nodad")
        forwarding = "state forwarding"  # which a port is some time after it is switched on
        until(lambda: host.run("bridge", "link").stdout.count(forwarding) == 2, "both ports forwarding")
        firewall = Firewall("insula-test", lambda name: own.get(name) or built_in_filter(name) or no_filter(name))
        yield Ports(host=host, guest=guest, neighbour=neighbour, firewall=firewall, own=own)
        host.run("nft", "flush", "ruleset")
        host.run("ip", "link", "delete", "br0")


@dataclass(frozen=True, kw_only=True)
class ArpMessage:
    """An ARP reply that says where an address is. Source: RFC 826."""

    sender_mac: str = MAC
    sender: str = GUEST
    from_mac: str = field(default=MAC)

    def sent_by(self, guest: TestHost) -> None:
        with guest.network(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
            raw.bind(("eth0", 0))
            raw.send(
                b"\xff" * 6
                + _octets(self.from_mac)
                + struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 2)
                + _octets(self.sender_mac)
                + socket.inet_aton(self.sender)
                + _octets(NEIGHBOUR_MAC)
                + socket.inet_aton(NEIGHBOUR)
            )


def _octets(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


TAGS = {"802.1Q": b"\x81\0\0\0", "802.1ad": b"\x88\xa8\0\0", "both": b"\x88\xa8\0\0\x81\0\0\0"}
CLAIM = b"\x08\x06" + struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2) + _octets(MAC) + socket.inet_aton(OTHER)
NO_SPOOFING = "".join(f"<filterref filter='no-{each}-spoofing'/>" for each in ("mac", "arp", "ip"))
NO_SPOOFING_BACK = "<rule action='drop' direction='in' priority='-500'><arp/></rule>"


@pytest.mark.parametrize("tag", TAGS.values(), ids=TAGS)
@pytest.mark.parametrize("sends", [True, False], ids=["sent", "received"])
def test_a_tag_of_no_vlan_hides_no_frame_from_a_filter(ports: Ports, tag: bytes, sends: bool) -> None:
    """Who gets `VLAN 0` takes the frame for one without a tag, where the rules about ARP and IP saw one of a VLAN."""
    ports.define(f"<filter name='own'>{NO_SPOOFING if sends else NO_SPOOFING_BACK}</filter>")
    ports.protect("own")
    sender = ports.guest if sends else ports.neighbour
    to = NEIGHBOUR_MAC if sends else MAC
    with sender.network(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind(("eth0", 0))
        raw.send(_octets(to) + _octets(MAC if sends else NEIGHBOUR_MAC) + tag + CLAIM + _octets(to) + bytes(4))
    ports.dropped("priority-tagged")


def test_a_filter_with_rules_about_vlans_says_itself_what_a_tag_may_be(ports: Ports) -> None:
    rule = "<rule action='drop' direction='out'><vlan vlanid='7'/></rule>"
    ports.define(f"<filter name='own'>{rule}</filter>")
    ports.protect("own")
    assert "priority-tagged" not in ports.ruleset()


@KINDS
def test_a_guest_with_clean_traffic_asks_and_is_asked_by_its_own_address(ports: Ports, kind: socket.SocketKind) -> None:
    ports.protect("clean-traffic")
    assert ports.reach(kind)
    assert ports.is_reached(kind)
    assert {name: count for name, count in ports.drops().items() if name != "root"} == dict.fromkeys(
        ("arp-ip", "arp-mac", "ipv4-ip", "mac", "priority-tagged", "rarp"), 0
    )


def test_frames_by_another_mac_address_are_dropped_and_counted(ports: Ports) -> None:
    ports.protect("clean-traffic")
    ports.guest.run("ip", "link", "set", "eth0", "address", OTHER_MAC)
    assert ports.kept_from(socket.SOCK_DGRAM)
    ports.dropped("mac")


def test_packets_by_another_address_are_dropped_and_counted(ports: Ports) -> None:
    ports.protect("clean-traffic")
    assert ports.reach(socket.SOCK_DGRAM)
    ports.guest.run("ip", "address", "add", f"{OTHER}/32", "dev", "eth0")
    with socket_in(ports.guest, OTHER, socket.SOCK_DGRAM) as client:
        client.bind((OTHER, 0))
        client.sendto(b"spoofed", (NEIGHBOUR, 4000))
    ports.dropped("ipv4-ip")


def test_arp_that_claims_anothers_address_is_dropped_and_counted(ports: Ports) -> None:
    ports.protect("clean-traffic")
    ArpMessage(sender=OTHER).sent_by(ports.guest)
    ports.dropped("arp-ip")
    ArpMessage(sender_mac=OTHER_MAC).sent_by(ports.guest)
    ports.dropped("arp-mac")
    ArpMessage(from_mac=OTHER_MAC).sent_by(ports.guest)
    ports.dropped("mac")
    assert OTHER not in ports.neighbour.run("ip", "neigh").stdout


def test_what_is_neither_ipv4_nor_arp_is_dropped_and_counted(ports: Ports) -> None:
    ports.protect("clean-traffic")
    assert ports.kept_from(socket.SOCK_DGRAM, NEIGHBOUR_6)
    ports.dropped("root")


def test_an_address_that_nobody_knows_is_the_first_that_the_guest_uses(ports: Ports) -> None:
    ports.protect("clean-traffic", addresses=())
    assert ports.reach(socket.SOCK_STREAM)
    ports.guest.run("ip", "address", "add", f"{OTHER}/32", "dev", "eth0")
    with socket_in(ports.guest, OTHER, socket.SOCK_DGRAM) as client:
        client.bind((OTHER, 0))
        client.sendto(b"spoofed", (NEIGHBOUR, 4000))
    ports.dropped("ipv4-ip")
    later = Firewall("insula-test", lambda name: built_in_filter(name) or no_filter(name))
    port = PortRules(host="vnet0", mac=MAC, protection=PortProtection(filter="clean-traffic"))
    before = ports.drops()["ipv4-ip"]
    ports.host.inside(lambda: later.protect(port))
    assert ports.drops()["ipv4-ip"] >= before > 0
    assert GUEST in ports.host.run("nft", "list", "set", "bridge", "insula-test", "learnt/vnet0").stdout


@KINDS
def test_ipv6_by_the_guests_own_address_passes_and_by_another_does_not(ports: Ports, kind: socket.SocketKind) -> None:
    ports.protect("no-ipv6-spoofing", addresses=(GUEST, GUEST_6))
    assert ports.reach(kind, NEIGHBOUR_6)
    assert ports.is_reached(kind, GUEST_6)
    ports.protect("no-ipv6-spoofing", addresses=(GUEST, "2001:db8:1::99"))
    assert ports.kept_from(socket.SOCK_DGRAM, NEIGHBOUR_6)
    ports.dropped("ipv6-ip")


OWN = """
<filter name='own'>
  <rule action='accept' direction='in' priority='100' statematch='false'>
    <tcp dstportstart='$PORTS' srcipaddr='192.0.2.0' srcipmask='24'/>
  </rule>
  <rule action='accept' direction='out' priority='100' statematch='false'><tcp srcportstart='$PORTS'/></rule>
  <rule action='accept' direction='inout' priority='200'><udp srcportstart='4000'/></rule>
  <rule action='accept' direction='inout' priority='200'><udp dstportstart='4000'/></rule>
  <rule action='drop' direction='inout' priority='900'><all/></rule>
</filter>
"""


def test_a_filter_of_ones_own_says_which_ports_are_reached(ports: Ports) -> None:
    ports.define(OWN)
    ports.protect("own", ("PORTS", "22"), ("PORTS", "80"))
    assert ports.is_reached(socket.SOCK_STREAM, port=22)
    assert ports.is_reached(socket.SOCK_STREAM, port=80)
    assert ports.unreached(socket.SOCK_STREAM, port=81)
    assert ports.kept_from(socket.SOCK_STREAM, port=22)
    assert ports.reach(socket.SOCK_DGRAM, port=4000)
    assert ports.kept_from(socket.SOCK_DGRAM, port=4001)
    assert ports.reach(socket.SOCK_STREAM, NEIGHBOUR_6)
    ports.dropped("root")


def udp(source: int) -> bytes:
    return struct.pack("!HHHH", source, 4000, 8, 0)


def in_ipv4(protocol: int, carried: bytes) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(carried), 0, 0, 255, protocol, 0)
    return b"\x08\x00" + head + socket.inet_aton(GUEST) + socket.inet_aton("255.255.255.255") + carried


def in_ipv6(*headers: bytes, protocol: int) -> bytes:
    carried = b"".join(headers)
    addresses = socket.inet_pton(socket.AF_INET6, GUEST_6) + socket.inet_pton(socket.AF_INET6, "ff02::1")
    return b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(carried), protocol, 255) + addresses + carried


OPTIONS = struct.pack("!BBBBI", 58, 0, 1, 4, 0)
"""Hop-by-hop options that say nothing, before ICMPv6. Source: RFC 8200, 4.3."""
ROGUE = {
    "an answer of DHCP": ("no-rogue-servers", in_ipv4(17, udp(67))),
    "an answer of DHCPv6": ("no-rogue-servers", in_ipv6(udp(547), protocol=17)),
    "an advertisement of a router": ("no-rogue-servers", in_ipv6(struct.pack("!BBHQ", 134, 0, 0, 0), protocol=58)),
    "one behind options": ("no-rogue-servers", in_ipv6(OPTIONS, struct.pack("!BBHQ", 134, 0, 0, 0), protocol=0)),
    "a redirect": ("no-rogue-servers", in_ipv6(struct.pack("!BBHQ", 137, 0, 0, 0) + bytes(28), protocol=58)),
    "STP": ("no-stp", b"\x00\x26\x42\x42\x03" + bytes(35)),
}


@pytest.mark.parametrize(("filter_", "sent"), ROGUE.values(), ids=ROGUE)
def test_what_only_a_networks_own_machines_send_is_dropped_and_what_hosts_do_passes(
    ports: Ports, filter_: str, sent: bytes
) -> None:
    ports.protect(filter_)
    assert ports.reach(socket.SOCK_DGRAM) and ports.reach(socket.SOCK_DGRAM, NEIGHBOUR_6)
    assert ports.drops()["root"] == 0
    to = "01:80:c2:00:00:00" if filter_ == "no-stp" else NEIGHBOUR_MAC
    with ports.guest.network(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind(("eth0", 0))
        raw.send(_octets(to) + _octets(MAC) + sent)
    ports.dropped("root")


ASKS_ONLY = """
<filter name='own'>
  <rule action='accept' direction='out' priority='100'><tcp dstportstart='4000'/></rule>
  <rule action='accept' direction='out' priority='100'><udp dstportstart='4000'/></rule>
  <rule action='accept' direction='out' priority='100'><tcp-ipv6 dstportstart='4000'/></rule>
  <rule action='drop' direction='inout' priority='900'><all/></rule>
  <rule action='drop' direction='inout' priority='900'><tcp-ipv6/></rule>
</filter>
"""


@pytest.mark.requires("net.bridge-tracking")
def test_what_a_rule_lets_a_guest_ask_is_answered_and_nothing_else_reaches_it(ports: Ports) -> None:
    ports.define(ASKS_ONLY)
    ports.protect("own")
    assert ports.reach(socket.SOCK_STREAM) and ports.reach(socket.SOCK_DGRAM)
    assert ports.reach(socket.SOCK_STREAM, NEIGHBOUR_6)
    for asker, at, port in ((ports.guest, NEIGHBOUR, 4001), (ports.neighbour, GUEST, 4000)):
        before = ports.drops()["root"]
        ports.knock(asker, at, port)
        until(lambda: ports.drops()["root"] > before, "a question that is not allowed being dropped")  # noqa: B023


BY_STATE = """
<filter name='own'>
  <rule action='accept' direction='out' priority='100'><all state='NEW,ESTABLISHED'/></rule>
  <rule action='accept' direction='in' priority='100'><all state='ESTABLISHED,RELATED'/></rule>
  <rule action='drop' direction='inout' priority='900'><all/></rule>
</filter>
"""


@pytest.mark.requires("net.bridge-tracking")
def test_a_rule_sees_of_which_connection_a_packet_is(ports: Ports) -> None:
    ports.define(BY_STATE)
    ports.protect("own")
    assert ports.reach(socket.SOCK_STREAM)
    with socket_in(ports.guest, NEIGHBOUR, socket.SOCK_DGRAM) as client:
        client.connect((NEIGHBOUR, 4001))  # where nobody is: what the neighbour says of it is related
        client.send(b"question")
        with pytest.raises(ConnectionRefusedError):
            client.recv(100)
    before = ports.drops()["root"]
    ports.knock(ports.neighbour, GUEST, 4000)
    until(lambda: ports.drops()["root"] > before, "what another asks being dropped")


FEW_CONNECTIONS = """
<filter name='own'>
  <rule action='drop' direction='in' priority='100'><tcp dstportstart='4000' connlimit-above='2'/></rule>
</filter>
"""


@pytest.mark.requires("net.bridge-tracking")
def test_a_guest_has_no_more_connections_at_once_than_its_filter_says(ports: Ports) -> None:
    ports.define(FEW_CONNECTIONS)
    ports.protect("own")
    with listening(ports.guest, GUEST, 4000) as listener, contextlib.ExitStack() as stack:
        for _ in range(2):
            client = stack.enter_context(socket_in(ports.neighbour, GUEST, socket.SOCK_STREAM))
            client.connect((GUEST, 4000))
            stack.enter_context(listener.accept()[0])
        assert ports.drops()["root"] == 0
        ports.knock(ports.neighbour, GUEST, 4000)
        ports.dropped("root")


def test_a_filter_that_is_defined_anew_counts_at_once(ports: Ports) -> None:
    ports.define("<filter name='own'><rule action='drop' direction='inout'><ip/></rule></filter>")
    ports.protect("own")
    assert ports.kept_from(socket.SOCK_DGRAM)
    ports.define("<filter name='own' chain='ipv4'><rule action='accept' direction='inout'/></filter>")
    ports.host.inside(ports.firewall.refilter)
    assert ports.reach(socket.SOCK_DGRAM)
    assert "drop" not in ports.ruleset()


def test_the_host_is_no_guests_to_deceive_either(ports: Ports) -> None:
    ports.host.run("ip", "address", "add", "192.0.2.1/24", "dev", "br0")
    ports.protect("clean-traffic")
    with (
        listening(ports.host, "192.0.2.1", 4000) as listener,
        socket_in(ports.guest, GUEST, socket.SOCK_STREAM) as client,
    ):
        exchanged(client, "192.0.2.1", 4000, listener)
    ArpMessage(sender=OTHER).sent_by(ports.guest)
    ports.dropped("arp-ip")


FOREIGN = """
table bridge theirs {
    chain forward {
        type filter hook forward priority 0; policy accept;
        iifname "vnet9" counter packets 0 bytes 0 drop
    }
}
table bridge insula {
    chain of-another-daemon {
        type filter hook prerouting priority 0; policy accept;
    }
}
"""


def test_nothing_of_others_rules_is_changed_and_nothing_of_a_released_port_stays(ports: Ports) -> None:
    ports.host.run("nft", "-f", "-", input=FOREIGN)
    before = ports.ruleset()
    ports.protect("clean-traffic")
    assert ports.ruleset().startswith(before)
    ports.host.inside(lambda: ports.firewall.release("vnet0", "unknown"))
    assert ports.ruleset() == before


def test_one_port_is_released_without_the_others(ports: Ports) -> None:
    ports.protect("clean-traffic", addresses=())
    alone = ports.ruleset()
    second = PortRules(host="vnet1", mac=NEIGHBOUR_MAC, protection=PortProtection(filter="clean-traffic"))
    ports.host.inside(lambda: ports.firewall.protect(second))
    later = Firewall("insula-test")
    ports.host.inside(lambda: later.release("vnet1"))
    assert ports.ruleset() == alone


def test_filters_that_somebody_has_flushed_are_put_back(ports: Ports) -> None:
    ports.protect("clean-traffic")
    ours = ports.ruleset()
    assert ports.host.inside(ports.firewall.restore) == ()
    for harm in (
        "flush ruleset",
        "flush chain bridge insula-test frames-from/vnet0/mac",
        "flush map bridge insula-test frames-from",
    ):
        ports.host.run("nft", harm)
        assert ports.host.inside(ports.firewall.restore) == ("the filter of the port 'vnet0'",)
        assert ports.ruleset() == ours
    ports.host.run("nft", "flush", "ruleset")
    ports.host.inside(lambda: ports.firewall.release("vnet0"))
    assert ports.ruleset() == ""
