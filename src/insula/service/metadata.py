"""What people keep with a domain: title, description, and their elements in `<metadata>`."""

from insula.errors import MetadataNotFoundError
from insula.model.domain import DomainDefinition
from insula.model.numbers import Affect, MetadataType, XmlFlags
from insula.model.validate import validate
from insula.model.xmlmap import Part
from insula.model.xmlnamespaces import INSULA_NAMESPACE
from insula.model.xmlwriter import dump
from insula.service.events import Events, MetadataChange
from insula.service.impact import Changes, definition
from insula.service.jobs import OperationKind
from insula.service.livedevices import LiveDevices
from insula.service.managed import ManagedDomain
from insula.service.metadatadocument import element_in, replaced, required

LIVE_PARTS = Part.LIVE | Part.SECRET
WHOLE = XmlFlags.LIVE | XmlFlags.SECURE


class MetadataVerbs:
    """Reads and changes what people keep with a domain."""

    def __init__(self, *, changes: Changes, events: Events, guests: LiveDevices) -> None:
        self._changes = changes
        self._events = events
        self._guests = guests

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
        """Set or, for the value None, take away a text or an element; a guest gets the device classes of ours at once.

        Raises: as `LiveDevices.change` for a change of device classes.
        """

        async def granted(managed: ManagedDomain, domain: DomainDefinition) -> DomainDefinition | None:
            if domain.settings.grants == managed.current.settings.grants:
                return None
            return await self._guests.change(managed, domain)

        async def work() -> None:
            await self._changes.change(
                managed, affect, lambda domain: with_metadata(domain, kind, value, key=key, uri=uri), apply=granted
            )
            told = uri if kind is MetadataType.ELEMENT else None
            self._events.publish(MetadataChange(domain=managed.ref, kind=kind, uri=told))

        await managed.lock.perform("set metadata", work, change=OperationKind.DEFINITION)


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
            uri = required(uri)
            found = None if domain.metadata is None else element_in(dump(domain.metadata, "metadata"), uri)
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
    changed = DomainDefinition.load(replaced(domain.dump(WHOLE), kind, value, key=key, uri=uri), LIVE_PARTS)
    if uri == INSULA_NAMESPACE or kind is MetadataType.TITLE:
        validate(changed)
    return changed
