"""How much XML a document may hold, found out by one pass over its text before anything parses it.

Parsers, and what we make of their trees, take more than linear time for what no honest document has: thousands of
attributes on one element, of namespaces, of levels. Source: XML 1.0 for where comments, sections and tags end.
"""

import re

from insula.errors import XmlError, XmlSyntaxError

ELEMENTS_MAX = 8192
"""Elements of a document: eight for each of the devices that a domain may have."""
ATTRIBUTES_MAX = 256
"""Attributes of one element, namespace declarations included; libvirt's have some ten at most."""
MARKUP_MAX = 16384
"""Attributes, comments, sections and instructions of a document."""
NAMESPACES_MAX = 64
"""Namespace declarations of a document."""
LEVELS_MAX = 96
"""Levels of a document: what is kept without being understood may have 64, and stands somewhere."""

_START_TAG = re.compile(r"""<[^"'<>]++(?:"[^"<]*+"[^"'<>]*+|'[^'<]*+'[^"'<>]*+)*+>""")
_VALUE = re.compile(r"""=\s*(?:"[^"]*"|'[^']*')""")
_DECLARATION = re.compile(r"\sxmlns[:=\s]")
_OTHERS = (("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>"), ("</", ">"))
"""How what is no start tag begins, and where it ends: at the first such place."""


def check_bounds(text: str) -> None:
    """Let pass what parses in linear time. What is not well-formed is refused only where the pass cannot go on.

    Raises: XmlError with the line, and what there is too much of.
    """
    elements = markup = namespaces = level = 0
    at = text.find("<")
    while at >= 0:
        for begin, end in _OTHERS:
            if text.startswith(begin, at):
                markup += begin != "</"
                level -= begin == "</"
                stop = text.find(end, at + len(begin))
                if begin == "<!--" and (hyphens := text.find("--", at + len(begin))) not in (-1, stop):
                    # Debian 12's libxml2 takes quadratic time for these.
                    raise XmlSyntaxError(f"line {_line(text, hyphens)}: not well-formed: '--' within a comment")
                if stop < 0:
                    return  # the parser finds that too, and says it better
                break
        else:
            tag = _START_TAG.match(text, at)
            if tag is None:
                raise XmlSyntaxError(
                    f"line {_line(text, at)}: not well-formed: a tag that does not end, or with stray quotes"
                )
            stop = tag.end() - 1
            attributes, declarations = _counted(tag[0])
            elements, markup, namespaces = elements + 1, markup + attributes, namespaces + declarations
            level += text[stop - 1] != "/"
            if attributes > ATTRIBUTES_MAX:
                raise _too_much(text, at, "attributes on one element", ATTRIBUTES_MAX)
            if namespaces > NAMESPACES_MAX:
                raise _too_much(text, at, "namespace declarations", NAMESPACES_MAX)
            if level > LEVELS_MAX:
                raise _too_much(text, at, "levels of elements", LEVELS_MAX)
            if elements > ELEMENTS_MAX:
                raise _too_much(text, at, "elements", ELEMENTS_MAX)
        if markup > MARKUP_MAX:
            raise _too_much(text, at, "attributes and comments", MARKUP_MAX)
        at = text.find("<", stop)


def _counted(tag: str) -> tuple[int, int]:
    """Return how many attributes a start tag has, and how many namespaces it declares at most."""
    attributes = len(_VALUE.findall(tag)) if "=" in tag else 0
    return attributes, len(_DECLARATION.findall(tag)) if "xmlns" in tag else 0


def _too_much(text: str, at: int, what: str, most: int) -> XmlError:
    return XmlError(f"line {_line(text, at)}: more than {most} {what}; make the document simpler")


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
