"""Bounds of documents: what takes parsers more than linear time never reaches one, and finding that out is quick."""

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from insula.errors import XmlError, XmlSyntaxError
from insula.model.domain import DomainDefinition
from insula.model.xmlbounds import ATTRIBUTES_MAX, ELEMENTS_MAX, LEVELS_MAX, MARKUP_MAX, NAMESPACES_MAX, check_bounds


def attributes(number: int) -> str:
    return "<a " + " ".join(f"b{each}='1'" for each in range(number)) + "/>"


@pytest.mark.parametrize(
    ("just_right", "too_much", "what"),
    [
        (attributes(ATTRIBUTES_MAX), attributes(ATTRIBUTES_MAX + 1), "attributes on one element"),
        ("<a>" * LEVELS_MAX + "</a>" * LEVELS_MAX, "<a>" * (LEVELS_MAX + 1), "levels"),
        ("<a>" + "<b/>" * (ELEMENTS_MAX - 1) + "</a>", "<a>" + "<b/>" * ELEMENTS_MAX, "more than 8192 elements"),
        ("<a>" + "<!---->" * MARKUP_MAX + "</a>", "<a>" + "<!---->" * (MARKUP_MAX + 1), "comments"),
        ("<a>" + "<?b?>" * MARKUP_MAX + "</a>", "<a>" + "<?b?>" * (MARKUP_MAX + 1), "comments"),
        (
            "<a>" + "<b xmlns='c'/>" * NAMESPACES_MAX + "</a>",
            "<a>" + "<b xmlns='c'/>" * (NAMESPACES_MAX + 1),
            "namespace declarations",
        ),
        (
            "<a>" + "<b c='1'/>" * (ELEMENTS_MAX - 1) + "</a>",
            "<a>" + "<b c='1' d='2' e='3'/>" * (ELEMENTS_MAX - 1),
            "attributes and comments",
        ),
    ],
)
def test_each_thing_has_its_most(just_right: str, too_much: str, what: str) -> None:
    check_bounds(just_right)
    with pytest.raises(XmlError, match=what):
        check_bounds(too_much)


def test_the_line_of_what_is_too_much_is_named() -> None:
    with pytest.raises(XmlError, match=f"line 3: more than {ATTRIBUTES_MAX} attributes"):
        check_bounds("<x>\n\n" + attributes(ATTRIBUTES_MAX + 1) + "</x>")


@pytest.mark.parametrize(
    "hiding_place",
    [
        "<!-- <a> -->",
        "<![CDATA[<a><a>]]>",
        "<?a <a> ?>",
        "<b c='<'/>".replace("<'", "&lt;'"),
        "<b c='=====' d=\"'>'\"/>",
    ],
)
def test_what_only_looks_like_markup_counts_once(hiding_place: str) -> None:
    check_bounds("<x>" + hiding_place * 5000 + "</x>")


def test_values_full_of_equal_signs_are_no_attributes() -> None:
    check_bounds("<a b='" + "=" * 10_000 + "'/>")


NAMES = st.sampled_from(["a", "b", "c:d", "x-y"])
ATTRIBUTES = st.dictionaries(st.sampled_from("pqrs"), st.text("a<>'\"= &", max_size=4), max_size=4)


@st.composite
def trees(draw: st.DrawFn, depth: int = 0) -> etree._Element:
    element = etree.Element(draw(st.sampled_from(["a", "b", "c"])), draw(ATTRIBUTES))
    element.text = draw(st.text("x<>&'\"", max_size=3))
    if depth < 3:
        for child in draw(st.lists(trees(depth=depth + 1), max_size=3)):
            element.append(child)
            if draw(st.booleans()):
                element.append(etree.Comment(" <a b='c'> "))
    return element


@given(tree=trees())
def test_every_well_formed_document_passes(tree: etree._Element) -> None:
    check_bounds(etree.tostring(tree, encoding="unicode"))


@given(text=st.text("<>/='\"!-?[]CDATA \nax", max_size=60))
def test_nothing_but_an_xml_error_is_raised(text: str) -> None:
    try:
        check_bounds(text)
    except XmlError:
        with pytest.raises(etree.XMLSyntaxError):  # what the pass refuses in so few letters is not well-formed
            etree.fromstring(text)


# How long it takes

HEAD = "<domain type='lxc'><name>a</name><memory>1</memory><os><type>exe</type></os><metadata><x xmlns='u'>"

GROWING: dict[str, Callable[[int], str]] = {
    "attributes": lambda size: HEAD + attributes(size),
    "attributes without an end": lambda size: HEAD + "<a " + "b='1' " * size,
    "namespaces": lambda size: HEAD + "".join(f"<a xmlns:b{each}='c'>" for each in range(size)),
    "levels": lambda size: HEAD + "<a>" * size,
    "elements": lambda size: HEAD + "<a/>" * size,
    "comments": lambda size: HEAD + "<!---->" * size,
    "comments without an end": lambda size: HEAD + "<!--" * size,
    "sections without an end": lambda size: HEAD + "<![CDATA[" * size,
    "tags without an end": lambda size: HEAD + "<a" * size,
    "quotes": lambda size: HEAD + "<a b=" + "'" * size,
    "prolog": lambda size: "<!-- -->" * size + HEAD,
    "references": lambda size: HEAD + "&lt;" * size,
    "processors": lambda size: HEAD.partition("<os>")[0] + "<vcpu cpuset='" + "0-9000,^1," * size + "'/><os/></domain>",
    "digits": lambda size: f"<domain type='lxc'><name>a</name><memory>{'9' * size}</memory></domain>",
    "spaces": lambda size: f"<domain type='lxc'><name>{' ' * size}!</name></domain>",
}
"""Documents that cost more than they should, somewhere; those that have other limits stay below a megabyte here."""


def _seconds(document: str) -> float:
    """The processor time of reading a document, which fails."""
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        with pytest.raises(XmlError):
            DomainDefinition.load(document)
        best = min(best, time.process_time() - began)
    return best


@pytest.mark.parametrize("kind", GROWING)
def test_eight_times_the_document_takes_no_more_than_some_eight_times_the_time(kind: str) -> None:
    small, large = GROWING[kind](8_000), GROWING[kind](64_000)
    assert _seconds(large) < 24 * max(_seconds(small), 0.001)


@pytest.mark.parametrize("comment", ["<!-- a -- b -->", "<!---->\n<!-- a --->", "<!--<!--"])
def test_two_hyphens_within_a_comment_are_refused_before_anything_parses_them(comment: str) -> None:
    with pytest.raises(XmlSyntaxError, match=r"line \d: not well-formed: '--' within a comment"):
        check_bounds(f"<a>{comment}</a>")
    check_bounds("<a><!-- a - b --><!----><!-- -></a>")


def test_comments_before_the_root_are_read_in_linear_time_too() -> None:
    with pytest.raises(XmlError):
        DomainDefinition.load("<!-- -->" * 100_000 + "<a/>")
