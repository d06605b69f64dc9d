"""Network filters come, change and go: before running guests and on the disk, or not at all."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from insula.errors import (
    NetworkFilterBindingNotFoundError,
    NetworkFilterExistsError,
    NetworkFilterNotFoundError,
    OperationFailedError,
    OperationInvalidError,
    XmlError,
)
from insula.layout import Layout
from insula.model.builtinfilters import NAMES
from insula.service.documents import Documents
from insula.service.managed import ManagedDomain
from insula.service.nwfilters import FilterVerbs, NetworkFilters, binding_at, bindings, filter_definitions
from insula.testing.fakefirewall import FakeFirewall
from tests.unit.service.fakes import Rig, domain_xml

pytestmark = pytest.mark.asyncio

UUID = "3e3fce45-4f53-4fa7-bb32-11f34168b82b"


def xml(name: str = "mine", inside: str = "<rule action='drop' direction='in'/>", uuid: str = UUID) -> str:
    return f"<filter name='{name}'><uuid>{uuid}</uuid>{inside}</filter>"


@dataclass(frozen=True, kw_only=True)
class Filters:
    """The verbs over files of a test's own."""

    layout: Layout
    firewall: FakeFirewall
    verbs: FilterVerbs
    documents: Documents

    @property
    def registry(self) -> NetworkFilters:
        return self.verbs.registry

    async def later(self) -> "Filters":
        filters = filters_below(self.layout, self.documents)
        await filters.verbs.take_stock()
        return filters

    def file(self, name: str) -> Path:
        return self.layout.filter_definitions / f"{name}.xml"


def filters_below(layout: Layout, documents: Documents, domains: Iterable[ManagedDomain] = ()) -> Filters:
    firewall = FakeFirewall()
    verbs = FilterVerbs(NetworkFilters(), filter_definitions(layout), firewall, documents, domains)
    return Filters(layout=layout, firewall=firewall, verbs=verbs, documents=documents)


@pytest.fixture
def documents() -> Iterator[Documents]:
    made = Documents()
    yield made
    made.close()


@pytest.fixture
def filters(tmp_path: Path, documents: Documents) -> Filters:
    layout = Layout.prefix(tmp_path)
    layout.run.mkdir(parents=True)
    return filters_below(layout, documents)


async def test_the_built_in_filters_are_there_from_the_beginning(filters: Filters) -> None:
    assert {each.name for each in filters.registry} == set(NAMES)
    assert filters.registry.definition("clean-traffic").references[0] == "no-mac-spoofing"
    with pytest.raises(NetworkFilterNotFoundError, match="no nwfilter with matching name 'mine'"):
        filters.registry.definition("mine")


async def test_a_filter_is_defined_found_by_the_next_daemon_and_undefined(filters: Filters) -> None:
    defined = await filters.verbs.define(xml())
    assert (str(defined.uuid), defined.definition) == (UUID, defined.defined)
    later = await filters.later()
    assert later.registry.definition("mine") == defined.definition
    await later.verbs.undefine(later.registry.by_name("mine"))
    assert not later.registry.has_name("mine")
    assert not filters.file("mine").exists()


async def test_a_built_in_filter_that_is_defined_anew_and_undefined_is_as_it_came(filters: Filters) -> None:
    came = filters.registry.by_name("allow-arp")
    text = xml("allow-arp", uuid=str(came.uuid))
    await filters.verbs.define(text)
    later = await filters.later()
    assert later.registry.definition("allow-arp").chain == "root"
    await later.verbs.undefine(later.registry.by_name("allow-arp"))
    assert later.registry.definition("allow-arp") == came.definition
    with pytest.raises(OperationInvalidError, match="'allow-arp' is built in"):
        await later.verbs.undefine(later.registry.by_name("allow-arp"))


async def test_a_name_or_a_uuid_that_is_anothers_is_refused(filters: Filters) -> None:
    await filters.verbs.define(xml())
    for text in (xml("other"), xml(uuid="11111111-2222-3333-4444-555555555555"), xml("clean-traffic")):
        with pytest.raises(NetworkFilterExistsError):
            await filters.verbs.define(text)
    assert len(filters.registry) == len(NAMES) + 1


async def test_a_filter_that_refers_to_itself_through_others_is_refused(filters: Filters) -> None:
    await filters.verbs.define(xml("a", "<filterref filter='b'/>"))
    with pytest.raises(OperationInvalidError, match="'b' refers, through others, to itself"):
        await filters.verbs.define(xml("b", "<filterref filter='a'/>", "11111111-2222-3333-4444-555555555555"))
    assert not filters.registry.has_name("b")


async def test_a_filter_before_running_guests_changes_at_once_with_those_that_refer_to_it(filters: Filters) -> None:
    await filters.verbs.define(xml())
    await filters.verbs.define(xml("user", "<filterref filter='mine'/>", "11111111-2222-3333-4444-555555555555"))
    filters.firewall.in_use = frozenset({"user"})
    await filters.verbs.define(xml(inside="<rule action='accept' direction='in'/>"))
    assert filters.firewall.refilterings == 1
    await filters.verbs.define(xml("unused", uuid="11111111-2222-3333-4444-555555555556"))
    assert filters.firewall.refilterings == 1


async def test_a_change_that_a_running_guest_cannot_have_does_not_happen(filters: Filters) -> None:
    before = await filters.verbs.define(xml())
    filters.firewall.in_use = frozenset({"mine"})
    filters.firewall.refusal = OperationFailedError("needs the parameter 'X'")
    with pytest.raises(OperationFailedError, match="needs the parameter 'X'"):
        await filters.verbs.define(xml(inside="<rule action='drop' direction='in'><ip srcipaddr='$X'/></rule>"))
    assert filters.registry.by_name("mine") is before
    assert not before.gone
    assert "srcipaddr" not in filters.file("mine").read_text()


async def test_a_disk_that_takes_no_more_leaves_the_filter_as_it_was(filters: Filters) -> None:
    filters.layout.filter_definitions.parent.mkdir(parents=True)
    filters.layout.filter_definitions.write_text("no directory")
    with pytest.raises(OperationFailedError, match="cannot save the definition of network filter 'mine'"):
        await filters.verbs.define(xml())
    assert not filters.registry.has_name("mine")


async def test_what_is_in_use_is_not_undefined(filters: Filters) -> None:
    mine = await filters.verbs.define(xml())
    user = await filters.verbs.define(xml("user", "<filterref filter='mine'/>", "11111111-2222-3333-4444-555555555555"))
    with pytest.raises(OperationInvalidError, match="nwfilter is in use: by the filters user"):
        await filters.verbs.undefine(mine)
    filters.firewall.in_use = frozenset({"user"})
    with pytest.raises(OperationInvalidError, match="nwfilter is in use: by running guests"):
        await filters.verbs.undefine(user)  # a guest is being plugged in: none is running yet
    filters.firewall.in_use = frozenset()
    await filters.verbs.undefine(user)
    await filters.verbs.undefine(mine)
    with pytest.raises(NetworkFilterNotFoundError):
        await filters.verbs.undefine(mine)


async def test_a_file_that_is_no_filter_is_set_aside_and_the_others_count(filters: Filters) -> None:
    await filters.verbs.define(xml())
    filters.file("odd").write_text("<filter name='odd'><rule/></filter>")
    later = await filters.later()
    assert later.registry.has_name("mine")
    assert not later.registry.has_name("odd")
    assert (filters.layout.filter_definitions / "odd.xml.set-aside").exists()


@pytest.mark.requires("libvirt-schemas")
async def test_a_filter_may_be_held_against_libvirts_schema(filters: Filters) -> None:
    await filters.verbs.define(xml(), by_schema=True)
    with pytest.raises(XmlError):
        await filters.verbs.define(xml(inside="<odd/>"), by_schema=True)


async def test_bindings_are_the_filters_of_running_guests_cards(rig: Rig) -> None:
    card = (
        "<interface type='bridge'><mac address='52:54:00:00:00:05'/><source bridge='br0'/><target dev='web0'/>"
        "<filterref filter='clean-traffic'><parameter name='IP' value='192.0.2.7'/></filterref></interface>"
    )
    web = await rig.domains.define(domain_xml().replace("<devices>", f"<devices>{card}"))
    await rig.domains.start(web)
    found = bindings(rig.domains.services.domains)
    assert [(each.owner.name, each.port, each.reference.filter) for each in found] == [("web", "web0", "clean-traffic")]
    assert binding_at("web0", found) is found[0]
    with pytest.raises(NetworkFilterBindingNotFoundError):
        binding_at("web1", found)


async def test_who_keeps_a_filter_in_use_is_named(rig: Rig, filters: Filters) -> None:
    own = filters_below(filters.layout, filters.documents, rig.domains.services.domains)
    mine = await own.verbs.define(xml())
    card = "<interface type='bridge'><source bridge='br0'/><target dev='web0'/><filterref filter='mine'/></interface>"
    await rig.domains.start(await rig.domains.define(domain_xml().replace("<devices>", f"<devices>{card}")))
    own.firewall.in_use = frozenset({"mine"})
    with pytest.raises(OperationInvalidError, match=r"in use: by the running guests 'web' \(web0\)"):
        await own.verbs.undefine(mine)
