"""The domains and networks of tests/data: what people and programs write, and what we make of it."""

from pathlib import Path

from lxml import etree

from insula.model.xmlmap import NAMESPACES

DATA = Path(__file__).parents[2] / "data"
DOMAINS = sorted((DATA / "domains").glob("*.xml"))
GOLDEN = DATA / "domains-golden"
NETWORKS = sorted((DATA / "networks").glob("*.xml"))
GOLDEN_NETWORKS = DATA / "networks-golden"

_PREFIXES = {uri: f"{prefix}:" for prefix, uri in NAMESPACES.items()}


def paths_in(xml: str) -> set[str]:
    """Return every element, attribute and text of a document, as facts_of names them."""
    found: set[str] = set()
    _walk(etree.fromstring(xml.encode()), "", found)
    return found


def _walk(element: etree._Element, above: str, found: set[str]) -> None:
    name = etree.QName(element)
    path = f"{above}{_PREFIXES.get(name.namespace or '', '')}{name.localname}"
    found.add(path)
    names = (etree.QName(each) for each in element.attrib)
    found.update(f"{path}/@{_PREFIXES.get(each.namespace or '', '')}{each.localname}" for each in names)
    if element.text and element.text.strip():
        found.add(f"{path}/text()")
    for child in element:
        if isinstance(child.tag, str):
            _walk(child, f"{path}/", found)
