"""Programs that hold a group's sockets to addresses of its own: whatever they try, on a real host, in both families."""

import contextlib
import socket
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from pathlib import Path
from typing import Any

import pytest

from insula.kernel.cgroups import Cgroup
from insula.kernel.cgroups.addressassembler import OwnAddresses
from insula.kernel.cgroups.addressprograms import hold_to
from tests.hostnet import BEYOND, BEYOND_6, UPLINK, HostNet
from tests.inmates import Inmate
from tests.waiting import patience, until

pytestmark = pytest.mark.requires("cgroup2", "bpf.cgroup_addresses")

OWN, SECOND, OWN_6 = "203.0.113.50", "203.0.113.51", "2001:db8:113::50"
HOSTS = "203.0.113.2"
LOOPBACK = IPv4Network("127.7.9.0/24")

PRELUDE = """
import socket, sys
def tried(action):
    try:
        return action()
    except OSError as error:
        return error.strerror or str(error)
def tcp(family=socket.AF_INET):
    return socket.socket(family, socket.SOCK_STREAM)
def udp(family=socket.AF_INET):
    return socket.socket(family, socket.SOCK_DGRAM)
def listens(address, port=0, family=socket.AF_INET, v6only=None):
    def action():
        with tcp(family) as listening:
            if v6only is not None:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
            listening.bind((address, port))
            listening.listen()
            return listening.getsockname()[0]
    return tried(action)
"""


@pytest.fixture
def host(hostnet: HostNet) -> HostNet:
    """The host, with two addresses more of IPv4 and one of IPv6, and an outside that knows the way to them."""
    for address in (f"{OWN}/32", f"{SECOND}/32"):
        hostnet.host.run("ip", "address", "add", address, "dev", UPLINK)
    hostnet.host.run("ip", "address", "add", f"{OWN_6}/128", "dev", UPLINK, "nodad")
    hostnet.host.run("ip", "link", "set", "lo", "up")
    return hostnet


class Held:
    """A group on a host that is held to addresses, and programs that run in it one after the other."""

    def __init__(self, host: HostNet, group: Cgroup, inmate: Callable[..., Inmate]) -> None:
        self._host, self._group, self._inmate = host, group, inmate

    def begin(self, *lines: str, **changes: Any) -> Inmate:
        """Run lines in the group. changes: what else than all of the addresses it has."""
        usual: dict[str, Any] = {
            "ipv4": (IPv4Address(OWN), IPv4Address(SECOND)),
            "ipv6": (IPv6Address(OWN_6),),
            "ports": (),
            "loopback": LOOPBACK,
        }
        hold_to(self._group.scope or "", OwnAddresses(**usual | changes))
        with self._host.host.network():
            started = self._inmate(PRELUDE + "\n".join(lines))
        started.enter(self._group)
        return started

    def ask(self, *lines: str, **changes: Any) -> list[str]:
        """Run lines in the group, and return what they print."""
        status, output = self.begin(*lines, **changes).result()
        assert status == 0, output
        return output.splitlines()


@pytest.fixture
def held(host: HostNet, group: Cgroup, inmate: Callable[..., Inmate]) -> Held:
    return Held(host, group, inmate)


@contextlib.contextmanager
def served(
    host: HostNet, address: str, port: int, kind: socket.SocketKind = socket.SOCK_STREAM
) -> Iterator[socket.socket]:
    """A socket of the host's own, outside of the group, that listens."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with host.host.network():
        listening = socket.socket(family, kind)
    with listening:
        listening.settimeout(patience(5))
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
        if kind is socket.SOCK_STREAM:
            listening.listen()
        yield listening


def test_it_binds_to_its_own_addresses_and_to_no_others(held: Held) -> None:
    said = held.ask(
        f"print(listens('{OWN}'), listens('{SECOND}'), listens('{OWN_6}', family=socket.AF_INET6))",
        f"print(listens('{HOSTS}'))",
        "print(listens('2001:db8:113::2', family=socket.AF_INET6))",
        "print(listens('::1', family=socket.AF_INET6))",
        f"print(listens('::ffff:{OWN}', family=socket.AF_INET6, v6only=0))",
        f"print(listens('::ffff:{HOSTS}', family=socket.AF_INET6, v6only=0))",
        f"print(tried(lambda: udp().bind(('{HOSTS}', 0))))",
    )
    refused = "Operation not permitted"
    assert said == [f"{OWN} {SECOND} {OWN_6}", refused, refused, refused, f"::ffff:{OWN}", refused, refused]


def test_the_wildcard_is_its_first_address(held: Held) -> None:
    assert held.ask("print(listens(''), listens('::', family=socket.AF_INET6))") == [f"{OWN} {OWN_6}"]
    assert held.ask("print(listens('::', family=socket.AF_INET6, v6only=0))", ipv6=()) == [f"::ffff:{OWN}"]
    assert held.ask("print(listens(''))", ipv4=()) == ["Operation not permitted"]


def test_ports_are_its_own_too_low_ones_included(held: Held) -> None:
    lines = (
        "import os; os.setgid(4711); os.setuid(4711)",
        "print([port for port in (79, 80, 81, 443, 8000, 8050, 8099, 8100, 9000) if listens('', port) == '"
        + OWN
        + "'])",
        "print(listens('', 0))",
        "print(listens('127.0.0.1', 25))",
    )
    assert held.ask(*lines, ports=((80, 80), (443, 443), (8000, 8099))) == [
        "[80, 443, 8000, 8050, 8099]",
        OWN,
        "127.0.0.1",
    ]


def test_what_it_connects_to_sees_its_address(host: HostNet, held: Held) -> None:
    for address, own in ((BEYOND, OWN), (BEYOND_6, OWN_6)):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        host.outside.run("ip", "route", "replace", f"{own}/{128 if ':' in own else 32}", "dev", UPLINK)
        with host.outside.network():
            listening = socket.create_server((address, 4711), family=family)
            hearing = socket.socket(family, socket.SOCK_DGRAM)
        with listening, hearing:
            listening.settimeout(patience(5))
            hearing.settimeout(patience(5))
            hearing.bind((address, 4711))
            said = held.ask(
                f"family = socket.AF_INET6 if ':' in '{address}' else socket.AF_INET",
                f"calling = tcp(family); calling.connect(('{address}', 4711)); print(calling.getsockname()[0])",
                f"sending = udp(family); sending.sendto(b'one', ('{address}', 4711))",
                f"linked = udp(family); linked.connect(('{address}', 4711)); linked.send(b'two')",
            )
            assert said == [own]
            accepted, peer = listening.accept()
            accepted.close()
            assert peer[0] == own
            assert {(said, who[0]) for said, who in (hearing.recvfrom(10), hearing.recvfrom(10))} == {
                (b"one", own),
                (b"two", own),
            }


def test_loopback_is_its_own_and_looks_like_everybodys(held: Held) -> None:
    said = held.ask(
        "server = tcp(); server.bind(('127.0.0.1', 8080)); server.listen()",
        "client = tcp(); client.connect(('127.0.0.1', 8080)); accepted, peer = server.accept()",
        "print(server.getsockname(), client.getpeername())",
        "print(client.getsockname()[0], peer[0], accepted.getsockname()[0])",
        "client.send(b'over'); print(accepted.recv(10).decode())",
        "names = udp(); names.bind(('127.0.0.53', 53)); asking = udp(); asking.sendto(b'?', ('127.0.0.53', 53))",
        "question, who = names.recvfrom(10); print(who[0]); names.sendto(b'!', who); print(asking.recvfrom(10))",
        "six = tcp(socket.AF_INET6); six.connect(('::ffff:127.0.0.1', 8080)); print(six.getpeername()[0])",
    )
    assert said == [
        "('127.0.0.1', 8080) ('127.0.0.1', 8080)",
        "127.0.0.1 127.0.0.1 127.0.0.1",
        "over",
        "127.0.0.1",
        "(b'!', ('127.0.0.53', 53))",
        "::ffff:127.0.0.1",
    ]


def test_localhost_finds_what_listens_on_the_wildcard(held: Held) -> None:
    said = held.ask(
        "server = tcp(); server.bind(('', 8081)); server.listen()",
        "client = tcp(); client.connect(('127.0.0.1', 8081)); print(server.accept()[1][0])",
        "client = tcp(); client.connect(('0.0.0.0', 8081)); print(server.accept()[1][0])",
        "print(tried(lambda: tcp().connect(('127.0.0.1', 8082))))",
    )
    assert said == [OWN, OWN, "Connection refused"]


def test_the_hosts_loopback_is_out_of_reach(host: HostNet, held: Held) -> None:
    with served(host, "127.0.0.1", 4712) as stream, served(host, "127.0.0.1", 4712, socket.SOCK_DGRAM) as datagram:
        said = held.ask(
            "print(tried(lambda: tcp().connect(('127.0.0.1', 4712))))",
            "print(tried(lambda: tcp().connect(('127.0.1.1', 4712))))",
            "print(tried(lambda: tcp(socket.AF_INET6).connect(('::ffff:127.0.0.1', 4712))))",
            "print(tried(lambda: udp().sendto(b'x', ('127.0.0.1', 4712))))",
            "print(tried(lambda: tcp(socket.AF_INET6).connect(('::1', 4712))))",
        )
        assert said == [
            "Connection refused",
            "Operation not permitted",
            "Connection refused",
            "1",
            "Operation not permitted",
        ]
        for each in (stream, datagram):
            each.settimeout(0.2)
        with pytest.raises(TimeoutError):
            stream.accept()
        with pytest.raises(TimeoutError):
            datagram.recv(10)


def test_a_service_of_the_hosts_wildcard_never_sees_it_as_loopback(host: HostNet, held: Held) -> None:
    """It may trust whoever comes from 127.0.0.0/8; that the host answers on its wildcard, it does to everybody."""
    with served(host, "0.0.0.0", 4713) as stream, served(host, "0.0.0.0", 4713, socket.SOCK_DGRAM) as datagram:
        said = held.ask(
            "print(tried(lambda: tcp().connect(('127.0.0.1', 4713))))",
            "print(tried(lambda: udp().sendto(b'x', ('127.0.0.1', 4713))))",
            "bound = tcp(); bound.bind(('127.0.0.1', 0)); bound.settimeout(0.5)",
            f"print(tried(lambda: bound.connect(('{HOSTS}', 4713))))",
            "sending = udp(); sending.bind(('127.0.0.1', 0))",
            f"print(tried(lambda: sending.sendto(b'y', ('{HOSTS}', 4713))))",
        )
        assert said[:2] == ["None", "1"]
        assert said[2:] == ["timed out", "Operation not permitted"]
        accepted, peer = stream.accept()
        accepted.close()
        assert peer[0] == OWN
        assert datagram.recvfrom(10)[1][0] == OWN
        datagram.settimeout(0.2)
        with pytest.raises(TimeoutError):
            datagram.recv(10)


def test_a_service_at_its_own_addresses_never_sees_it_as_loopback(host: HostNet, held: Held) -> None:
    """The host's wildcard is at the group's addresses too, and so may another group be that shares one of them."""
    for address in ("0.0.0.0", OWN, "::"):
        with served(host, address, 4716) as stream, served(host, address, 4716, socket.SOCK_DGRAM) as datagram:
            said = held.ask(
                "bound = tcp(); bound.bind(('127.0.0.1', 0)); bound.settimeout(0.5)",
                f"print(tried(lambda: bound.connect(('{OWN}', 4716))))",
                "sending = udp(); sending.bind(('127.0.0.1', 0))",
                f"print(tried(lambda: sending.sendto(b'x', ('{OWN}', 4716))))",
                f"linked = udp(); linked.bind(('127.0.0.1', 0)); linked.connect(('{OWN}', 4716))",
                "print(tried(lambda: linked.send(b'y')))",
            )
            assert said == ["timed out", "Operation not permitted", "Operation not permitted"]
            for each in (stream, datagram):
                each.settimeout(0.2)
            with pytest.raises(TimeoutError):
                stream.accept()
            with pytest.raises(TimeoutError):
                datagram.recv(10)


def test_its_loopback_answers_who_comes_from_its_address(held: Held) -> None:
    said = held.ask(
        "server = tcp(); server.bind(('127.0.0.1', 8080)); server.listen()",
        f"client = tcp(); client.bind(('{OWN}', 0)); client.connect(('127.0.0.1', 8080))",
        "accepted, peer = server.accept(); accepted.send(b'stream'); print(peer[0], client.recv(10).decode())",
        "names = udp(); names.bind(('127.0.0.1', 8080))",
        f"asking = udp(); asking.bind(('{OWN}', 0)); asking.connect(('127.0.0.1', 8080)); asking.send(b'?')",
        "names.sendto(b'datagram', names.recvfrom(10)[1]); print(asking.recv(10).decode())",
    )
    assert said == [f"{OWN} stream", "datagram"]


def test_only_tcp_and_udp_are_made(held: Held) -> None:
    said = held.ask(
        "for kind, protocol in ((socket.SOCK_RAW, 1), (socket.SOCK_RAW, 255), (socket.SOCK_DGRAM, 1),",
        "                       (socket.SOCK_STREAM, 262), (socket.SOCK_STREAM, 6), (socket.SOCK_DGRAM, 0)):",
        "    for family in (socket.AF_INET, socket.AF_INET6):",
        "        made = tried(lambda: socket.socket(family, kind, protocol))",
        "        print(kind.name, protocol, made if isinstance(made, str) else 'made')",
    )
    assert [line for line in said if line.endswith("made")] == ["SOCK_STREAM 6 made"] * 2 + ["SOCK_DGRAM 0 made"] * 2


def test_who_listens_without_a_bind_is_heard_at_its_own_addresses_only(
    host: HostNet, held: Held, tmp_path: Path
) -> None:
    """Nothing asks a program before listen(2), or before the first datagram: what comes elsewhere is dropped."""
    told = tmp_path / "ports"
    program = held.begin(
        "import os",
        "server = tcp(); server.listen(); server.settimeout(30)",
        f"hearing = udp(); hearing.sendto(b'first', ('{OWN}', 9)); hearing.settimeout(30)",
        f"open('{told}.new', 'w').write(f'{{server.getsockname()[1]}} {{hearing.getsockname()[1]}}')",
        f"os.rename('{told}.new', '{told}')",
        "accepted, peer = server.accept(); print(accepted.getsockname()[0])",
        "print(hearing.recv(20).decode())",
    )
    until(told.exists, "the ports")
    port, other = map(int, told.read_text().split())
    with host.host.network():
        calling, passing = socket.socket(), socket.socket()
        sending = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with calling, passing, sending:
        passing.settimeout(0.3)
        with pytest.raises(TimeoutError):
            passing.connect((HOSTS, port))
        sending.sendto(b"to the host", (HOSTS, other))
        sending.sendto(b"to the group", (OWN, other))
        calling.settimeout(patience(5))
        calling.connect((OWN, port))
        assert program.result() == (0, f"{OWN}\nto the group\n")


def test_a_source_that_is_not_its_own_leaves_by_no_way(held: Held) -> None:
    said = held.ask(
        "import struct",
        f"source = [(socket.IPPROTO_IP, 8, struct.pack('=I4s4s', 0, socket.inet_aton('{HOSTS}'), bytes(4)))]",
        f"print(tried(lambda: udp().sendmsg([b'x'], source, 0, ('{BEYOND}', 9))))",
        f"linked = udp(); linked.connect(('{BEYOND}', 9))",
        "print(tried(lambda: linked.sendmsg([b'x'], source)))",
        "free = tcp(); free.setsockopt(socket.IPPROTO_IP, 15, 1); print(tried(lambda: free.bind(('192.0.2.99', 0))))",
    )
    assert said == ["Operation not permitted"] * 3
