"""What a client's document means here: hidden values filled in from what is known, and everything checked."""

from dataclasses import replace

from insula.model.domain import DomainDefinition
from insula.model.validate import validate
from insula.service.documents import Documents
from insula.service.domains import Domains
from insula.service.partitions import Partitions


class IncomingDocuments:
    """Reads the documents of domains that clients send."""

    def __init__(self, *, documents: Documents, registry: Domains, partitions: Partitions) -> None:
        self._documents = documents
        self._registry = registry
        self._partitions = partitions

    async def read(self, xml: str) -> DomainDefinition:
        """Return the domain that xml describes; values that it hides are those of the domain it is about.

        Raises: XmlError; UnsupportedConfigError naming every problem it has.
        """
        domain = await self._documents.read(DomainDefinition.load, xml)
        known = self._registry.find(domain.uuid)
        if known is None:
            self._partitions.check(domain)
            await self._documents.read(lambda _: validate(domain), xml)
            return domain
        domain = replace(domain, os=domain.os.revealed((known.config or known.current).os))
        self._partitions.check(domain)
        await self._documents.aside(validate, domain)  # what was hidden may be long
        return domain
