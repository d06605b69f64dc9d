"""Tests of insula.engine.fragments.givencards."""

from dataclasses import replace

from insula.engine.fragments.givencards import RESOLVER_UNIT, UNITS, foreign_network_units, given_cards
from insula.engine.fragments.kernelfiles import runtime_directory
from insula.engine.interfacespec import Address, MacvlanInterface, NetworkKind, VethInterface
from insula.engine.spec import InitKind, Namespace, SharedNamespace
from insula.engine.steps.guest.roottree import MakeFile
from insula.engine.steps.guest.systemdunits import SkipUnits
from tests.unit.engine.fragments.example import FACTS, SPEC

ADDRESSES = (Address(address="192.0.2.7", prefix=24),)


def test_cards_with_addresses_are_the_hosts_to_configure() -> None:
    cards = (
        VethInterface(guest="eth0"),
        VethInterface(guest="lan0", addresses=ADDRESSES),
        MacvlanInterface(guest="wan0", device="eth1", addresses=ADDRESSES),
        VethInterface(guest="odd*", addresses=ADDRESSES),
    )
    files = [step for step in given_cards(replace(SPEC, interfaces=cards)) if isinstance(step, MakeFile)]
    assert {each.path: each.content for each in files} == {
        "run/systemd/network/79-insula-0.network": "[Match]\nName=lan0\n\n[Link]\nUnmanaged=yes\n",
        "run/systemd/network/79-insula-1.network": "[Match]\nName=wan0\n\n[Link]\nUnmanaged=yes\n",
        "run/NetworkManager/conf.d/79-insula.conf": (
            "[keyfile]\nunmanaged-devices+=interface-name:=lan0;interface-name:=wan0\n"
        ),
        "run/network/ifstate": "lan0=lan0\nwan0=wan0\n",
    }
    assert given_cards(replace(SPEC, interfaces=(VethInterface(guest="eth0"),))) == []


def test_nobody_but_its_owner_configures_a_network() -> None:
    shared = replace(SPEC, shared_namespaces=(SharedNamespace(kind=Namespace.NETWORK, path="/run/netns/web"),))
    assert foreign_network_units(SPEC) == ()
    for spec in (shared, replace(SPEC, network=NetworkKind.HOST)):
        steps = runtime_directory(replace(spec, init_kind=InitKind.SYSTEMD), FACTS)
        assert [step.units for step in steps if isinstance(step, SkipUnits)] == [list(UNITS)]
        assert foreign_network_units(replace(spec, resolver="nameserver 192.0.2.1\n")) == (*UNITS, RESOLVER_UNIT)
