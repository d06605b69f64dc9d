"""What makes virtual networks, as their verbs see it."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final, Protocol

from insula.model.network import NetworkDefinition
from insula.network.virtual.guestends import GuestEnd
from insula.network.virtual.networkrecord import GuestName, Lease, NetworkRecord, Settled

NO_PORTS: Final[Mapping[str, GuestEnd]] = MappingProxyType({})


class NetworkPerformer(Protocol):
    """Makes virtual networks, changes them and takes them away. Every method blocks: the service calls it in a thread.

    Each may be called again, whatever became of an earlier call. Those of one network are not called side by side.
    Raises: OperationFailedError, which names the network and the step; OperationInvalidError and UnsupportedConfigError
    for what a host cannot do.
    """

    def found(self) -> tuple[tuple[NetworkDefinition, NetworkRecord], ...]:
        """Return every network of this installation that has a bridge on the host, as far as the host itself tells.

        A definition has the bridge and its addresses, a record no network's name: both bear the bridge's instead.
        Raises: OSError too.
        """
        ...

    def plan(
        self, network: NetworkDefinition, taken: Collection[NetworkDefinition]
    ) -> tuple[NetworkDefinition, NetworkRecord]:
        """Return the definition with what was left open (the bridge's name and MAC address), and its record to be.

        Makes nothing. taken: the other networks of this daemon, running or not. A name of the form virbrN that somebody
        else's link bears by now is exchanged for a free one.
        Raises: OperationFailedError for what collides with the host: a bridge's name, a route or an address of it.
        """
        ...

    def start(self, network: NetworkDefinition, record: NetworkRecord) -> NetworkRecord:
        """Make everything, or nothing: what was made is taken back on a failure. Return what is to be written down."""
        ...

    def update(self, network: NetworkDefinition, record: NetworkRecord) -> NetworkRecord:
        """Make a running network what the definition says now; leases and guests' ports stay.

        Raises: as the others; then the network is what it was, or `settle` with the former definition makes it so.
        """
        ...

    def settle(
        self, network: NetworkDefinition, record: NetworkRecord, ports: Mapping[str, GuestEnd] = NO_PORTS
    ) -> Settled:
        """Make what is missing of a running network: after a daemon's death, or when it was taken away from under us.

        ports: by their names the guests' ends that belong on its bridge, put back on one that was made anew.
        """
        ...

    def stop(self, record: NetworkRecord) -> None:
        """Take away all that is there of a network; leases are kept. What belongs to others stays."""
        ...

    def forget(self, record: NetworkRecord) -> None:
        """Remove what outlives a stop: the leases. For a network that is undefined."""
        ...

    def name_guests(self, network: NetworkDefinition, record: NetworkRecord, guests: Collection[GuestName]) -> None:
        """Let these be the running guests whose names are known on a network; `start` and `settle` leave them so.

        What the definition says of a MAC address or a name counts before that; a name that is none in DNS for nothing.
        """
        ...

    def leases(self, network: NetworkDefinition, record: NetworkRecord) -> tuple[Lease, ...]:
        """Return the leases that have not ended, in the order of their addresses."""
        ...
