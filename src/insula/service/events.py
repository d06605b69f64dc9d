"""What happened to domains and other things, told to all subscribers: typed, in order, never waiting for one."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from insula.model.domainstates import LifecycleDetail, LifecycleKind
from insula.model.networknumbers import NetworkEventKind
from insula.model.numbers import MemoryFailureAction, MetadataType, WatchdogAction
from insula.service.parameters import Parameter

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class DomainIdentity:
    """Which domain is meant. id: the guest init's pid on the host, -1 when off."""

    name: str
    uuid: UUID
    id: int = -1


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that happened to a thing of some noun: each noun has a class of its own below this one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DomainEvent(Event):
    """Something that happened to a domain."""

    domain: DomainIdentity


@dataclass(frozen=True, kw_only=True, slots=True)
class LifecycleEvent(DomainEvent):
    kind: LifecycleKind
    detail: LifecycleDetail


@dataclass(frozen=True, kw_only=True, slots=True)
class Reboot(DomainEvent):
    """The guest rebooted: the same domain, a new id."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MetadataChange(DomainEvent):
    """Title, description, or the element of a namespace changed. uri: for elements only."""

    kind: MetadataType
    uri: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class BalloonChange(DomainEvent):
    """The memory the guest may use changed. actual: KiB."""

    actual: int


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryFailure(DomainEvent):
    """Programs of the guest were killed for want of memory; action: whether its init was among them."""

    action: MemoryFailureAction


@dataclass(frozen=True, kw_only=True, slots=True)
class Watchdog(DomainEvent):
    """The guest is unhealthy, as its definition has that tried; action: what follows."""

    action: WatchdogAction


@dataclass(frozen=True, kw_only=True, slots=True)
class JobCompleted(DomainEvent):
    """A job ended, however that was. parameters: how, by libvirt's names."""

    parameters: tuple[Parameter, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tunable(DomainEvent):
    """Limits changed while the domain runs; the names are libvirt's, such as `cputune.cpu_shares`."""

    parameters: tuple[Parameter, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class VcpusChanged(DomainEvent):
    """Other virtual processors are in use than before. No client is told: see VcpuRemoved."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitChangeFailed(DomainEvent):
    """The guest has as much memory, or as many virtual processors, as before. No client but the caller is told.

    resource: `mem` or `vcpu`; wanted: KiB, or how many.
    """

    resource: str
    wanted: int


@dataclass(frozen=True, kw_only=True, slots=True)
class VcpuRemoved(DomainEvent):
    """A virtual processor of a domain that runs is in use no more. vcpu: its number."""

    vcpu: int


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceAdded(DomainEvent):
    alias: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceRemoved(DomainEvent):
    alias: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceRemovalFailed(DomainEvent):
    alias: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceUpdated(DomainEvent):
    """A device of a guest that runs has become different; libvirt's clients are not told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StartFailed(DomainEvent):
    """It was tried to start it; libvirt's clients are not told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceChangeFailed(DomainEvent):
    """A device of a guest that runs was to be attached or updated; libvirt's clients are not told.

    device: its class in the model; reason: attach or update.
    """

    device: type
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkIdentity:
    """Which network is meant."""

    name: str
    uuid: UUID


@dataclass(frozen=True, kw_only=True, slots=True)
class VirtualNetworkEvent(Event):
    """Something that happened to a virtual network."""

    network: NetworkIdentity


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkLifecycle(VirtualNetworkEvent):
    kind: NetworkEventKind


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkMetadataChange(VirtualNetworkEvent):
    """Title, description, or the element of a namespace changed. uri: for elements only."""

    kind: MetadataType
    uri: str | None = None


Subscriber = Callable[[Event], None]


class Events:
    """The one place where events are published.

    Subscribers are called at once, in the order they came, before publish() returns: so for one domain events arrive in
    the order of what happened. A subscriber must not block; one that fails is logged and stays subscribed.
    """

    def __init__(self) -> None:
        self._subscribers: dict[int, Subscriber] = {}
        self._next = 1

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call subscriber for every event from now on. Return what ends that; calling it twice is harmless."""
        key, self._next = self._next, self._next + 1
        self._subscribers[key] = subscriber

        def unsubscribe() -> None:
            self._subscribers.pop(key, None)

        return unsubscribe

    def publish(self, event: Event) -> None:
        """Tell every subscriber; one subscribed or gone meanwhile is not told, or not told again."""
        for key, subscriber in tuple(self._subscribers.items()):
            if key not in self._subscribers:
                continue
            try:
                subscriber(event)
            except Exception:
                LOGGER.exception("a subscriber failed on %s", event)
