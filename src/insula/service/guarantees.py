"""What guests are guaranteed of the host's memory, in sum: no more than there is, where the settings ask for that."""

from collections.abc import Iterable
from uuid import UUID

from insula.errors import OperationFailedError
from insula.model.domain import DomainDefinition
from insula.model.domainstates import LifecycleKind
from insula.model.sizes import KiB
from insula.service.events import Event, LifecycleEvent, Reboot, StartFailed
from insula.service.managed import ManagedDomain


class Guarantees:
    """Refuses what would promise more than the host has.

    domains: all that there are; memory: of the host, None where nobody is to look at the sum; reserve: what of it no
    guest is promised.
    """

    def __init__(self, domains: Iterable[ManagedDomain], *, memory: KiB | None, reserve: KiB) -> None:
        self._domains = domains
        self._memory = memory
        self._reserve = reserve
        self._starting: dict[UUID, KiB] = {}

    def claim(self, managed: ManagedDomain, wanted: KiB) -> None:
        """Take so much for a guest that is about to start, or to be guaranteed that much, until `settled`.

        Raises: OperationFailedError if the host has not that much left.
        """
        if self._memory is None or not wanted:
            return
        others = sum(self._held(each) for each in self._domains if each.uuid != managed.uuid)
        left = self._memory - self._reserve - others
        if wanted > left:
            raise OperationFailedError(
                f"domain '{managed.name}' is to be guaranteed {wanted} KiB of memory, and the host has "
                f"{max(0, left)} KiB left for that: of its {self._memory} KiB, {others} KiB are guaranteed to others "
                f"and {self._reserve} KiB are its own (host_reserve); lower min_guarantee, or stop a guest that has one"
            )
        self._starting[managed.uuid] = wanted

    def settled(self, uuid: UUID) -> None:
        """The start, or the change, is over: what holds from now on can be seen."""
        self._starting.pop(uuid, None)

    def heard(self, event: Event) -> None:
        """Take note of starts that are over, either way; a subscriber of `Events`."""
        match event:
            case StartFailed() | Reboot() | LifecycleEvent(kind=LifecycleKind.STARTED | LifecycleKind.STOPPED):
                self.settled(event.domain.uuid)

    def _held(self, managed: ManagedDomain) -> int:
        """What a domain has, or will have in a moment: one that reboots, or waits to be started again, has it still."""
        held = 0
        if managed.run is not None:
            held = (managed.run.container.record.spec.limits.memory_guarantee or 0) // 1024
        elif managed.is_shown_active or managed.will_restart:
            held = guarantee_of(managed.config or managed.current)
        return max(held, self._starting.get(managed.uuid, 0))


def guarantee_of(domain: DomainDefinition) -> KiB:
    """What a definition guarantees."""
    tune = domain.memory_tune
    return KiB(0) if tune is None or tune.min_guarantee is None else tune.min_guarantee
