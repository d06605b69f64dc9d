"""Which network a domain's container gets."""

from dataclasses import replace

import pytest

from insula.engine.interfacespec import Address, MovedInterface, NetworkKind, NetworkShare, Route, VethInterface
from insula.engine.spec import Namespace, SharedNamespace
from insula.errors import OperationInvalidError, UnsupportedConfigError
from insula.model.domain import DomainDefinition
from insula.model.interfaces import Interface, InterfaceSource, InterfaceType
from insula.network.guestnetwork import GuestNetwork, Resolver, network_of

DOMAIN = """<domain type='lxc' xmlns:lxc='http://libvirt.org/schemas/domain/lxc/1.0'>
<name>d</name><memory>65536</memory><os><type>exe</type></os>{above}
<devices>{devices}</devices></domain>"""
BRIDGED = "<interface type='bridge'><source bridge='br0'/>{}</interface>"


def domain(devices: str = "", above: str = "") -> DomainDefinition:
    return DomainDefinition.load(DOMAIN.format(devices=devices, above=above))


def share(kind: str, value: str) -> str:
    return f"<lxc:namespace><lxc:sharenet type='{kind}' value='{value}'/></lxc:namespace>"


def pid_of(name: str) -> int:
    if name != "web":
        raise OperationInvalidError(f"domain '{name}' is not running")
    return 4711


RESOLVER = Resolver(pid_of=pid_of)


@pytest.mark.parametrize("above", ["", "<features><privnet/></features>"])
def test_without_interfaces_the_guest_is_alone_with_lo(above: str) -> None:
    assert network_of(domain(above=above), RESOLVER) == GuestNetwork(kind=NetworkKind.PRIVATE)


def test_a_share_of_the_hosts_network_is_the_hosts_network_with_its_part() -> None:
    settings = "<insula:share-network addresses='192.0.2.7 2001:db8::7' ports='80'/>"
    namespace = "xmlns:insula='https://insula.dev/xmlns/domain/1'"
    shared = domain(above=f"<metadata><insula:domain {namespace}>{settings}</insula:domain></metadata>")
    part = NetworkShare(addresses=("192.0.2.7", "2001:db8::7"), ports=((80, 80),))
    assert network_of(shared, RESOLVER) == GuestNetwork(kind=NetworkKind.HOST, share=part)


def test_cards_without_a_name_are_numbered_around_those_with_one() -> None:
    named = "<guest dev='eth1'/>"
    network = network_of(domain(BRIDGED.format("") + BRIDGED.format(named) + BRIDGED.format("")), RESOLVER)
    assert [each.guest for each in network.interfaces] == ["eth0", "eth1", "eth2"]
    assert network.kind is NetworkKind.PRIVATE


def test_a_name_given_later_is_not_given_away_before() -> None:
    network = network_of(domain(BRIDGED.format("") + BRIDGED.format("<guest dev='eth0'/>")), RESOLVER)
    assert [each.guest for each in network.interfaces] == ["eth1", "eth0"]


MOVED = "<hostdev mode='capabilities' type='net'><source><interface>{}</interface></source>{}</hostdev>"


def test_a_device_of_the_host_keeps_its_name_which_no_other_card_gets() -> None:
    address = "<ip address='10.0.0.2' prefix='24'/><route address='0.0.0.0' gateway='10.0.0.1'/>"
    network = network_of(domain(MOVED.format("eth0", address) + BRIDGED.format("")), RESOLVER)
    assert network.interfaces == (
        VethInterface(guest="eth1", bridge="br0", mac=network.interfaces[0].mac),
        MovedInterface(
            guest="eth0",
            device="eth0",
            addresses=(Address(address="10.0.0.2", prefix=24),),
            routes=(Route(gateway="10.0.0.1"),),
        ),
    )


def test_the_hosts_network_is_shared_only_when_process_1_is_named() -> None:
    assert network_of(domain(above=share("pid", "1")), RESOLVER) == GuestNetwork(kind=NetworkKind.HOST)


@pytest.mark.parametrize(
    ("kind", "value", "path"),
    [("netns", "red", "/run/netns/red"), ("pid", "77", "/proc/77/ns/net"), ("name", "web", "/proc/4711/ns/net")],
)
def test_another_network_namespace_is_joined_by_its_file(kind: str, value: str, path: str) -> None:
    assert network_of(domain(above=share(kind, value)), RESOLVER).shared == (
        SharedNamespace(kind=Namespace.NETWORK, path=path),
    )


def test_sharing_with_a_domain_that_is_off_fails_with_its_own_error() -> None:
    with pytest.raises(OperationInvalidError, match="'db' is not running"):
        network_of(domain(above=share("name", "db")), RESOLVER)


VIRTUAL = "<interface type='network'><source network='default'/></interface>"


def test_a_card_of_a_virtual_network_is_what_its_network_says_it_is() -> None:
    def actual(card: Interface) -> Interface:
        assert card.source is not None
        assert card.source.network == "default"
        return replace(card, type=InterfaceType.BRIDGE, source=InterfaceSource(bridge="virbr0"))

    network = network_of(domain(VIRTUAL), Resolver(pid_of=pid_of, actual=actual))
    assert [each.bridge for each in network.interfaces if isinstance(each, VethInterface)] == ["virbr0"]


def test_a_card_of_a_virtual_network_is_refused_where_nobody_keeps_them() -> None:
    with pytest.raises(UnsupportedConfigError, match="virtual network 'default' is not known here"):
        network_of(domain(VIRTUAL), RESOLVER)
