"""What the settings ask of clients: how they prove who they are, and which drivers decide about their calls."""

from collections.abc import Callable
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
    drivers: list[NamedDriver] = field(default_factory=list)
    polkit: Polkit = field(default_factory=Polkit)
    sasl: SaslOffer | None = None

    def authentication(
        self, peer: Peer, access: SocketAccess, kind: EndpointKind = EndpointKind.LOCAL
    ) -> Authentication:
        """Return what a client at a socket of this kind has to prove."""
        wanted = self.wanted.get(access if kind is EndpointKind.LOCAL else kind, Authenticating.NONE)
        if wanted is Authenticating.SASL and self.sasl is not None:
            return SaslAuthentication(self.sasl, secure=kind is not EndpointKind.TCP)
        if wanted is Authenticating.POLKIT:
            return by_polkit(self.polkit, peer, read_only=access is SocketAccess.READ_ONLY)
        return Authentication()

    def jury(self, peer: Peer, complaints: Complaints) -> Jury | None:
        """Return the drivers, those of the moment, as they are asked about a client; None about root."""
        return None if peer.is_privileged else Jury(self.drivers, peer, complaints)

    def renewal(self, settings: Settings) -> Callable[[], None]:
        """Return what has other settings count: drivers at once, what is to be proved for those who come then.

        What is asked for by TCP stays: it was weighed against where the daemon listens, which stays as well.
        Raises: as `policy_of`; then all is as it was.
        """
        wanted = _wanted(settings, self.wanted.get(EndpointKind.TCP, Authenticating.NONE))
        sasl = _offer(settings, wanted)
        drivers = list(load_drivers(settings.access_drivers, self.polkit, self.drivers))

        def renew() -> None:
            if self.sasl is not None:
                self.sasl.allow(settings.remote.sasl)  # who is proving it now may no longer be one of them
            self.wanted, self.sasl, self.drivers[:] = wanted, sasl, drivers

        return renew

    def close(self) -> None:
        """Ask nobody any more."""
        self.polkit.close()


def policy_of(settings: Settings) -> AccessPolicy:
    """Return the policy of the settings.

    Raises: ConfigurationError for a driver that there is not, and for SASL by a file of users that cannot be used.
    """
    polkit, tcp = Polkit(), settings.remote.tcp
    wanted = _wanted(settings, tcp.auth if tcp.listen else Authenticating.NONE)
    drivers = load_drivers(settings.access_drivers, polkit)
    return AccessPolicy(wanted=wanted, drivers=list(drivers), polkit=polkit, sasl=_offer(settings, wanted))


def _wanted(settings: Settings, by_tcp: Authenticating) -> dict[SocketAccess | EndpointKind, Authenticating]:
    return {
        SocketAccess.READ_WRITE: settings.auth_unix_rw,
        SocketAccess.READ_ONLY: settings.auth_unix_ro,
        EndpointKind.TLS: settings.remote.tls.auth,
        EndpointKind.TCP: by_tcp,
    }


def _offer(settings: Settings, wanted: dict[SocketAccess | EndpointKind, Authenticating]) -> SaslOffer | None:
    return SaslOffer(settings.remote.sasl) if Authenticating.SASL in wanted.values() else None
