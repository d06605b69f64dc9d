import pytest
from hypothesis import given

from insula.errors import InvalidArgumentError, XmlError
from insula.model.foreign import (
    DEPTH_MAX,
    ForeignAttribute,
    ForeignElement,
    Markup,
    attribute_of,
    escaped_attribute,
    escaped_text,
    inline,
    lines_of,
    node_of,
)
from insula.model.xmlsource import parse
from tests.unit.model.strategies import TEXTS, trees


@given(trees())
def test_a_tree_written_on_lines_or_in_one_reads_back_the_same(tree: ForeignElement) -> None:
    assert node_of(parse("".join(lines_of(tree, "    ")))) == tree
    assert node_of(parse(inline(tree))) == tree


@given(TEXTS)
def test_any_text_survives_as_content_and_as_attribute(text: str) -> None:
    element = parse(f"<a b='{escaped_attribute(text)}'>{escaped_text(text)}</a>")
    assert element.get("b") == text
    assert (element.text or "") == text


@pytest.mark.parametrize("text", ["\0", "\x1b[2J", "\ud800", "￿"])
def test_a_character_that_xml_cannot_hold_is_refused(text: str) -> None:
    for escape in (escaped_text, escaped_attribute):
        with pytest.raises(InvalidArgumentError, match="XML cannot hold"):
            escape(text)


def test_a_tree_takes_along_the_declarations_it_needs_and_no_others() -> None:
    root = parse("<r xmlns:a='urn:a' xmlns:b='urn:b' xmlns:c='urn:c'><a:x b:y='1'><a:z/></a:x></r>")
    assert inline(node_of(root[0])) == "<a:x xmlns:a='urn:a' xmlns:b='urn:b' b:y='1'><a:z/></a:x>"


def test_default_namespaces_are_kept_and_undone_where_they_were() -> None:
    text = "<x xmlns='urn:x'><y><z xmlns=''><w/></z></y></x>"
    node = node_of(parse(text))
    assert inline(node) == text
    assert (node.namespace, node.prefix, node.local_name) == ("urn:x", "", "x")


def test_a_declaration_that_only_text_may_need_is_kept() -> None:
    text = "<x><y xmlns:t='urn:t'>t:name</y></x>"
    assert inline(node_of(parse(text))) == text


def test_white_space_between_elements_is_laid_out_anew() -> None:
    node = node_of(parse("<a>\n\n\n  <b/>     <c>\t<d/></c></a>"))
    assert "".join(lines_of(node, "  ")) == "  <a>\n    <b/>\n    <c>\n      <d/>\n    </c>\n  </a>\n"


def test_text_beside_elements_is_kept_to_the_letter() -> None:
    text = "<p>one <b>two</b>\n   three<!--four--></p>"
    assert "".join(lines_of(node_of(parse(text)), "  ")) == f"  {text}\n"


def test_an_attribute_keeps_its_prefix_and_its_namespace() -> None:
    root = parse("<r xmlns:a='urn:a' a:x='1' xml:lang='de'/>")
    (ours, language) = root.items()
    assert attribute_of(root, *ours) == ForeignAttribute("a:x", "1", "urn:a")
    assert attribute_of(root, *language).name == "xml:lang"


def test_comments_and_instructions_are_kept_as_written() -> None:
    root = parse("<r><x><!-- a - b --><?do it?></x></r>")
    assert node_of(root[0]).content == (Markup("<!-- a - b -->"), Markup("<?do it?>"))


def test_what_nests_too_deep_is_refused_with_its_line() -> None:
    deep = "\n<x>" * (DEPTH_MAX + 1) + "</x>" * (DEPTH_MAX + 1)
    with pytest.raises(XmlError, match=rf"line {DEPTH_MAX + 1}: .*deeper than {DEPTH_MAX} levels"):
        node_of(parse(deep.lstrip()))
