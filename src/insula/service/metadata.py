"""Title, description, and other people's elements in `<metadata>`: read and changed as XML, so that nothing is lost."""

from lxml import etree

from insula.errors import InvalidArgumentError, MetadataNotFoundError
from insula.model.domain import DomainDefinition
from insula.model.foreign import possible_text
from insula.model.numbers import Affect, MetadataType, XmlFlags
from insula.model.validate import validate
from insula.model.xmlmap import Part
from insula.model.xmlnamespaces import INSULA_NAMESPACE
from insula.model.xmlsource import parse
from insula.model.xmlwriter import dump
from insula.service.events import Events, MetadataChange
from insula.service.impact import Changes, definition
from insula.service.jobs import OperationKind
from insula.service.managed import ManagedDomain

LIVE_PARTS = Part.LIVE | Part.SECRET
WHOLE = XmlFlags.LIVE | XmlFlags.SECURE


class MetadataVerbs:
    """Reads and changes what people keep with a domain."""

    def __init__(self, *, changes: Changes, events: Events) -> None:
        self._changes = changes
        self._events = events

    def metadata(self, managed: ManagedDomain, kind: MetadataType, uri: str | None, affect: Affect) -> str:
        """Return what metadata_of does, of the definition that affect means."""
        return metadata_of(definition(managed, affect), kind, uri)

    async def set_metadata(
        self,
        managed: ManagedDomain,
        kind: MetadataType,
        value: str | None,
        *,
        key: str | None,
        uri: str | None,
        affect: Affect,
    ) -> None:
        """Set or, for the value None, take away a text or an element."""

        async def work() -> None:
            await self._changes.change(
                managed, affect, lambda domain: with_metadata(domain, kind, value, key=key, uri=uri)
            )
            told = uri if kind is MetadataType.ELEMENT else None
            self._events.publish(MetadataChange(domain=managed.ref, kind=kind, uri=told))

        await managed.lock.perform("set metadata", work, change=OperationKind.DEFINITION)


_TEXTS = {MetadataType.TITLE: "title", MetadataType.DESCRIPTION: "description"}


def metadata_of(domain: DomainDefinition, kind: MetadataType, uri: str | None) -> str:
    """Return a text, or the element of the namespace uri without that namespace, as libvirt gives it back.

    Raises: MetadataNotFoundError; InvalidArgumentError for an element without uri.
    """
    match kind:
        case MetadataType.TITLE:
            found = domain.title
        case MetadataType.DESCRIPTION:
            found = domain.description
        case MetadataType.ELEMENT:
            found = _element_of(domain, _required(uri))
    if found is None:
        raise MetadataNotFoundError("requested metadata element is not present")
    return found


def with_metadata(
    domain: DomainDefinition, kind: MetadataType, value: str | None, *, key: str | None, uri: str | None
) -> DomainDefinition:
    """Return domain with a text or an element set, or, for the value None, taken away.

    key: the prefix that the element gets. Raises: InvalidArgumentError, XmlError; UnsupportedConfigError for settings
    of ours that a definition could not have.
    """
    document = parse(domain.dump(WHOLE), bounded=False)
    if kind is MetadataType.ELEMENT:
        _replace_element(document, _required(uri), key, value)
    else:
        _replace_text(document, kind, value)
    changed = DomainDefinition.load(etree.tostring(document, encoding="unicode"), LIVE_PARTS)
    if uri == INSULA_NAMESPACE or kind is MetadataType.TITLE:
        validate(changed)
    return changed


def _required(uri: str | None) -> str:
    if not uri:
        raise InvalidArgumentError("an element of the metadata is named by its namespace: give its URI")
    return uri


def _element_of(domain: DomainDefinition, uri: str) -> str | None:
    if domain.metadata is None:
        return None
    found = _child(parse(dump(domain.metadata, "metadata"), bounded=False), uri)
    if found is None:
        return None
    plain = _moved(found, uri, "")
    etree.indent(plain)
    return etree.tostring(plain, encoding="unicode", with_tail=False)


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
    if metadata is None:
        metadata = etree.SubElement(document, "metadata")
    present = _child(metadata, uri)
    if present is not None:
        metadata.remove(present)
    if value is None:
        return
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
