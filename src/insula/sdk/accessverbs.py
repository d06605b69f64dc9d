"""Who may log in to a domain, as verbs: conversations with the daemon, like those of `verbs`."""

from collections.abc import Sequence

from insula.rpc.procedures import Remote
from insula.rpc.wiretypes import DomainRef
from insula.sdk.conversation import Conversation, ask


def set_password(domain: DomainRef, user: str, password: str, *, encrypted: bool = False) -> Conversation[None]:
    """Set the password of a user of a domain. encrypted: it is given as crypt(5) has it.

    Raises: OperationInvalidError if it is paused; OperationFailedError if it has no such user.
    """
    yield from ask(Remote.DOMAIN_SET_USER_PASSWORD, domain, user, password, int(encrypted))


def authorized_keys(domain: DomainRef, user: str) -> Conversation[list[str]]:
    """Return the ssh keys that let in as a user of a domain. Raises: as set_password."""
    return list((yield from ask(Remote.DOMAIN_AUTHORIZED_SSH_KEYS_GET, domain, user, 0)))


def authorize(domain: DomainRef, user: str, keys: Sequence[str]) -> Conversation[None]:
    """Let ssh keys in as a user of a domain, besides those that are. Raises: as set_password."""
    yield from ask(Remote.DOMAIN_AUTHORIZED_SSH_KEYS_SET, domain, user, list(keys), 1)
