"""Finding domains by what people type: a name, a UUID or an id."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from insula.errors import DomainExistsError, DomainNotFoundError, OperationFailedError
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


@contextmanager
def told_if_taken(client: Blocking, name: str) -> Iterator[None]:
    """Tell a failure to make a domain because there is one of that name from others; libvirt's number does not.

    Raises: DomainExistsError.
    """
    try:
        yield
    except OperationFailedError as error:
        try:
            client.call(Remote.DOMAIN_LOOKUP_BY_NAME, name)
        except DomainNotFoundError:
            raise error from None
        raise DomainExistsError(str(error)) from error


def _found(reference: DomainRef) -> DomainRef:
    return DomainRef(*reference)
