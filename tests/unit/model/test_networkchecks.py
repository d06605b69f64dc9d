from dataclasses import replace

import pytest

from insula.errorcodes import ErrorDomain
from insula.errors import InsulaError, UnsupportedConfigError, XmlError
from insula.model import networkchecks
from insula.model.networkchecks import NETWORK_CHECKS, NETWORK_KINDS, TOLD_MAX, network_problems, validate_network
from tests.unit.model.networks import SUBNET, SUBNET6, network_of


@pytest.mark.parametrize(
    "inside",
    [
        "",
        "<bridge name='virbr%d' zone='public' delay='30'/>",
        f"<forward/>{SUBNET.format('')}",
        "<forward mode='open'/>",
        f"<forward mode='route' dev='eth0'/>{SUBNET.format('')}",
        f"<forward><nat ipv6='yes'><address start='192.0.2.1' end='192.0.2.9'/></nat></forward>{SUBNET6.format('')}",
        "<forward mode='bridge'/><bridge name='br0'/>",
        "<forward mode='hostdev' managed='yes'><driver name='vfio'/><pf dev='eth3'/></forward>",
        "<forward mode='passthrough'><interface dev='eth1'/><interface dev='eth2'/></forward>",
        f"<mtu size='1000'/>{SUBNET.format('')}",
    ],
)
def test_networks_that_can_be_have_no_problems(inside: str) -> None:
    assert network_problems(network_of(inside)) == ()
    validate_network(network_of(inside))


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        ("<title>a\nb</title>", "the title has several lines"),
        ("<forward mode='bridge' dev='a'><interface dev='b'/></forward>", "dev 'a' is not its first interface, 'b'"),
        ("<forward mode='bridge'><interface dev='a'/><interface dev='a'/></forward>", "'a' stands twice"),
        ("<forward mode='bridge' dev='a/b'/>", "'a/b' cannot name a network device"),
        ("<forward mode='hostdev'><pf dev='all'/></forward>", "'all' cannot name a network device"),
        ("<forward mode='hostdev'><interface dev='a'/><address type='pci'/></forward>", "keep one kind"),
        ("<forward mode='hostdev'><address type='usb'/></forward>", "an address of type usb"),
        ("<forward/>", "the forward of mode 'nat' needs an <ip>"),
        ("<forward mode='open' dev='a'/><ip address='10.0.0.1'/>", "cannot be tied to a device"),
        (
            f"<forward><interface dev='a'/><interface dev='b'/></forward>{SUBNET}",
            "several interfaces, and can have one",
        ),
        (f"<forward mode='route'><nat/></forward>{SUBNET}", "a forward of mode 'route' cannot have <nat>"),
        (f"<forward><nat><port start='9' end='8'/></nat></forward>{SUBNET}", "ports from 9 to 8 run backwards"),
        (
            f"<forward><nat><address start='10.0.0.9' end='10.0.0.8'/></nat></forward>{SUBNET}",
            "addresses from 10.0.0.9 to 10.0.0.8 run backwards",
        ),
        ("<bridge name='a/b'/>", "'a/b' cannot name a bridge"),
        ("<bridge name='lo'/>", "'lo' cannot name a bridge"),
        ("<bridge zone='a b'/>", "'a b' cannot name a zone"),
        ("<bridge delay='31'/>", "at most 30 are possible"),
        ("<forward mode='vepa'/><bridge name='a'/>", "a network of mode 'vepa' has no bridge"),
        ("<forward mode='bridge'/><bridge name='a' stp='off'/>", "stp, delay and zone are for bridges"),
        ("<forward mode='bridge' dev='e'/><bridge name='a'/>", "names a bridge and a forward dev"),
        ("<forward mode='bridge'/><ip address='10.0.0.1'/>", "of mode 'bridge' cannot have <ip>"),
        ("<forward mode='bridge'/><mac address='52:54:00:00:00:01'/>", "of mode 'bridge' cannot have <mac>"),
        ("<forward mode='bridge'/><domain name='a'/>", "of mode 'bridge' cannot have <domain>"),
        ("<forward mode='bridge'/><dns><txt name='a' value='b'/></dns>", "of mode 'bridge' cannot have <dns>"),
        ("<forward mode='bridge'/><mtu size='1400'/>", "of mode 'bridge' cannot have an mtu"),
        (f"<mtu size='1000'/>{SUBNET6}", "the mtu is 1000, and a network with IPv6 needs 1280"),
        (
            "<metadata><i:forward xmlns:i='https://insula.dev/xmlns/domain/1'/></metadata>",
            "<i:forward> in the metadata",
        ),
        (
            "<metadata><i:network xmlns:i='https://insula.dev/xmlns/domain/1'><i:slip/></i:network></metadata>",
            "<i:slip> in the metadata is no setting of ours",
        ),
    ],
)
def test_a_network_that_cannot_be_is_told_once(inside: str, text: str) -> None:
    found = network_problems(network_of(inside.format("")))
    assert len(found) == 1, found
    assert text in found[0]


def test_an_error_names_every_problem_and_is_of_the_kind_of_the_first() -> None:
    with pytest.raises(XmlError, match=r"cannot name a bridge.*; 10\.0\.0\.0 is the network address") as caught:
        validate_network(network_of("<bridge name='a/b'/><ip address='10.0.0.0' prefix='8'/>"))
    assert caught.value.domain is ErrorDomain.NETWORK
    with pytest.raises(UnsupportedConfigError, match="is the network address"):
        validate_network(network_of("<ip address='10.0.0.0' prefix='8'/><domain name='a b'/>"))


def test_an_error_stays_readable_whatever_a_document_holds() -> None:
    forwarders = f"<forwarder domain='{'x' * 10_000}\u202e'/>" * 50
    with pytest.raises(XmlError) as caught:
        validate_network(network_of(f"<dns>{forwarders}</dns>"))
    text = str(caught.value)
    assert len(text) < TOLD_MAX * 500
    assert text.endswith("; and 30 more problems")
    assert "\u202e" not in text


def test_what_nobody_could_define_again_is_not_kept() -> None:
    hosts = "".join(f"<host name='h{number}' ip='10.0.{number >> 8}.{number & 255}'/>" for number in range(1, 5000))
    large = network_of(f"<ip address='10.1.0.1' prefix='8'><dhcp>{hosts}</dhcp></ip>")
    assert network_problems(large) == ()
    long = replace(large, description="x" * 2**20)
    with pytest.raises(InsulaError, match="its document could not be read again"):
        validate_network(long)


def test_every_check_stands_in_the_table() -> None:
    checks = {value for name, value in vars(networkchecks).items() if name.startswith("check_")}
    assert checks == set(NETWORK_CHECKS)
    assert NETWORK_KINDS.keys() <= checks
