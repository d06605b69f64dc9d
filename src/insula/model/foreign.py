"""XML that we keep without understanding it: other people's elements, attributes and comments, as frozen trees.

A tree is independent of where it stood: it carries every namespace declaration it needs. White space between elements
is not kept (writing indents anew); text beside elements, and the text of an element without children, is kept as it is.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from types import MappingProxyType

from lxml import etree

from insula.errors import InvalidArgumentError, XmlError

DEPTH_MAX = 64
"""Levels of nested foreign elements; the deepest thing libvirt itself writes has about ten."""

_NOWHERE: Mapping[str, str] = MappingProxyType({})
"""What is declared where nothing stands around."""
_TEXT_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;", "\r": "&#13;"}
_ATTRIBUTE_ESCAPES = {**_TEXT_ESCAPES, "\t": "&#9;", "\n": "&#10;"}
_IMPOSSIBLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def escaped_text(text: str) -> str:
    """Return text as the content of an element, with libvirt's five entities.

    Raises: InvalidArgumentError for a character XML 1.0 cannot hold.
    """
    return _escaped(possible_text(text), _TEXT_ESCAPES)


def escaped_attribute(text: str) -> str:
    """Return text as an attribute's value; tabs and line ends become references, or reading would make them spaces.

    Raises: InvalidArgumentError for a character XML 1.0 cannot hold.
    """
    return _escaped(possible_text(text), _ATTRIBUTE_ESCAPES)


def _escaped(text: str, escapes: Mapping[str, str]) -> str:
    for character, entity in escapes.items():  # the ampersand, which is in every entity, is the first
        if character in text:
            text = text.replace(character, entity)
    return text


def possible_text(text: str) -> str:
    """Return text if a document can hold it: the one check of what goes into XML, whoever writes it.

    Raises: InvalidArgumentError for a character that XML 1.0 cannot hold.
    """
    if (bad := _IMPOSSIBLE.search(text)) is not None:
        raise InvalidArgumentError(
            f"the text {text[:80]!r} holds the character {bad[0]!r}, which XML cannot hold; take it out"
        )
    return text


@dataclass(frozen=True, slots=True)
class Markup:
    """A comment, a processing instruction, or a text between elements, as it is written."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ForeignElement:
    """A foreign element. name, attributes: as written, prefix and all; declarations: prefix ('' the default), URI."""

    name: str
    attributes: tuple[tuple[str, str], ...] = ()
    declarations: tuple[tuple[str, str], ...] = ()
    content: tuple["ForeignElement | Markup | str", ...] = ()

    @property
    def prefix(self) -> str:
        """The name's prefix, '' without one."""
        return self.name.rpartition(":")[0]

    @property
    def local_name(self) -> str:
        return self.name.rpartition(":")[2]

    @property
    def namespace(self) -> str:
        """The namespace URI of this element when it is the root of its tree; '' without one."""
        return dict(self.declarations).get(self.prefix, "")


@dataclass(frozen=True, slots=True)
class ForeignAttribute:
    """A foreign attribute; name as written, namespace the URI of its prefix ('' without one)."""

    name: str
    value: str
    namespace: str = ""


def node_of(element: etree._Element) -> ForeignElement:
    """Return the tree below element, with every declaration it needs. Raises: XmlError if it nests too deep."""
    return _node(element, {}, {}, 0)


def markup_of(element: etree._Element) -> Markup:
    """Return a comment or processing instruction (lxml gives them as elements) as it is written."""
    return Markup(etree.tostring(element, encoding="unicode", with_tail=False))


def attribute_of(element: etree._Element, name: str, value: str, *, reserved: Collection[str] = ()) -> ForeignAttribute:
    """Return the attribute that lxml calls name ({uri}local) of element, as written.

    reserved: prefixes that may be needed for another namespace on the same element; one of them gets a number.
    """
    known = element.nsmap
    written, namespace = _written(name, known)
    prefix, _, local = written.rpartition(":")
    if prefix in reserved:
        numbered = (f"{prefix}{number}" for number in count(1))
        written = f"{next(each for each in numbered if known.get(each, namespace) == namespace)}:{local}"
    return ForeignAttribute(written, value, namespace)


def _node(
    element: etree._Element, scope: Mapping[str, str], outer: Mapping[str | None, str], depth: int
) -> ForeignElement:
    """scope: what the tree's outer nodes declare already; outer: what lxml knows outside of element."""
    if depth >= DEPTH_MAX:
        raise XmlError(f"line {element.sourceline}: elements nest deeper than {DEPTH_MAX} levels; flatten them")
    known: dict[str | None, str] = element.nsmap
    needed: dict[str, str] = {}
    if depth and known != outer:
        needed.update((prefix or "", uri) for prefix, uri in known.items() if outer.get(prefix) != uri)
    name = etree.QName(element)
    written = f"{element.prefix}:{name.localname}" if element.prefix else name.localname
    needed.setdefault(element.prefix or "", name.namespace or "")
    attributes: list[tuple[str, str]] = []
    for key, value in element.items():
        spelled, uri = _written(str(key), known)
        attributes.append((spelled, str(value)))
        if uri and not spelled.startswith("xml:"):
            needed.setdefault(spelled.partition(":")[0], uri)
    declarations = {prefix: uri for prefix, uri in needed.items() if scope.get(prefix, "") != uri}
    return ForeignElement(
        name=written,
        attributes=tuple(attributes),
        declarations=tuple(sorted(declarations.items())),
        content=_content(element, {**scope, **declarations} if declarations else scope, known, depth),
    )


def _written(name: str, known: Mapping[str | None, str]) -> tuple[str, str]:
    """Return lxml's {uri}local with a prefix instead, and the URI."""
    if not name.startswith("{"):
        return name, ""
    uri, _, local = name[1:].partition("}")
    if uri == "http://www.w3.org/XML/1998/namespace":
        return f"xml:{local}", uri
    prefix = next(prefix for prefix, each in known.items() if prefix and each == uri)
    return f"{prefix}:{local}", uri


def _content(
    element: etree._Element, scope: Mapping[str, str], known: Mapping[str | None, str], depth: int
) -> tuple[ForeignElement | Markup | str, ...]:
    pieces = list(_pieces(element, scope, known, depth))
    mixed = any(isinstance(each, str) and not each.isspace() for each in pieces)
    nested = any(not isinstance(each, str) for each in pieces)
    if nested and not mixed:
        return tuple(each for each in pieces if not isinstance(each, str))
    return tuple(pieces)


def _pieces(
    element: etree._Element, scope: Mapping[str, str], known: Mapping[str | None, str], depth: int
) -> Iterator[ForeignElement | Markup | str]:
    if element.text:
        yield str(element.text)
    for child in element:
        yield _node(child, scope, known, depth + 1) if isinstance(child.tag, str) else markup_of(child)
        if child.tail:
            yield str(child.tail)


def lines_of(item: ForeignElement | Markup, indent: str, scope: Mapping[str, str] = _NOWHERE) -> Iterator[str]:
    """Yield the item in pieces that end in a line end, the first line indented by indent.

    scope: URIs by prefix that outer elements declare; the item declares what is another there.
    """
    if isinstance(item, Markup):
        yield f"{indent}{item.text}\n"
        return
    if not item.content or any(isinstance(each, str) for each in item.content):
        yield f"{indent}{inline(item, scope)}\n"
        return
    yield f"{indent}<{item.name}{_start(item, scope)}>\n"
    within = _within(item, scope)
    for each in item.content:
        if not isinstance(each, str):
            yield from lines_of(each, indent + "  ", within)
    yield f"{indent}</{item.name}>\n"


def inline(item: ForeignElement | Markup | str, scope: Mapping[str, str] = _NOWHERE) -> str:
    """Return the item without any white space of ours. scope: as of lines_of."""
    if isinstance(item, str):
        return escaped_text(item)
    if isinstance(item, Markup):
        return item.text
    start = f"<{item.name}{_start(item, scope)}"
    if not item.content:
        return f"{start}/>"
    within = _within(item, scope)
    return f"{start}>{''.join(inline(each, within) for each in item.content)}</{item.name}>"


def _within(node: ForeignElement, scope: Mapping[str, str]) -> Mapping[str, str]:
    return {**scope, **dict(node.declarations)} if node.declarations else scope


def _start(node: ForeignElement, scope: Mapping[str, str]) -> str:
    declared = (
        f" xmlns:{prefix}='{escaped_attribute(uri)}'" if prefix else f" xmlns='{escaped_attribute(uri)}'"
        for prefix, uri in node.declarations
        if scope.get(prefix, "") != uri
    )
    return "".join(declared) + "".join(f" {name}='{escaped_attribute(value)}'" for name, value in node.attributes)
