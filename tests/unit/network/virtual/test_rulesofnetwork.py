"""What the firewall does for a network."""

from ipaddress import IPv4Address, ip_address, ip_network

import pytest

from insula.model.network import load_network
from insula.model.networksettings import TransportProtocol
from insula.model.xmlnamespaces import INSULA_NAMESPACE
from insula.network.firewall.networkrules import ForwardedPort, Reach
from insula.network.virtual.rulesofnetwork import rules_of

IPS = """<ip address='192.168.122.1' prefix='24'/><ip family='ipv6' address='fd00:122::1' prefix='64'/>
  <route address='10.7.0.0' prefix='16' gateway='192.168.122.9'/>"""


def xml(forward: str, rest: str = IPS) -> str:
    return f"<network><name>n</name>{forward}<bridge name='virbr0'/>{rest}</network>"


@pytest.mark.parametrize(
    ("forward", "reach"),
    [
        ("<forward mode='nat'/>", Reach.NAT),
        ("<forward mode='route'/>", Reach.ROUTE),
        ("<forward mode='open'/>", Reach.OPEN),
        ("", Reach.ISOLATED),
    ],
)
def test_each_mode_of_a_network_with_a_bridge_of_its_own_has_its_reach(forward: str, reach: Reach) -> None:
    rules = rules_of(load_network(xml(forward)), "virbr0")
    assert rules is not None
    assert (rules.name, rules.bridge, rules.reach) == ("n", "virbr0", reach)
    assert rules.subnets == tuple(map(ip_network, ("192.168.122.0/24", "fd00:122::/64", "10.7.0.0/16")))


def test_a_network_of_the_hosts_own_bridge_has_none() -> None:
    assert rules_of(load_network(xml("<forward mode='bridge'/>", "")), "br0") is None


def test_ranges_and_devices_are_the_definitions() -> None:
    nat = "<nat ipv6='yes'><address start='203.0.113.5' end='203.0.113.9'/><port start='1024' end='2048'/></nat>"
    rules = rules_of(load_network(xml(f"<forward mode='nat' dev='eth0'>{nat}</forward>")), "virbr0")
    assert rules is not None
    assert rules.devices == ("eth0",)
    assert rules.nat_addresses == (IPv4Address("203.0.113.5"), IPv4Address("203.0.113.9"))
    assert (rules.nat_ports, rules.nat_ipv6) == ((1024, 2048), True)


def test_ports_of_the_host_lead_to_guests() -> None:
    forward = "<insula:forward protocol='udp' dev='eth1' start='8000' end='8009' to='192.168.122.7' tostart='80'/>"
    settings = f"<metadata><insula:network xmlns:insula='NS'>{forward}</insula:network></metadata>"
    document = xml("<forward mode='nat'/>", IPS).replace(
        "<name>n</name>", "<name>n</name>" + settings.replace("NS", INSULA_NAMESPACE)
    )
    rules = rules_of(load_network(document), "virbr0")
    assert rules is not None
    assert rules.forwards == (
        ForwardedPort(
            transport=TransportProtocol.UDP,
            port=8000,
            count=10,
            to_address=ip_address("192.168.122.7"),
            to_port=80,
            from_device="eth1",
        ),
    )


def test_the_host_is_no_way_round_ports_that_a_network_isolates() -> None:
    def parted_by(rest: str) -> str | None:
        rules = rules_of(load_network(xml("<mac address='52:54:00:00:00:01'/>" + rest)), "virbr0")
        assert rules is not None
        return rules.parted_by

    assert parted_by("<port isolated='yes'/>") == "52:54:00:00:00:01"
    assert parted_by("<port isolated='no'/>") is None
    assert parted_by("") is None
