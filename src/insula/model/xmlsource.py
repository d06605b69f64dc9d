"""Text to an XML tree, safely: bounded beforehand, no entities, no document type, no network, no XInclude.

Errors name the line.
"""

import re

from lxml import etree

from insula.errors import InsulaError, XmlError, XmlSyntaxError
from insula.model.visible import visible
from insula.model.xmlbounds import check_bounds

SIZE_MAX = 1024 * 1024
"""Bytes of a document; what domains are made of takes some ten thousand."""
QUOTED_MAX = 400
"""Characters of an error's text; of a longer one, which quotes what stands there, beginning and end are told."""

_DOCUMENT_TYPE = re.compile(r"(?>\s|<\?(?>[^?]|\?(?!>))*+\?>|<!--(?>[^-]|-(?!->))*+-->)*+<!DOCTYPE")


def parse(xml: str, *, bounded: bool = True) -> etree._Element:
    """Return the root element of xml, comments and processing instructions included.

    bounded: not for what we wrote ourselves, which may have grown a little since it was read.
    Raises: XmlSyntaxError with the line if xml is not well-formed or has a document type, XmlError if there is too much
    of anything.
    """
    text = xml.removeprefix("\ufeff")
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise XmlSyntaxError("the text is not UTF-8, or holds half a surrogate pair; save it as UTF-8") from error
    if bounded and len(data) > SIZE_MAX:
        raise XmlError(
            f"the document has {len(data)} bytes, more than the {SIZE_MAX} that are accepted; make it smaller"
        )
    if _DOCUMENT_TYPE.match(text):
        raise XmlSyntaxError("a document type (<!DOCTYPE …>) is not accepted; take it out")
    if bounded:
        check_bounds(text)
    # The text is UTF-8 now, whatever its own declaration said before.
    parser = etree.XMLParser(encoding="utf-8", resolve_entities=False, no_network=True, huge_tree=False, load_dtd=False)
    try:
        return etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise XmlSyntaxError(f"line {error.lineno or 1}: not well-formed: {_reason(error)}") from error


def _reason(error: etree.XMLSyntaxError) -> str:
    """Return libxml2's message in our manner, without its line and column."""
    text = str(error).partition(", line ")[0].strip().removesuffix(".")
    return f"{text[:1].lower()}{text[1:]}" if text else "the document is empty"


def path_of(element: etree._Element) -> str:
    """Return where element stands, `/domain/devices/filesystem[2]`, with prefixes for namespaces."""
    return str(element.getroottree().getpath(element))


def fault(
    element: etree._Element, text: str, *, attribute: str | None = None, kind: type[InsulaError] = XmlError
) -> InsulaError:
    """Return the error that text is what is wrong at element, or at one of its attributes. kind: what it counts as."""
    place = path_of(element) + (f"/@{attribute}" if attribute else "")
    return kind(f"line {element.sourceline}: {place}: {presentable(text)}")


def presentable(text: str) -> str:
    """Return the text of an error that quotes a document, short enough and with nothing unseen in it."""
    if len(text) > QUOTED_MAX:
        text = f"{text[: QUOTED_MAX // 2]} … {text[-QUOTED_MAX // 2 :]}"
    return visible(text)
