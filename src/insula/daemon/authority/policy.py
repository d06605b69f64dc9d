"""What the settings ask of clients: how they prove who they are, and which drivers decide about their calls."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from insula.daemon.authority.accessdrivers import load_drivers
from insula.daemon.authority.authentication import Authentication, by_polkit
from insula.daemon.authority.bydrivers import Jury, NamedDriver
from insula.daemon.authority.polkit import Polkit
from insula.daemon.complaints import Complaints
from insula.daemon.config import Authenticating, Settings, SocketAccess
from insula.daemon.peers import Peer


@dataclass(kw_only=True)
class AccessPolicy:
    """One for all clients. wanted: what each kind of socket asks for; drivers: with their names, none for no driver."""

    wanted: dict[SocketAccess, Authenticating] = field(default_factory=dict)
    drivers: Sequence[NamedDriver] = ()
    polkit: Polkit | None = None

    def authentication(self, peer: Peer, access: SocketAccess) -> Authentication:
        """Return what a client at a socket of this kind has to prove."""
        if peer.address is not None:
            return Authentication()  # by its certificate it is known already
        if self.polkit is None or self.wanted.get(access, Authenticating.NONE) is Authenticating.NONE:
            return Authentication()
        return by_polkit(self.polkit, peer, read_only=access is SocketAccess.READ_ONLY)

    def jury(self, peer: Peer, complaints: Complaints) -> Jury | None:
        """Return the drivers as they are asked about a client; None if none is: about root, or where there is none."""
        return None if peer.is_privileged or not self.drivers else Jury(self.drivers, peer, complaints)

    def close(self) -> None:
        """Ask nobody any more."""
        if self.polkit is not None:
            self.polkit.close()


def policy_of(settings: Settings) -> AccessPolicy:
    """Return the policy of the settings. Raises: ConfigurationError for a driver that there is not."""
    polkit = Polkit()
    wanted = {SocketAccess.READ_WRITE: settings.auth_unix_rw, SocketAccess.READ_ONLY: settings.auth_unix_ro}
    return AccessPolicy(wanted=wanted, drivers=load_drivers(settings.access_drivers, polkit), polkit=polkit)
