"""What a client's document means here: hidden values filled in from what is known, and everything checked."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from insula.errors import InvalidArgumentError
from insula.model.boot import OsType
from insula.model.domain import DomainDefinition
from insula.model.validate import validate
from insula.service.documents import Documents
from insula.service.domains import Domains
from insula.service.partitions import Partitions
from insula.service.schemavalidation import validate_by_schema


class IncomingDocuments:
    """Reads the documents of domains that clients send.

    architectures: of programs that this host runs, as `uname -m` spells them; its own first. vcpus: how many processors
    it has, which a domain gets that says no number.
    """

    def __init__(
        self,
        *,
        documents: Documents,
        registry: Domains,
        partitions: Partitions,
        architectures: Sequence[str],
        vcpus: Callable[[], int],
    ) -> None:
        self._vcpus = vcpus
        self._architectures = architectures
        self._documents = documents
        self._registry = registry
        self._partitions = partitions

    async def read(self, xml: str, *, by_schema: bool = False) -> DomainDefinition:
        """Return the domain that xml describes; values that it hides are those of the domain it is about.

        by_schema: whether it must be valid by libvirt's schema, too.
        Raises: XmlError; InvalidArgumentError for an architecture whose programs this host does not run;
        UnsupportedConfigError, or an XmlError, naming every problem it has.
        """
        if by_schema:
            await self._documents.aside(validate_by_schema, xml)
        domain = await self._documents.read(partial(DomainDefinition.load, vcpus=self._vcpus()), xml)
        domain = replace(domain, os=replace(domain.os, type=self._on_this_host(domain.os.type)))
        known = self._registry.find(domain.uuid)
        if known is None:
            self._partitions.check(domain)
            await self._documents.read(lambda _: validate(domain), xml)
            return domain
        domain = replace(domain, os=domain.os.revealed((known.config or known.current).os))
        self._partitions.check(domain)
        await self._documents.aside(validate, domain)  # what was hidden may be long
        return domain

    def _on_this_host(self, kind: OsType) -> OsType:
        """Return it with the host's architecture if it names none, as libvirt has it."""
        if kind.arch is None:
            return replace(kind, arch=self._architectures[0])
        if kind.arch not in self._architectures:
            known = ", ".join(self._architectures)
            raise InvalidArgumentError(f"programs of the architecture '{kind.arch}' do not run here, only {known}")
        return kind
