"""Guests whose ports their network isolates, and the host that routes: packets between namespaces of the test's own."""

import socket
from collections.abc import Iterator
from ipaddress import ip_address, ip_network

import pytest

from insula.model.networksettings import TransportProtocol
from insula.network.firewall.firewall import Firewall
from insula.network.firewall.networkrules import ForwardedPort, HostAddress, NetworkRules, Reach
from tests.exchanges import exchanged, listening, socket_in
from tests.hostnet import HOST_ADDRESS, HostNet
from tests.testhost import TestHost
from tests.waiting import scaled, until

pytestmark = pytest.mark.requires("nft")

BRIDGE_MAC = "52:54:00:00:00:01"
NEAR, OTHER = "192.0.2.10", "192.0.2.11"
FORWARDED: HostAddress = ip_address(OTHER)
RULES = NetworkRules(
    name="test",
    bridge="br0",
    reach=Reach.NAT,
    subnets=(ip_network("192.0.2.0/24"),),
    forwards=(ForwardedPort(transport=TransportProtocol.TCP, port=8080, to_address=FORWARDED, to_port=4000),),
    parted_by=BRIDGE_MAC,
)


def reaches(guest: TestHost, other: TestHost) -> bool:
    """Whether a datagram of the guest's comes to the other's port."""
    kind = socket.SOCK_DGRAM
    with listening(other, OTHER, 5000, kind) as listener, socket_in(guest, OTHER, kind) as way:
        way.connect((OTHER, 5000))
        listener.settimeout(scaled(1))
        try:
            way.send(b"question")
            return listener.recv(100) == b"question"
        except OSError:
            return False


@pytest.fixture
def bridge(hostnet: HostNet) -> Iterator[TestHost]:
    """A host that routes, and tells nobody of shorter ways, with the bridge br0."""
    host = hostnet.host
    host.run("ip", "link", "add", "br0", "address", BRIDGE_MAC, "up", "type", "bridge")
    host.run("ip", "address", "add", "192.0.2.1/24", "dev", "br0")
    for setting in ("ip_forward=1", "conf.all.send_redirects=0", "conf.br0.send_redirects=0"):
        host.run("sysctl", "-q", f"net.ipv4.{setting}")
    # Else the kernel bridges what is for a forwarded port, and isolation keeps it back as any frame.
    host.run("sysctl", "-q", "net.bridge.bridge-nf-call-iptables=0", check=False)
    yield host
    host.run("nft", "flush", "ruleset")
    host.run("ip", "link", "delete", "br0")


def test_the_host_does_not_lead_from_one_to_the_other_but_for_forwarded_ports(
    hostnet: HostNet, bridge: TestHost
) -> None:
    mac = "52:54:00:aa:00:02"
    with hostnet.guest("vnet0", "br0") as guest, hostnet.guest("vnet1", "br0", mac=mac) as other:
        for machine, address, end in ((guest, NEAR, "vnet0"), (other, OTHER, "vnet1")):
            machine.run("ip", "address", "add", f"{address}/24", "dev", "eth0")
            machine.run("ip", "route", "add", "default", "via", "192.0.2.1")
            bridge.run("bridge", "link", "set", "dev", end, "isolated", "on")
        assert not reaches(guest, other)
        guest.run("ip", "route", "add", f"{OTHER}/32", "via", "192.0.2.1")
        until(lambda: reaches(guest, other), "the way by the host")
        bridge.inside(lambda: Firewall("insula-test").apply(RULES))
        assert not reaches(guest, other)
        kind = socket.SOCK_STREAM
        with listening(other, OTHER, 4000, kind) as listener, socket_in(guest, HOST_ADDRESS, kind) as client:
            exchanged(client, HOST_ADDRESS, 8080, listener)
