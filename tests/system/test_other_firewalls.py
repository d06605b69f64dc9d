"""Networks beside Docker's rules, as Docker's own program makes them: told, and mended where that is allowed."""

import shlex
import socket

import pytest

from insula.network.firewall.coexistence import Coexistence
from insula.network.firewall.firewall import Firewall
from tests.exchanges import exchanged, listening, socket_in
from tests.hostnet import GATEWAY, HOST_ADDRESS, HostNet
from tests.system.test_firewall import RULES
from tests.waiting import scaled

pytestmark = pytest.mark.requires("nft", "iptables")

DOCKER = ("-P FORWARD DROP", "-N DOCKER-USER", "-A FORWARD -j DOCKER-USER", "-A DOCKER-USER -j RETURN")


@pytest.mark.parametrize("mends", [False, True], ids=["told", "mended"])
def test_dockers_policy_for_what_crosses_the_host(hostnet: HostNet, mends: bool) -> None:
    host, told = hostnet.host, list[str]()
    host.run("ip", "link", "add", "br0", "up", "type", "bridge")
    host.run("ip", "address", "add", "192.0.2.1/24", "dev", "br0")
    host.run("sysctl", "-q", "net.ipv4.ip_forward=1")
    for rule in DOCKER:
        host.run("iptables", *shlex.split(rule))
    before = host.run("iptables", "-S").stdout
    firewall = Firewall("insula-test", others=Coexistence("insula-test", told.append, mends=mends))
    with hostnet.guest("vnet0", "br0") as guest:
        guest.run("ip", "address", "add", "192.0.2.10/24", "dev", "eth0")
        guest.run("ip", "route", "add", "default", "via", "192.0.2.1")
        host.inside(lambda: firewall.apply(RULES))
        with (
            listening(hostnet.outside, GATEWAY, 4000) as listener,
            socket_in(guest, GATEWAY, socket.SOCK_STREAM) as client,
        ):
            if mends:
                assert exchanged(client, GATEWAY, 4000, listener)[0] == HOST_ADDRESS
            else:
                client.settimeout(scaled(0.5))
                with pytest.raises(TimeoutError):
                    client.connect((GATEWAY, 4000))
        assert len(told) == (0 if mends else 1)
        assert all(each.startswith("Docker drops what crosses this host") for each in told)
        host.inside(lambda: firewall.remove("test"))
    assert host.run("iptables", "-S").stdout == before
    host.run("nft", "flush", "ruleset")
    host.run("ip", "link", "delete", "br0")
