"""Finding domains by what people type: a name, a UUID or an id."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from insula.errors import DomainExistsError, DomainNotFoundError, ImageNotFoundError, OperationFailedError
from insula.sdk.blocking_domains import Domain, Host


def domain(host: Host, text: str) -> Domain:
    """Return the domain of that name, else of that id, else of that UUID.

    Raises: DomainNotFoundError.
    """
    try:
        return host.domain(text)
    except DomainNotFoundError:
        if text.isdigit():
            return host.domain_by_id(int(text))
        try:
            return host.domain_by_uuid(uuid.UUID(text).bytes)
        except ValueError:
            pass
        raise


def require_image(host: Host, name: str | None) -> None:
    """Return if there is such an image, or none is wanted. Raises: ImageNotFoundError naming those there are."""
    if name is None:
        return
    names = [each["name"] for each in host.images()]
    if name not in names:
        there = f"there {'is' if len(names) == 1 else 'are'} {', '.join(names)}" if names else "there is none yet"
        raise ImageNotFoundError(f"no image is called '{name}'; {there}; build one with: insula image build {name}")


@contextmanager
def told_if_taken(host: Host, name: str) -> Iterator[None]:
    """Tell a failure to make a domain because there is one of that name from others; libvirt's number does not.

    Raises: DomainExistsError.
    """
    try:
        yield
    except OperationFailedError as error:
        try:
            host.domain(name)
        except DomainNotFoundError:
            raise error from None
        raise DomainExistsError(str(error)) from error
