"""What people keep with a network: title, description, and their elements in `<metadata>`."""

from insula.errors import NetworkMetadataNotFoundError
from insula.model.network import NetworkDefinition, dump_network, load_network
from insula.model.networkchecks import validate_network
from insula.model.numbers import MetadataType
from insula.model.xmlmap import Part
from insula.model.xmlwriter import dump
from insula.service.metadatadocument import element_in, replaced, required


def network_metadata_of(network: NetworkDefinition, kind: MetadataType, uri: str | None) -> str:
    """Return a text, or the element of the namespace uri without that namespace, as libvirt gives it back.

    Raises: NetworkMetadataNotFoundError; InvalidArgumentError for an element without uri.
    """
    match kind:
        case MetadataType.TITLE:
            found = network.title
        case MetadataType.DESCRIPTION:
            found = network.description
        case MetadataType.ELEMENT:
            uri = required(uri)
            found = None if network.metadata is None else element_in(dump(network.metadata, "metadata"), uri)
    if found is None:
        raise NetworkMetadataNotFoundError("Requested metadata element is not present")
    return found


def with_network_metadata(
    network: NetworkDefinition, kind: MetadataType, value: str | None, *, key: str | None, uri: str | None
) -> NetworkDefinition:
    """Return network with a text or an element set, or, for the value None, taken away.

    key: the prefix that the element gets. Raises: InvalidArgumentError, XmlError, and what the checks find.
    """
    document = dump_network(network, Part.LIVE)
    changed = load_network(replaced(document, kind, value, key=key, uri=uri), Part.LIVE)
    validate_network(changed)
    return changed
