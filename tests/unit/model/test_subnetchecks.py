import pytest

from insula.model.network import NetworkDefinition
from insula.model.networkchecks import network_problems
from insula.model.subnetchecks import FORWARDS_MAX, IPS_MAX, ROUTES_MAX, subnet_of
from tests.unit.model.networks import SUBNET, SUBNET6, network_of, with_dhcp


def only_problem(network: NetworkDefinition) -> str:
    found = network_problems(network)
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize(
    "ips",
    [
        "<ip address='10.0.0.1' netmask='255.255.255.0'/>",
        "<ip address='10.0.0.0' prefix='31'/>",
        "<ip address='10.0.0.0' prefix='32'/><ip address='10.0.0.1' prefix='32'/>",
        "<ip address='fd00::1'/><ip address='fd00:0:0:1::' prefix='64'/>",
        SUBNET.format("") + SUBNET6.format(""),
    ],
)
def test_subnets_beside_each_other_are_right(ips: str) -> None:
    assert network_problems(network_of(ips)) == ()


@pytest.mark.parametrize(
    ("ips", "text"),
    [
        ("<ip/>", "<ip> number 1 has no address"),
        ("<ip address='10.0.0.1' family='ipv6'/>", "10.0.0.1 is not of the family ipv6"),
        ("<ip address='10.0.0.1' netmask='255.0.0.0' prefix='8'/>", "a netmask and a prefix; keep one"),
        ("<ip address='fd00::1' family='ipv6' netmask='ffff::'/>", "which IPv6 has not"),
        ("<ip address='10.0.0.1' prefix='33'/>", "cannot have the prefix 33"),
        ("<ip address='10.0.0.1' prefix='0'/>", "cannot have the prefix 0"),
        ("<ip address='10.0.0.1' netmask='255.0.255.0'/>", "255.0.255.0 is no netmask"),
        ("<ip address='10.0.0.1' netmask='0.0.0.255'/>", "0.0.0.255 is no netmask"),
        ("<ip address='10.0.0.0' prefix='24'/>", "10.0.0.0 is the network address of its subnet 10.0.0.0/24"),
        ("<ip address='10.0.0.255' prefix='24'/>", "is the broadcast address of its subnet"),
        ("<ip address='127.0.0.1' prefix='8'/>", "127.0.0.1 cannot be the address of a bridge"),
        ("<ip address='240.0.0.1' prefix='8'/>", "240.0.0.1 cannot be the address of a bridge"),
        ("<ip family='ipv6' address='ff02::1' prefix='64'/>", "ff02::1 cannot be the address of a bridge"),
        (
            "<ip address='10.0.0.1' prefix='8'/><ip address='10.9.0.1' prefix='16'/>",
            "10.0.0.1/8 and 10.9.0.1/16 overlap",
        ),
        ("<ip address='fd00::1'/><ip address='fd00::2'/>", "fd00::1/64 and fd00::2/64 overlap"),
        ("<ip address='10.0.0.1'/>" * (IPS_MAX + 1), f"more than the {IPS_MAX} that are accepted"),
    ],
)
def test_a_subnet_that_cannot_be_is_told(ips: str, text: str) -> None:
    assert text in only_problem(network_of(ips))


def test_a_subnet_that_cannot_be_is_none() -> None:
    assert subnet_of(network_of("<ip address='10.0.0.1' netmask='0.0.0.255'/>").ips[0]) is None
    assert str(subnet_of(network_of(SUBNET.format("")).ips[0])) == "192.168.122.1/24"


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        ("<range start='192.168.122.0' end='192.168.122.9'/>", "begins with the network address"),
        ("<range start='192.168.122.9' end='192.168.122.255'/>", "ends with the broadcast address"),
        ("<range start='192.168.122.9' end='192.168.122.5'/>", "runs backwards"),
        ("<range start='192.168.122.9' end='192.168.123.5'/>", "is not within the subnet 192.168.122.0/24"),
        (
            "<range start='192.168.122.9' end='192.168.122.20'/><range start='192.168.122.5' end='192.168.122.9'/>",
            "from 192.168.122.5 to 192.168.122.9 and from 192.168.122.9 to 192.168.122.20 overlap",
        ),
        ("<range start='fd00::5' end='fd00::9'/>", "is not within the subnet"),
        ("<range start='192.168.122.5' end='192.168.122.9'><lease expiry='1'/></range>", "a lease of 60 seconds"),
        ("<range start='192.168.122.5' end='192.168.122.9'><lease expiry='4294967295'/></range>", "is not possible"),
        ("<host name='a'/>", "dhcp host 1: it has no ip"),
        ("<host ip='192.168.122.9'/>", "it must have a mac or a name"),
        ("<host name='a b' ip='192.168.122.9'/>", "'a b' cannot be the name of a host"),
        ("<host name='12h' ip='192.168.122.9'/>", "'12h' cannot be the name of a host: dnsmasq takes it for"),
        ("<host name='ignore' ip='192.168.122.9'/>", "'ignore' cannot be the name of a host: dnsmasq takes it for"),
        ("<host name='a' id='x1' ip='192.168.122.9'/>", "'x1' is no id"),
        ("<host name='a' id='' ip='192.168.122.9'/>", "'' is no id"),
        ("<host name='a' ip='192.168.123.9'/>", "192.168.123.9 is not within the subnet"),
        ("<host name='a' ip='fd00::9'/>", "fd00::9 is not within the subnet"),
        ("<host name='a' ip='192.168.122.1'/>", "192.168.122.1 is the network's own address"),
        ("<host name='a' ip='192.168.122.255'/>", "is the broadcast address"),
        ("<host name='a' ip='192.168.122.9'><lease expiry='9' unit='seconds'/></host>", "a lease of 9 seconds"),
        ("<host name='a' ip='192.168.122.8'/><host name='A' ip='192.168.122.9'/>", "two dhcp hosts have the name a"),
        ("<host name='a' ip='192.168.122.8'/><host name='b' ip='192.168.122.8'/>", "have the address 192.168.122.8"),
        (
            "<host mac='52:54:00:0:0:1' ip='192.168.122.8'/><host mac='52:54:00:00:00:01' ip='192.168.122.9'/>",
            "two dhcp hosts have the MAC address 52:54:00:00:00:01",
        ),
    ],
)
def test_what_dhcp_could_not_give_out_is_told(inside: str, text: str) -> None:
    assert text in only_problem(with_dhcp(inside))


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        ("<host mac='52:54:00:00:00:01' id='0:1' ip='fd00::9'/>", "it cannot be known by the MAC address"),
        ("<host ip='fd00::9'/>", "it must have an id or a name"),
        ("<range start='fd00::1' end='fd00::1:0'/>", "is of more than 65535 addresses"),
        ("<bootp file='x'/>", "bootp is for IPv4"),
    ],
)
def test_dhcp_of_ipv6_has_rules_of_its_own(inside: str, text: str) -> None:
    assert text in only_problem(network_of(SUBNET6.format(f"<dhcp>{inside}</dhcp>")))


def test_a_short_prefix_gives_out_no_addresses_of_ipv6() -> None:
    short = SUBNET6.replace("64", "48").format("<dhcp><range start='fd00::2' end='fd00::9'/></dhcp>")
    assert "has a prefix too short for dhcp: 64" in only_problem(network_of(short))


def test_dhcp_is_for_one_subnet_of_each_family() -> None:
    one = "<dhcp><range start='{0}2' end='{0}9'/></dhcp>"
    both = network_of(SUBNET.format(one.format("192.168.122.")) + SUBNET6.format(one.format("fd00::")))
    assert network_problems(both) == ()
    second = SUBNET.replace("122", "123").format(one.format("192.168.123."))
    twice = network_of(SUBNET.format(one.format("192.168.122.")) + second)
    assert only_problem(twice) == "the network has several <dhcp> of the family ipv4; keep one"


@pytest.mark.parametrize(
    ("route", "text"),
    [
        ("<route address='10.0.0.1' prefix='8' gateway='192.168.122.2'/>", "names no network"),
        ("<route address='10.0.0.0' prefix='8' gateway='192.168.9.2'/>", "that no subnet of the network has"),
        ("<route address='10.0.0.0' prefix='8' gateway='fd00::2'/>", "a gateway of the other family"),
        ("<route address='10.0.0.0' prefix='8' gateway='192.168.9.2'/>" * (ROUTES_MAX + 1), "more than the 1024"),
    ],
)
def test_a_route_needs_a_gateway_that_the_network_reaches(route: str, text: str) -> None:
    assert text in only_problem(network_of(SUBNET.format("") + route))


def test_a_route_through_a_guest_is_right() -> None:
    routes = (
        "<route address='10.0.0.0' prefix='8' gateway='192.168.122.2'/>"
        "<route address='172.16.0.0' netmask='255.240.0.0' gateway='192.168.122.3' metric='2'/>"
        "<route address='0.0.0.0' prefix='0' gateway='192.168.122.2'/>"
    )
    assert network_problems(network_of(SUBNET.format("") + routes)) == ()


def forwarding(*forwards: str, ips: str = SUBNET.format("")) -> NetworkDefinition:
    inside = "".join(f"<i:forward {each}/>" for each in forwards)
    ours = f"<i:network xmlns:i='https://insula.dev/xmlns/domain/1'>{inside}</i:network>"
    return network_of(f"<metadata>{ours}</metadata>{ips}")


@pytest.mark.parametrize(
    ("forwards", "text"),
    [
        (["start='80' end='70' to='192.168.122.9'"], "runs backwards"),
        (["start='80' end='90' tostart='65530' to='192.168.122.9'"], "leads to ports above 65535"),
        (["start='80' address='fd00::1' to='192.168.122.9'"], "not of the family of fd00::1"),
        (["start='80' to='192.168.123.9'"], "192.168.123.9, which no guest of the network can have"),
        (["start='80' to='192.168.122.1'"], "192.168.122.1, which no guest of the network can have"),
        (["start='80' end='82' to='192.168.122.9'", "start='82' to='192.168.122.8'"], "tcp port 82 is forwarded twice"),
        (["start='80' to='192.168.122.9'"] * (FORWARDS_MAX + 1), "more than the 1024"),
    ],
)
def test_a_port_forward_that_leads_nowhere_is_told(forwards: list[str], text: str) -> None:
    assert text in only_problem(forwarding(*forwards))


def test_port_forwards_beside_each_other_are_right() -> None:
    to = "to='192.168.122.9'"
    fine = forwarding(
        f"start='80' {to}",
        f"start='80' protocol='udp' {to}",
        f"start='80' address='192.0.2.1' {to}",
        f"start='80' dev='eth1' {to}",
        f"start='81' end='90' tostart='1' {to}",
    )
    assert network_problems(fine) == ()


def test_a_network_without_a_bridge_of_its_own_forwards_no_ports() -> None:
    found = network_problems(forwarding("start='80' to='192.168.122.9'", ips="<forward mode='bridge' dev='eth0'/>"))
    assert "a network of mode 'bridge' cannot forward ports: its guests are reached without the host" in found
