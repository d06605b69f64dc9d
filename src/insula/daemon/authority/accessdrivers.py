"""Access drivers: who is asked, for each permission that a call needs, whether this client has it on this object.

`polkit` is built in. Any other name in the setting `access_drivers` is that of an entry point in the group
`insula.access_drivers`: something to call without arguments, which returns an `AccessDriver`. With several drivers all
have to agree.
"""

from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Final, Protocol

from insula.daemon.authority.accessobjects import AccessObject
from insula.daemon.authority.polkit import Polkit, PolkitAnswer
from insula.daemon.peers import Peer
from insula.errors import ConfigurationError
from insula.rpc.permissions import Permission

GROUP: Final = "insula.access_drivers"
POLKIT: Final = "polkit"
NONE: Final = "none"
DRIVER_SECONDS: Final = 30.0
"""How long a driver may take for one question; then the answer is no."""


class AccessDriver(Protocol):
    """Decides about clients other than root and the daemon's own user, who are never asked about."""

    async def permits(self, client: Peer, permission: Permission, about: AccessObject) -> bool:
        """Return whether the client has the permission on an object. On the daemon's event loop: it must not block.

        Whatever it raises means no; the daemon's log says what it was.
        """


class PolkitDriver:
    """Asks polkit with libvirt's names: `org.libvirt.api.domain.start`, with details such as `domain_name`."""

    def __init__(self, polkit: Polkit) -> None:
        self._polkit = polkit

    async def permits(self, client: Peer, permission: Permission, about: AccessObject) -> bool:
        """Nobody is asked for a password: a rule says yes, or it is no. Raises: PolkitUnavailableError."""
        verdict = await self._polkit.verdict(client, action_of(permission), dict(about.details), interactive=False)
        return verdict is PolkitAnswer.YES


def action_of(permission: Permission) -> str:
    """Return polkit's name of a permission. Source: libvirt's documentation of its polkit access control."""
    return f"org.libvirt.api.{permission.object}.{permission.name}".replace("_", "-")


def load_drivers(
    names: Sequence[str], polkit: Polkit, present: Sequence[tuple[str, AccessDriver]] = ()
) -> tuple[tuple[str, AccessDriver], ...]:
    """Return the drivers of the setting, with their names. present: those there are, which are not made anew.

    Raises: ConfigurationError for a name that means nothing, or a driver that cannot be made.
    """
    made = dict(present)
    return tuple((name, made.get(name) or _load(name, polkit)) for name in names if name != NONE)


def _load(name: str, polkit: Polkit) -> AccessDriver:
    if name == POLKIT:
        return PolkitDriver(polkit)
    installed = {each.name: each for each in entry_points(group=GROUP)}
    if name not in installed:
        known = ", ".join((NONE, POLKIT, *sorted(installed)))
        raise ConfigurationError(f"there is no access driver '{name}'; known here: {known}")
    try:
        driver: AccessDriver = installed[name].load()()
    except Exception as error:
        raise ConfigurationError(f"the access driver '{name}' cannot be used: {error}") from error
    return driver
