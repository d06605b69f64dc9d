"""Who may log in to a domain: passwords, ssh keys. libvirt asks an agent in the guest; here none is needed."""

from collections.abc import Sequence

from insula.daemon.incomingcall import Answer, Handler, IncomingCall
from insula.errors import InvalidArgumentError
from insula.rpc.codes.requestcodes import AuthorizedKeysFlags, PasswordFlags
from insula.rpc.procedures import Procedure, Remote
from insula.service.managed import ManagedDomain


async def _set_password(
    request: IncomingCall, domain: ManagedDomain, user: str | None, password: str | None, flags: int
) -> Answer:
    request.allow_flags(flags, PasswordFlags.ENCRYPTED)
    if user is None or password is None:
        raise InvalidArgumentError("a user and a password are needed")
    await request.services.access.set_password(domain, user, password, hashed=bool(flags & PasswordFlags.ENCRYPTED))
    return None


async def _keys(request: IncomingCall, domain: ManagedDomain, user: str, flags: int) -> Answer:
    request.allow_flags(flags, 0)
    return (await request.services.access.keys(domain, user),)


async def _set_keys(request: IncomingCall, domain: ManagedDomain, user: str, keys: Sequence[str], flags: int) -> Answer:
    request.allow_flags(flags, AuthorizedKeysFlags.APPEND | AuthorizedKeysFlags.REMOVE)
    await request.services.access.set_keys(
        domain,
        user,
        keys,
        append=bool(flags & AuthorizedKeysFlags.APPEND),
        remove=bool(flags & AuthorizedKeysFlags.REMOVE),
    )
    return None


HANDLERS: dict[Procedure, Handler] = {
    Remote.DOMAIN_SET_USER_PASSWORD: _set_password,
    Remote.DOMAIN_AUTHORIZED_SSH_KEYS_GET: _keys,
    Remote.DOMAIN_AUTHORIZED_SSH_KEYS_SET: _set_keys,
}
