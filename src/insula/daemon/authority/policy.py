"""What the settings ask of clients: how they prove who they are, and which drivers decide about their calls."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from insula.daemon.authority.accessdrivers import load_drivers
from insula.daemon.authority.authentication import Authentication, by_polkit
from insula.daemon.authority.bydrivers import Jury, NamedDriver
from insula.daemon.authority.polkit import Polkit
from insula.daemon.authority.saslauthentication import SaslAuthentication, SaslOffer
from insula.daemon.complaints import Complaints
from insula.daemon.config import Settings, SocketAccess
from insula.daemon.listener import EndpointKind
from insula.daemon.peers import Peer
from insula.daemon.remotesettings import Authenticating


@dataclass(kw_only=True)
class AccessPolicy:
    """One for all clients. wanted: what each kind of socket asks for, those for local clients by what they allow;
    drivers: with their names, none for no driver; sasl: None if nobody is asked for that."""

    wanted: dict[SocketAccess | EndpointKind, Authenticating] = field(default_factory=dict)
    drivers: Sequence[NamedDriver] = ()
    polkit: Polkit | None = None
    sasl: SaslOffer | None = None

    def authentication(
        self, peer: Peer, access: SocketAccess, kind: EndpointKind = EndpointKind.LOCAL
    ) -> Authentication:
        """Return what a client at a socket of this kind has to prove."""
        wanted = self.wanted.get(access if kind is EndpointKind.LOCAL else kind, Authenticating.NONE)
        if wanted is Authenticating.SASL and self.sasl is not None:
            return SaslAuthentication(self.sasl, secure=kind is not EndpointKind.TCP)
        if wanted is Authenticating.POLKIT and self.polkit is not None:
            return by_polkit(self.polkit, peer, read_only=access is SocketAccess.READ_ONLY)
        return Authentication()

    def jury(self, peer: Peer, complaints: Complaints) -> Jury | None:
        """Return the drivers as they are asked about a client; None if none is: about root, or where there is none."""
        return None if peer.is_privileged or not self.drivers else Jury(self.drivers, peer, complaints)

    def reload(self, settings: Settings) -> None:
        """Let in whom other settings name, from now on; what is asked for stays."""
        if self.sasl is not None:
            self.sasl.reload(settings.remote.sasl)

    def close(self) -> None:
        """Ask nobody any more."""
        if self.polkit is not None:
            self.polkit.close()


def policy_of(settings: Settings) -> AccessPolicy:
    """Return the policy of the settings.

    Raises: ConfigurationError for a driver that there is not, and for SASL by a file of users that cannot be used.
    """
    polkit, remote = Polkit(), settings.remote
    wanted: dict[SocketAccess | EndpointKind, Authenticating] = {
        SocketAccess.READ_WRITE: settings.auth_unix_rw,
        SocketAccess.READ_ONLY: settings.auth_unix_ro,
        EndpointKind.TLS: remote.tls.auth,
        EndpointKind.TCP: remote.tcp.auth if remote.tcp.listen else Authenticating.NONE,
    }
    sasl = SaslOffer(remote.sasl) if Authenticating.SASL in wanted.values() else None
    drivers = load_drivers(settings.access_drivers, polkit)
    return AccessPolicy(wanted=wanted, drivers=drivers, polkit=polkit, sasl=sasl)
