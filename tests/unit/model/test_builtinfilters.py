from pathlib import Path

import pytest

from insula.engine.interfacespec import PortProtection
from insula.model.builtinfilters import NAMES, OWN, built_in_filter
from insula.model.nwfilter import FilterDefinition, dump_filter, load_filter
from insula.network.firewall.filterrules import FilterRule, rules_of
from insula.network.firewall.portrules import PortRules

THEIRS = Path("/usr/share/libvirt/nwfilter")
ADDED_HERE = {"no-ipv6-spoofing": 1}
"""Rules that ours have beside libvirt's: a guest may ask whether its address of IPv6 is taken."""


def ours(name: str) -> FilterDefinition:
    found = built_in_filter(name)
    assert found is not None
    return found


def theirs(name: str) -> FilterDefinition:
    return load_filter((THEIRS / f"{name}.xml").read_text())


def meaning(rules: tuple[FilterRule, ...]) -> list[tuple[object, ...]]:
    """Return what rules say, whatever the case of their words and the order of those of one priority."""
    said = [
        (
            each.chain,
            each.chain_priority,
            each.priority,
            each.action.value,
            each.direction.value,
            each.protocol.value if each.protocol else "",
            sorted((name, value.lower()) for name, value in each.values.items()),
        )
        for each in rules
    ]
    return sorted(said, key=repr)


@pytest.mark.requires("libvirt.nwfilters")
@pytest.mark.parametrize("name", [each for each in NAMES if each not in OWN])
def test_each_means_what_libvirts_of_that_name_means(name: str) -> None:
    server = "fe80::1" if "v6" in name else "192.0.2.1"
    given = (("DHCPSERVER", server), ("GATEWAY_MAC", "52:54:00:00:00:99"))
    protection = PortProtection(filter=name, parameters=given)
    port = PortRules(host="vnet0", mac="52:54:00:00:00:01", protection=protection, addresses=("192.0.2.7",))
    own = meaning(rules_of(port, ours))
    libvirts = meaning(rules_of(port, theirs))
    assert [each for each in libvirts if each not in own] == []
    assert len(own) - len(libvirts) == ADDED_HERE.get(name, 0)


@pytest.mark.requires("libvirt.nwfilters")
def test_none_of_libvirts_is_missing() -> None:
    assert {each.stem for each in THEIRS.glob("*.xml")} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_is_written_as_any_other_and_has_the_same_uuid_everywhere(name: str) -> None:
    found = ours(name)
    assert load_filter(dump_filter(found)) == found
    assert found.uuid.version == 5


def test_another_name_is_no_built_in_filter() -> None:
    assert built_in_filter("mine") is None
