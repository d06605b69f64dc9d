"""Tests of insula.engine.fragments.networkd."""

from dataclasses import replace

from insula.engine.fragments.kernelfiles import runtime_directory
from insula.engine.fragments.networkd import UNITS, foreign_network_units, networkd_files
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
    files = [step for step in networkd_files(replace(SPEC, interfaces=cards)) if isinstance(step, MakeFile)]
    assert [(each.path.rpartition("/")[2], each.content.split()[1]) for each in files] == [
        ("79-insula-0.network", "Name=lan0"),
        ("79-insula-1.network", "Name=wan0"),
    ]


def test_nobody_but_its_owner_configures_a_network() -> None:
    shared = replace(SPEC, shared_namespaces=(SharedNamespace(kind=Namespace.NETWORK, path="/run/netns/web"),))
    assert foreign_network_units(SPEC) == ()
    for spec in (shared, replace(SPEC, network=NetworkKind.HOST)):
        steps = runtime_directory(replace(spec, init_kind=InitKind.SYSTEMD), FACTS)
        assert [step.units for step in steps if isinstance(step, SkipUnits)] == [list(UNITS)]
