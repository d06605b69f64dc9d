"""Titles, descriptions and other people's elements are kept with a domain."""

import pytest
from lxml import etree

from insula.errors import InvalidArgumentError, MetadataNotFoundError, UnsupportedConfigError, XmlError
from insula.model.domain import DomainDefinition
from insula.model.numbers import Affect, MetadataType
from insula.service.events import MetadataChange
from insula.service.metadata import metadata_of, with_metadata
from tests.unit.service.fakes import Rig, domain_xml

TITLE, DESCRIPTION, ELEMENT = MetadataType.TITLE, MetadataType.DESCRIPTION, MetadataType.ELEMENT
URI, OTHER_URI = "http://example.test/app", "http://example.test/other"
DOMAIN = DomainDefinition.load(domain_xml())


def canonical(xml: str) -> bytes:
    return etree.tostring(etree.fromstring(xml, etree.XMLParser(remove_blank_text=True)), method="c14n", exclusive=True)


@pytest.mark.parametrize("kind", [TITLE, DESCRIPTION])
def test_a_text_is_set_read_and_taken_away(kind: MetadataType) -> None:
    changed = with_metadata(DOMAIN, kind, "a & b", key=None, uri=None)

    assert metadata_of(changed, kind, None) == "a & b"
    assert with_metadata(changed, kind, None, key=None, uri=None) == DOMAIN
    with pytest.raises(MetadataNotFoundError, match="requested metadata element is not present"):
        metadata_of(DOMAIN, kind, None)


def test_a_title_has_one_line_and_a_description_many() -> None:
    with pytest.raises(InvalidArgumentError, match="can't contain newlines"):
        with_metadata(DOMAIN, TITLE, "a\nb", key=None, uri=None)
    assert metadata_of(with_metadata(DOMAIN, DESCRIPTION, "a\nb", key=None, uri=None), DESCRIPTION, None) == "a\nb"


def test_an_element_comes_back_without_the_namespace_that_it_is_kept_in() -> None:
    given = "<app colour='red'><item>1</item><x:item xmlns:x='http://example.test/x'>2</x:item><!-- why --></app>"
    changed = with_metadata(DOMAIN, ELEMENT, given, key="app", uri=URI)

    assert f"<app:app xmlns:app='{URI}'" in changed.dump()
    assert canonical(metadata_of(changed, ELEMENT, URI)) == canonical(given)


@pytest.mark.parametrize(
    "given",
    [
        "<a/>",
        "<a z='1' y=\"it's\"/>",
        "<a>text</a>",
        "<a>t <b/> u</a>",
        "<a><b> </b><c>\n</c></a>",
        "<a><b><c><d e='f'/></c></b></a>",
        "<a>\n  <b/>\n</a>",
        "<a>&lt;&amp;&#x41;&quot;'&#9;&#13;</a>",
        "<a><![CDATA[<x> & y]]></a>",
        "<a><!-- c --><?pi x?></a>",
        "<a>größe \U0001f600</a>",
        "<a xml:space='preserve'> </a>",
        "<a xmlns:o='urn:other'><o:b o:c='d'/></a>",
    ],
)
def test_an_element_comes_back_as_it_was_given(given: str) -> None:
    domain = with_metadata(DOMAIN, ELEMENT, given, key="k", uri=URI)
    for each in (domain, DomainDefinition.load(domain.dump())):
        got = metadata_of(each, ELEMENT, URI)
        assert got == got.strip()
        assert canonical(got) == canonical(given)


@pytest.mark.parametrize("kind", [TITLE, DESCRIPTION])
@pytest.mark.parametrize("text", ["a\x01b", "\x1b[31m", "half \udcff a pair", "\ufffe"])
def test_a_text_that_xml_cannot_hold_is_refused(kind: MetadataType, text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="which XML cannot hold; take it out"):
        with_metadata(DOMAIN, kind, text, key=None, uri=None)


@pytest.mark.parametrize("given", ["<app><?run fast -- now?><b/></app>", "<app><?run?><!-- why --></app>"])
def test_a_processing_instruction_in_an_element_stays_one(given: str) -> None:
    changed = with_metadata(DOMAIN, ELEMENT, given, key="app", uri=URI)
    again = DomainDefinition.load(changed.dump())

    assert canonical(metadata_of(again, ELEMENT, URI)) == canonical(given)


def test_elements_of_different_namespaces_stand_beside_each_other() -> None:
    one = with_metadata(DOMAIN, ELEMENT, "<a/>", key="one", uri=URI)
    both = with_metadata(one, ELEMENT, "<b/>", key="two", uri=OTHER_URI)
    replaced = with_metadata(both, ELEMENT, "<c/>", key="one", uri=URI)

    assert canonical(metadata_of(replaced, ELEMENT, URI)) == b"<c></c>"
    assert canonical(metadata_of(replaced, ELEMENT, OTHER_URI)) == b"<b></b>"
    removed = with_metadata(replaced, ELEMENT, None, key=None, uri=URI)
    with pytest.raises(MetadataNotFoundError):
        metadata_of(removed, ELEMENT, URI)
    assert metadata_of(removed, ELEMENT, OTHER_URI)


def test_our_own_settings_are_read_and_written_as_metadata_too() -> None:
    uri = "https://insula.dev/xmlns/domain/1"
    changed = with_metadata(DOMAIN, ELEMENT, "<domain><hostname>www</hostname></domain>", key="insula", uri=uri)

    assert changed.settings.hostname == "www"
    assert "<hostname>www</hostname>" in metadata_of(changed, ELEMENT, uri)


@pytest.mark.parametrize(
    ("value", "key", "uri", "error"),
    [
        ("<a/>", "app", None, InvalidArgumentError),
        ("<a/>", None, URI, InvalidArgumentError),
        ("<a/>", "not a prefix", URI, InvalidArgumentError),
        ("<a>", "app", URI, XmlError),
        ("no xml", "app", URI, XmlError),
        ("<domain><nonsense/></domain>", "insula", "https://insula.dev/xmlns/domain/1", UnsupportedConfigError),
    ],
)
def test_an_element_that_cannot_be_kept_is_refused(
    value: str, key: str | None, uri: str | None, error: type[Exception]
) -> None:
    with pytest.raises(error):
        with_metadata(DOMAIN, ELEMENT, value, key=key, uri=uri)


@pytest.mark.asyncio
async def test_live_and_persistent_metadata_are_two_things_and_changes_are_told(rig: Rig) -> None:
    ref = await rig.domains.start(await rig.domains.define(domain_xml()))
    rig.told.clear()
    await rig.domains.set_metadata(ref, TITLE, "live", None, None, Affect.LIVE)
    await rig.domains.set_metadata(ref, TITLE, "kept", None, None, Affect.CONFIG)
    await rig.domains.set_metadata(ref, ELEMENT, "<a/>", "app", URI, Affect.LIVE | Affect.CONFIG)

    assert rig.domains.metadata(ref, TITLE, None, Affect.CURRENT) == "live"
    assert rig.domains.metadata(ref, TITLE, None, Affect.CONFIG) == "kept"
    assert rig.told == [
        MetadataChange(domain=ref, kind=TITLE),
        MetadataChange(domain=ref, kind=TITLE),
        MetadataChange(domain=ref, kind=ELEMENT, uri=URI),
    ]
    await rig.domains.destroy(ref)
    assert rig.domains.metadata(ref, TITLE, None, Affect.CURRENT) == "kept"
