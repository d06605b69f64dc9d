"""Title, description, and other people's elements in `<metadata>`: read and changed as XML, so that nothing is lost.

Documents of any noun have them in the same places.
"""

from lxml import etree

from insula.errors import InvalidArgumentError
from insula.model.foreign import possible_text
from insula.model.numbers import MetadataType
from insula.model.xmlsource import parse

_TEXTS = {MetadataType.TITLE: "title", MetadataType.DESCRIPTION: "description"}


def required(uri: str | None) -> str:
    """Return the namespace that an element is named by. Raises: InvalidArgumentError if there is none."""
    if not uri:
        raise InvalidArgumentError("an element of the metadata is named by its namespace: give its URI")
    return uri


def element_in(metadata: str, uri: str) -> str | None:
    """Return the element of the namespace uri in a `<metadata>`, without that namespace; None if it has none."""
    found = _child(parse(metadata, bounded=False), uri)
    if found is None:
        return None
    plain = _moved(found, uri, "")
    etree.indent(plain)
    return etree.tostring(plain, encoding="unicode", with_tail=False)


def replaced(xml: str, kind: MetadataType, value: str | None, *, key: str | None, uri: str | None) -> str:
    """Return a document of ours with a text or an element set, or, for the value None, taken away.

    key: the prefix that the element gets. Raises: InvalidArgumentError, XmlError.
    """
    document = parse(xml, bounded=False)
    if kind is MetadataType.ELEMENT:
        _replace_element(document, required(uri), key, value)
    else:
        _replace_text(document, kind, value)
    return etree.tostring(document, encoding="unicode")


def _replace_text(document: etree._Element, kind: MetadataType, value: str | None) -> None:
    tag = _TEXTS[kind]
    if kind is MetadataType.TITLE and value is not None and "\n" in value:
        raise InvalidArgumentError("metadata title can't contain newlines")
    present = document.find(tag)
    if present is not None:
        document.remove(present)
    if value:
        element = etree.SubElement(document, tag)
        element.text = possible_text(value)


def _replace_element(document: etree._Element, uri: str, key: str | None, value: str | None) -> None:
    metadata = document.find("metadata")
    present = None if metadata is None else _child(metadata, uri)
    if metadata is not None and present is not None:
        metadata.remove(present)
    if value is None:
        if metadata is not None and not len(metadata) and not (metadata.text or "").strip():
            document.remove(metadata)
        return
    if metadata is None:
        metadata = etree.SubElement(document, "metadata")
    if not key:
        raise InvalidArgumentError("an element of the metadata needs a prefix: give a key")
    try:
        metadata.append(_moved(parse(value), "", uri, key))
    except ValueError as error:
        raise InvalidArgumentError(f"'{key}' cannot be the prefix of '{uri}': {error}") from error


def _child(metadata: etree._Element, uri: str) -> etree._Element | None:
    return next((each for each in metadata.iterchildren("*") if etree.QName(each).namespace == uri), None)


def _moved(element: etree._Element, source: str, target: str, prefix: str | None = None) -> etree._Element:
    """A copy in which every element of the namespace source is of target; '' stands for none."""
    name = etree.QName(element)
    tag = _clark(name.localname, target) if (name.namespace or "") == source else name.text
    nsmap = {key: value for key, value in element.nsmap.items() if value != source}
    if prefix is not None:
        nsmap[prefix] = target
    copy = etree.Element(tag, dict(element.attrib), nsmap=nsmap)
    copy.text, copy.tail = element.text, element.tail
    for child in element:
        copy.append(_moved(child, source, target) if isinstance(child.tag, str) else _aside(child))
    return copy


def _aside(node: etree._Element) -> etree._Element:
    """A copy of a comment or a processing instruction."""
    if isinstance(node, etree._ProcessingInstruction):
        copy: etree._Element = etree.ProcessingInstruction(node.target, node.text)
    else:
        copy = etree.Comment(node.text)
    copy.tail = node.tail
    return copy


def _clark(name: str, namespace: str) -> str:
    return f"{{{namespace}}}{name}" if namespace else name
