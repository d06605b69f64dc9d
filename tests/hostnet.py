"""A host with an uplink, what is beyond it, and guests: network namespaces that send each other real packets.

    guest ── bridge ─ host ── uplink (eth0) ── outside

The host is a test's own `test_host`. Beyond its uplink lies one machine that knows no way back to any other network
than the uplink's, as the Internet knows none to private addresses: what is to be answered there must be translated, or
the test tells `outside` a route.
"""

import contextlib
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from tests.testhost import TestHost
from tests.waiting import scaled, until

UPLINK = "eth0"
HOST_ADDRESS, HOST_ADDRESS_6 = "203.0.113.2", "2001:db8:113::2"
GATEWAY, GATEWAY_6 = "203.0.113.1", "2001:db8:113::1"
BEYOND, BEYOND_6 = "198.51.100.10", "2001:db8:51::10"
"""Addresses of the outside that are reached through the gateway."""


@dataclass(frozen=True, kw_only=True)
class HostNet:
    """host: where bridges and daemons belong; outside: the machine beyond the uplink."""

    host: TestHost
    outside: TestHost

    @contextlib.contextmanager
    def guest(self, name: str, bridge: str | None = None, *, mac: str = "52:54:00:aa:00:01") -> Iterator[TestHost]:
        """Return a machine with a card `eth0`, whose other end on the host is `name`, a port of the bridge if one is
        given.

        The card is switched on, has a carrier, and has no address.
        """
        guest = TestHost()
        try:
            _pair(self.host, name, guest, "eth0", mac)
            if bridge is not None:
                self.host.run("ip", "link", "set", name, "master", bridge)
            self.host.run("ip", "link", "set", name, "up")
            guest.run("ip", "link", "set", "eth0", "up")
            carried((self.host, name), (guest, "eth0"))
            yield guest
        finally:
            self.host.run("ip", "link", "delete", name, check=False)
            guest.close()


@contextlib.contextmanager
def host_with_uplink(host: TestHost) -> Iterator[HostNet]:
    """Give a host an uplink with addresses, default routes of both families, and an outside."""
    outside = TestHost()
    try:
        _pair(host, UPLINK, outside, UPLINK, "52:54:00:bb:00:01")
        for machine, *addresses in ((host, HOST_ADDRESS, HOST_ADDRESS_6), (outside, GATEWAY, GATEWAY_6)):
            for address in addresses:
                _give(machine, address, UPLINK, 24 if ip_address(address).version == 4 else 64)
            machine.run("ip", "link", "set", UPLINK, "up")
        carried((host, UPLINK), (outside, UPLINK))
        _give(outside, BEYOND, "lo", 32)
        _give(outside, BEYOND_6, "lo", 128)
        host.run("ip", "route", "add", "default", "via", GATEWAY)
        host.run("ip", "-6", "route", "add", "default", "via", GATEWAY_6)
        yield HostNet(host=host, outside=outside)
    finally:
        host.run("ip", "link", "delete", UPLINK, check=False)
        outside.close()


def _pair(first: TestHost, name: str, second: TestHost, other: str, mac: str) -> None:
    with second.network():
        namespace = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        where = f"/proc/{os.getpid()}/fd/{namespace}"
        peer = ("peer", "name", other, "address", mac, "netns", where)
        first.run("ip", "link", "add", name, "type", "veth", *peer)
    finally:
        os.close(namespace)


def _give(machine: TestHost, address: str, device: str, prefix: int) -> None:
    quick = ("nodad",) if ip_address(address).version == 6 else ()
    machine.run("ip", "address", "add", f"{address}/{prefix}", "dev", device, *quick)


def carried(*ends: tuple[TestHost, str]) -> None:
    """Wait for the carriers of devices that were switched on: until then they are shown otherwise, and lose frames.

    The kernel tells of a carrier from a queue of its own, which a busy host is late with.
    """
    for machine, device in ends:
        state = Path("/sys/class/net", device, "operstate")
        until(lambda machine=machine, state=state: machine.inside(state.read_text) == "up\n", f"{device}'s carrier")  # type: ignore[misc]


def tcp_source(client: TestHost, server: TestHost, address: str, port: int = 4711, seconds: float = 5) -> str | None:
    """Connect from client to an address and port of server, send both ways; return whom the server saw, None if nothing
    came.

    seconds: how long it may take, scaled; a refusal is to be awaited for some tenths only.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with server.network():
        listening = socket.create_server(("", port), family=family, backlog=1)
    with client.network():
        calling = socket.socket(family, socket.SOCK_STREAM)
    with listening, calling:
        for each in (listening, calling):
            each.settimeout(scaled(seconds))
        try:
            calling.connect((address, port))
        except OSError:
            return None
        accepted, peer = listening.accept()
        with accepted:
            accepted.settimeout(scaled(seconds))
            calling.sendall(b"question")
            assert accepted.recv(100) == b"question"
            accepted.sendall(b"answer")
            assert calling.recv(100) == b"answer"
        return str(peer[0])


def udp_source(
    client: TestHost, server: TestHost, address: str, port: int = 4711, seconds: float = 5, *, at: str | None = None
) -> str | None:
    """As `tcp_source`, by a datagram each way. at: the address that the server has, where it is not the one called."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with server.network():
        listening = socket.socket(family, socket.SOCK_DGRAM)
        listening.bind((at or address, port))
    with client.network():
        calling = socket.socket(family, socket.SOCK_DGRAM)
    with listening, calling:
        for each in (listening, calling):
            each.settimeout(scaled(seconds))
        try:
            calling.connect((address, port))
            calling.send(b"question")
            question, peer = listening.recvfrom(100)
            assert question == b"question"
            listening.sendto(b"answer", peer)
            assert calling.recv(100) == b"answer"
        except OSError:
            return None
        return str(peer[0])
