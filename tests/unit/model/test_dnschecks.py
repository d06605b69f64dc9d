import pytest

from insula.model.networkchecks import network_problems
from tests.unit.model.networks import SUBNET, SUBNET6, network_of


@pytest.mark.parametrize(
    "inside",
    [
        "<domain name='example.com' localOnly='yes' register='yes'/>",
        "<dns><forwarder addr='8.8.8.8' port='5353'/><forwarder domain='example.com'/></dns>",
        "<dns><txt name='_dmarc' value='v=1, &quot;x&quot;'/><txt name='a' value=''/></dns>",
        "<dns><srv service='ldap' protocol='tcp'/><srv service='x' protocol='udp' target='.' port='1'/></dns>",
        "<dns><host ip='1.2.3.4'><hostname>a</hostname><hostname>b.c</hostname></host></dns>",
        SUBNET.format("<tftp root='/srv/tftp'/><dhcp><bootp file='pxe/x.0' server='boot.example.com'/></dhcp>"),
        SUBNET.format("<dhcp><bootp file='x' server='192.0.2.7'/></dhcp>"),
    ],
)
def test_names_and_records_that_a_server_can_answer_are_right(inside: str) -> None:
    assert network_problems(network_of(inside)) == ()


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        ("<domain name='a b'/>", "'a b' cannot be the name of a DNS domain"),
        ("<domain name='a' register='yes'/>", "say localOnly='yes' too"),
        ("<dns><forwarder domain='a' port='53'/></dns>", "the forwarder of the domain 'a' has a port and no addr"),
        ("<dns><forwarder/></dns>", "a forwarder has neither an addr nor a domain"),
        ("<dns><forwarder domain='a/b'/></dns>", "the domain 'a/b', which is no name"),
        ("<dns><txt name='a,b' value='x'/></dns>", "'a,b' cannot be the name of a txt record"),
        ("<dns><txt name='a'/></dns>", "the txt record 'a' has no value"),
        ("<dns><txt name='a' value='x&#10;conf-file=/etc/shadow'/></dns>", "holds U+000A, which nobody sees"),
        (f"<dns><txt name='a' value='{'x' * 256}'/></dns>", "is too long"),
        (f"<dns><txt name='a' value='{('x' * 200 + ',') * 6}'/></dns>", "is too long"),
        ("<dns><srv protocol='tcp'/></dns>", "the srv record 'None' has no service"),
        ("<dns><srv service='a,b' protocol='tcp'/></dns>", "has no service that could be a name"),
        ("<dns><srv service='a' protocol='_tcp'/></dns>", "has no protocol such as tcp or udp"),
        ("<dns><srv service='a'/></dns>", "has no protocol such as tcp or udp"),
        ("<dns><srv service='a' protocol='tcp' domain='x y'/></dns>", "has the domain 'x y', which is no name"),
        ("<dns><srv service='a' protocol='tcp' target='x y'/></dns>", "has the target 'x y', which is no name"),
        ("<dns><srv service='a' protocol='tcp' port='1'/></dns>", "has a port and no target"),
        ("<dns><host ip='1.2.3.4'/></dns>", "the dns host 1.2.3.4 has no <hostname>"),
        ("<dns><host><hostname>a</hostname></host></dns>", "a dns host has no ip; its names are a"),
        ("<dns><host ip='1.2.3.4'><hostname>a b</hostname></host></dns>", "the name 'a b', which is none"),
        (SUBNET.format("<dhcp><bootp file='a,b'/></dhcp>"), "'a,b' cannot be the file of bootp"),
        (SUBNET.format("<dhcp><bootp file=''/></dhcp>"), "'' cannot be the file of bootp"),
        (SUBNET.format("<dhcp><bootp file='x' server='a b'/></dhcp>"), "'a b' cannot be the server of bootp"),
        (SUBNET.format("<tftp root='/srv/../etc'/>"), "'/srv/../etc' cannot be the root of tftp"),
        (SUBNET.format("<tftp root='/a&#10;b'/>"), "cannot be the root of tftp"),
        (SUBNET6.format("<tftp root='/srv'/>"), "tftp is for IPv4"),
        (
            SUBNET.format("<tftp root='/a'/>") + SUBNET.replace("122", "123").format("<tftp root='/b'/>"),
            "the network has several tftp roots",
        ),
    ],
)
def test_what_a_server_could_not_answer_is_told(inside: str, text: str) -> None:
    found = network_problems(network_of(inside))
    assert len(found) == 1, found
    assert text in found[0]


@pytest.mark.parametrize("value", ["", "a&#10;b", "x" * 1001])
def test_an_option_for_dnsmasq_is_one_line(value: str) -> None:
    options = (
        f"<d:options xmlns:d='http://libvirt.org/schemas/network/dnsmasq/1.0'><d:option value='{value}'/></d:options>"
    )
    (found,) = network_problems(network_of(options))
    assert "for dnsmasq is not one line of 1 to 1000 bytes" in found
