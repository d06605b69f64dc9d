"""What a call needs to be allowed beside what its row says: it does something to other things than the one it names.

Whoever writes that a domain depends on another has that other one started with the host, and so has to be allowed to
start it. What a definition said before is not asked about again: whoever wrote it was.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from insula.daemon.authority.accessobjects import AccessObject, domain_object, image_object
from insula.daemon.incomingcall import Services
from insula.errors import DomainNotFoundError
from insula.model.domain import DomainDefinition
from insula.model.numbers import MetadataType
from insula.model.xmlnamespaces import INSULA_NAMESPACE
from insula.rpc.arrivals import Call
from insula.rpc.permissions import Permission
from insula.rpc.procedures import Insula, Procedure, Remote
from insula.service.managed import ManagedDomain
from insula.service.metadata import with_metadata
from insula.service.startorder import needs_in

START: Final = Permission("domain", "start")


class FurtherNeed(NamedTuple):
    """A permission, and on what."""

    permission: Permission
    about: AccessObject


FurtherNeeds = Callable[[Services, Sequence[Any]], Awaitable[Sequence[FurtherNeed]]]


async def further_needs(call: Call, services: Services) -> Sequence[FurtherNeed]:
    """Return what else is to be asked about a call. Raises: XmlError and others for a document that means nothing."""
    found = FURTHER.get(call.procedure)
    return () if found is None else await found(services, call.arguments)


async def _of_definition(services: Services, arguments: Sequence[Any]) -> Sequence[FurtherNeed]:
    described = await services.incoming.read(arguments[0])
    return _new_needs(services, services.domains.find(described.uuid), described)


async def _of_metadata(services: Services, arguments: Sequence[Any]) -> Sequence[FurtherNeed]:
    """Our own element of the metadata is where it stands what a domain depends on."""
    ref, kind, value, key, uri, _ = arguments
    managed = services.domains.find(UUID(bytes=ref.uuid))
    if managed is None or kind != MetadataType.ELEMENT or uri != INSULA_NAMESPACE or value is None:
        return ()
    known = managed.config or managed.current
    changed = await services.documents.aside(with_metadata, known, MetadataType.ELEMENT, value, key=key, uri=uri)
    return _new_needs(services, managed, changed)


def _new_needs(services: Services, managed: ManagedDomain | None, wanted: DomainDefinition) -> Sequence[FurtherNeed]:
    """What is to be allowed of whoever lets a domain depend on others that it did not depend on before."""
    former = () if managed is None or managed.config is None else needs_in(managed.config)
    added = [each for each in dict.fromkeys(needs_in(wanted)) if each not in former]
    return [FurtherNeed(START, _called(services, each)) for each in added]


def _called(services: Services, name: str) -> AccessObject:
    """The domain of a name, which may come to be only later."""
    try:
        found = services.domains.by_name(name)
    except DomainNotFoundError:
        return domain_object(name, None)
    return domain_object(found.name, found.uuid)


async def _of_renaming(services: Services, arguments: Sequence[Any]) -> Sequence[FurtherNeed]:
    """Under its new name others may depend on it, and other rules count: both need what a definition does."""
    ref, name, _ = arguments
    if name is None or services.domains.find(UUID(bytes=ref.uuid)) is None:
        return ()
    renamed = domain_object(name, UUID(bytes=ref.uuid))
    return [FurtherNeed(Permission("domain", each), renamed) for each in ("write", "save")]


async def _of_tag(services: Services, arguments: Sequence[Any]) -> Sequence[FurtherNeed]:
    return [FurtherNeed(Permission("storage_vol", "read"), image_object(arguments[0]))]


FURTHER: Final[dict[Procedure, FurtherNeeds]] = {
    Remote.DOMAIN_DEFINE_XML: _of_definition,
    Remote.DOMAIN_DEFINE_XML_FLAGS: _of_definition,
    Remote.DOMAIN_SET_METADATA: _of_metadata,
    Remote.DOMAIN_RENAME: _of_renaming,
    Insula.IMAGE_TAG: _of_tag,
}
"""Starts of several domains are not here: which those are is known to the start alone (`authority.lists`)."""
