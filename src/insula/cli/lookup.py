"""Finding domains by what people type: a name, a UUID or an id."""

import uuid

from insula.errors import DomainNotFoundError
from insula.rpc.procedures import Remote
from insula.rpc.types import DomainRef
from insula.sdk.blocking import Blocking


def domain(client: Blocking, text: str) -> DomainRef:
    """Return the domain of that name, else of that id, else of that UUID.

    Raises: DomainNotFoundError.
    """
    try:
        return _found(client.call(Remote.DOMAIN_LOOKUP_BY_NAME, text))
    except DomainNotFoundError:
        if text.isdigit():
            return _found(client.call(Remote.DOMAIN_LOOKUP_BY_ID, int(text)))
        try:
            return _found(client.call(Remote.DOMAIN_LOOKUP_BY_UUID, uuid.UUID(text).bytes))
        except ValueError:
            pass
        raise


def current(client: Blocking, known: DomainRef) -> DomainRef:
    """Return the domain with its present id. Raises: DomainNotFoundError if it is gone."""
    return _found(client.call(Remote.DOMAIN_LOOKUP_BY_UUID, known.uuid))


def is_active(client: Blocking, known: DomainRef) -> bool:
    return bool(client.call(Remote.DOMAIN_IS_ACTIVE, known))


def _found(reference: DomainRef) -> DomainRef:
    return DomainRef(*reference)
