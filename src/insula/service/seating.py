"""Which of the host's processors running guests have: given at a start, known ever after."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from uuid import UUID

from insula.errors import InvalidArgumentError
from insula.kernel.cgroups import Cgroup, Hierarchies, partition_path
from insula.kernel.cgroups.cpusets import usable_below
from insula.model.domain import DomainDefinition
from insula.model.sizes import format_cpuset, parse_cpuset
from insula.service import seats
from insula.service.claims import claim_of
from insula.service.seats import Claim, NoSeatError, Processors, Seated
from insula.service.topology import Topology


class Seating:
    """The seats of one daemon's guests. Two daemons of a host keep to their own guests, and each levels those.

    topology: tells the host's processors as they are now; confine: whether a domain that does not say so is held to its
    number of virtual processors.
    """

    def __init__(
        self, *, topology: Callable[[], Topology], hierarchies: Callable[[], Hierarchies], confine: bool = True
    ) -> None:
        self._topology = topology
        self._hierarchies = hierarchies
        self.confine = confine
        self._seated: dict[UUID, Seated] = {}
        self._load: Counter[int] = Counter()
        self._read: tuple[Topology, Processors] | None = None

    @property
    def host(self) -> Processors:
        """The processors that are online."""
        topology = self._topology()
        if self._read is None or self._read[0] is not topology:
            self._read = topology, Processors.of(topology)
        return self._read[1]

    @property
    def is_possible(self) -> bool:
        """Whether control groups of this host can be held to processors."""
        return "cpuset" in self._hierarchies().controllers()

    def of(self, uuid: UUID) -> Seated | None:
        """Return what a guest has; None where nobody chose anything for it."""
        return self._seated.get(uuid)

    def guests(self) -> dict[UUID, Seated]:
        """Return what each guest has."""
        return dict(self._seated)

    def seat(self, domain: DomainDefinition, partition: str) -> Seated | None:
        """Give a guest that starts its processors; None where control groups cannot be held to any.

        Raises: as find.
        """
        if not self.is_possible:
            return None
        seated = self.find(domain, self.claim(domain, partition))
        self.give(domain.uuid, seated)
        return seated

    def claim(self, domain: DomainDefinition, partition: str) -> Claim:
        """Return what a domain claims below a partition, whose group may have fewer processors than the host."""
        claim = claim_of(domain, confine=self.confine)
        above = usable_below(self._hierarchies(), partition_path(partition))
        cpus = None if above is None else parse_cpuset(above)
        return claim if cpus is None or self.host.online <= cpus else claim.within(cpus)

    def find(self, domain: DomainDefinition, claim: Claim) -> Seated:
        """Return what a domain's guest is to have for a claim, as much as can be of what it has. Nothing is given yet.

        Raises: InvalidArgumentError if that cannot be met.
        """
        held = self._seated.get(domain.uuid)
        load = self._load if held is None else self._load - Counter(held.cpus)
        try:
            cpus = seats.seats(self.host, load, claim, held=frozenset() if held is None else held.cpus)
        except NoSeatError as error:
            raise InvalidArgumentError(
                f"domain '{domain.name}' is pinned to processors that are offline, or that its control group has not: "
                f"{error}"
            ) from error
        return Seated(claim=claim, cpus=cpus)

    def give(self, uuid: UUID, seated: Seated) -> None:
        """Count a guest's processors as its own."""
        self.take(uuid)
        self._seated[uuid] = seated
        self._load.update(seated.cpus)

    def take(self, uuid: UUID) -> None:
        """Count what a guest had as free."""
        if (held := self._seated.pop(uuid, None)) is not None:
            self._load.subtract(held.cpus)

    def found(self, uuid: UUID, group: Cgroup) -> None:
        """Count as a guest's what the kernel says it has: whoever chose that may not have lived to write it down."""
        held = self._seated.get(uuid)
        if held is not None:
            with suppress(OSError, ValueError):
                cpus = frozenset(parse_cpuset(group.cpuset.held()[0]))
                if cpus != held.cpus:
                    self.give(uuid, Seated(claim=held.claim, cpus=cpus))

    def written(self, seated: Seated) -> str:
        """Return the processors as a control group takes them: empty for all that the one above has."""
        return "" if self.host.online <= seated.cpus else format_cpuset(seated.cpus)
