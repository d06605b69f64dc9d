"""What a client's document of a network means here: read, and checked for what can be told from it alone."""

from pathlib import Path

from insula.model.network import NetworkDefinition, load_network
from insula.model.networkchecks import validate_network
from insula.service.documents import Documents
from insula.service.schemavalidation import validate_by_schema

NETWORK_SCHEMA = Path("/usr/share/libvirt/schemas/network.rng")
"""Where libvirt's packages put it."""


class IncomingNetworks:
    """Reads the documents of networks that clients send."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def read(self, xml: str, *, by_schema: bool = False) -> NetworkDefinition:
        """Return the network that xml describes. by_schema: whether it must be valid by libvirt's schema, too.

        Raises: XmlError; UnsupportedConfigError, or an XmlError, naming every problem it has.
        """
        if by_schema:
            await self._documents.aside(validate_by_schema, xml, NETWORK_SCHEMA)
        return await self._documents.read(_validated, xml)


def _validated(xml: str) -> NetworkDefinition:
    network = load_network(xml)
    validate_network(network)
    return network
