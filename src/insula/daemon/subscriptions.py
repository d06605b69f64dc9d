"""What one client wants to hear about domains and other things, and the messages it gets.

A client registers for a kind of event of a noun, for all things or for one. The service's events become messages in
the new style, which carry the id of the callback they answer, and in the old one, which do not.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from insula.daemon.wire import network_to_wire, to_wire
from insula.errors import InvalidArgumentError, OperationInvalidError
from insula.model.numbers import MemoryFailureRecipient
from insula.rpc.codes.eventcodes import DomainEventId, NetworkEventId
from insula.rpc.procedures import Procedure, Remote
from insula.service.events import (
    BalloonChange,
    DeviceAdded,
    DeviceRemovalFailed,
    DeviceRemoved,
    Event,
    Events,
    JobCompleted,
    LifecycleEvent,
    MemoryFailure,
    MetadataChange,
    NetworkLifecycle,
    NetworkMetadataChange,
    Reboot,
    Tunable,
    VcpuRemoved,
    Watchdog,
)

DOMAIN = "domain"
"""The noun that most events are of."""
NETWORK = "network"
REGISTRATIONS_MAX = 4096
"""Of one client: some kinds of event for each of a thousand domains."""
SAME_MAX = 8
"""Registrations of one client for the same event of the same domain, each of which costs a message; libvirt's own
library makes one, and tells its callbacks apart itself."""

Message = Callable[..., None]
"""Sends a message: the row, then its values."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """How an event of the service travels. with_id, without_id: its messages in the new and the old style; pack: the
    values after the callback's id; nested: whether they are a record of their own; about: which thing it is about, as
    registrations name it; noun: what things of its kind are called."""

    id: int
    with_id: Procedure
    without_id: Procedure | None
    pack: Callable[[Any], tuple[Any, ...]]
    nested: bool = False
    noun: str = DOMAIN
    about: Callable[[Any], object] = lambda event: event.domain.uuid


ROWS: dict[type[Event], Row] = {
    LifecycleEvent: Row(
        id=DomainEventId.LIFECYCLE,
        with_id=Remote.DOMAIN_EVENT_CALLBACK_LIFECYCLE,
        without_id=Remote.DOMAIN_EVENT_LIFECYCLE,
        pack=lambda event: (to_wire(event.domain), event.kind, event.detail),
        nested=True,
    ),
    Reboot: Row(
        id=DomainEventId.REBOOT,
        with_id=Remote.DOMAIN_EVENT_CALLBACK_REBOOT,
        without_id=Remote.DOMAIN_EVENT_REBOOT,
        pack=lambda event: (to_wire(event.domain),),
        nested=True,
    ),
    Watchdog: Row(
        id=DomainEventId.WATCHDOG,
        with_id=Remote.DOMAIN_EVENT_CALLBACK_WATCHDOG,
        without_id=Remote.DOMAIN_EVENT_WATCHDOG,
        pack=lambda event: (to_wire(event.domain), event.action),
        nested=True,
    ),
    BalloonChange: Row(
        id=DomainEventId.BALLOON_CHANGE,
        with_id=Remote.DOMAIN_EVENT_CALLBACK_BALLOON_CHANGE,
        without_id=Remote.DOMAIN_EVENT_BALLOON_CHANGE,
        pack=lambda event: (to_wire(event.domain), event.actual),
        nested=True,
    ),
    DeviceRemoved: Row(
        id=DomainEventId.DEVICE_REMOVED,
        with_id=Remote.DOMAIN_EVENT_CALLBACK_DEVICE_REMOVED,
        without_id=Remote.DOMAIN_EVENT_DEVICE_REMOVED,
        pack=lambda event: (to_wire(event.domain), event.alias),
        nested=True,
    ),
    DeviceAdded: Row(
        id=DomainEventId.DEVICE_ADDED,
        with_id=Remote.DOMAIN_EVENT_CALLBACK_DEVICE_ADDED,
        without_id=None,
        pack=lambda event: (to_wire(event.domain), event.alias),
    ),
    DeviceRemovalFailed: Row(
        id=DomainEventId.DEVICE_REMOVAL_FAILED,
        with_id=Remote.DOMAIN_EVENT_CALLBACK_DEVICE_REMOVAL_FAILED,
        without_id=None,
        pack=lambda event: (to_wire(event.domain), event.alias),
    ),
    MetadataChange: Row(
        id=DomainEventId.METADATA_CHANGE,
        with_id=Remote.DOMAIN_EVENT_CALLBACK_METADATA_CHANGE,
        without_id=None,
        pack=lambda event: (to_wire(event.domain), event.kind, event.uri),
    ),
    Tunable: Row(
        id=DomainEventId.TUNABLE,
        with_id=Remote.DOMAIN_EVENT_CALLBACK_TUNABLE,
        without_id=None,
        pack=lambda event: (to_wire(event.domain), event.parameters),
    ),
    MemoryFailure: Row(
        id=DomainEventId.MEMORY_FAILURE,
        with_id=Remote.DOMAIN_EVENT_MEMORY_FAILURE,
        without_id=None,
        pack=lambda event: (to_wire(event.domain), MemoryFailureRecipient.GUEST, event.action, 0),
    ),
    VcpuRemoved: Row(
        id=DomainEventId.VCPU_REMOVED,
        with_id=Remote.DOMAIN_EVENT_VCPU_REMOVED,
        without_id=None,
        pack=lambda event: (to_wire(event.domain), event.vcpu),
    ),
    JobCompleted: Row(
        id=DomainEventId.JOB_COMPLETED,
        with_id=Remote.DOMAIN_EVENT_CALLBACK_JOB_COMPLETED,
        without_id=None,
        pack=lambda event: (to_wire(event.domain), event.parameters),
    ),
    NetworkLifecycle: Row(
        id=NetworkEventId.LIFECYCLE,
        with_id=Remote.NETWORK_EVENT_LIFECYCLE,
        without_id=None,
        pack=lambda event: (network_to_wire(event.network), event.kind, 0),
        noun=NETWORK,
        about=lambda event: event.network.uuid,
    ),
    NetworkMetadataChange: Row(
        id=NetworkEventId.METADATA_CHANGE,
        with_id=Remote.NETWORK_EVENT_CALLBACK_METADATA_CHANGE,
        without_id=None,
        pack=lambda event: (network_to_wire(event.network), event.kind, event.uri),
        noun=NETWORK,
        about=lambda event: event.network.uuid,
    ),
}
"""One line an event that this driver emits; registering for any other known id is accepted, and it never comes."""

_Subject = tuple[str, int, object]
"""What a registration is for: a noun, an event's id, and the thing it is about, None for all."""


class EventFilter(Protocol):
    """Asks, of each event, whether the client may hear of it."""

    def pass_on(self, event: Event, send: Callable[[], None]) -> None:
        """Call send if it may, once that is known, and after what came before."""

    def close(self) -> None:
        """Pass on nothing any more."""


class Subscriptions:
    """The registrations of one client. message: how to send to it; the first registration subscribes to events.

    screen: asks whether it may hear of each, None for a client that may hear of all.
    """

    def __init__(self, events: Events, message: Message, screen: EventFilter | None = None) -> None:
        self._events = events
        self._message = message
        self._screen = screen
        self._callbacks: dict[int, _Subject] = {}
        self._numbers: dict[_Subject, list[int]] = {}
        self._old_style: set[int] = set()
        self._next = 0
        self._unsubscribe: Callable[[], None] | None = None

    def add(self, event_id: int, about: object = None, *, noun: str = DOMAIN, last: int = max(DomainEventId)) -> int:
        """Register for an event of a noun, about one thing or all; return the callback's id.

        last: the highest event id that the noun has.
        Raises: InvalidArgumentError for one beyond, OperationInvalidError for too many registrations.
        """
        _check(event_id, last)
        subject = noun, event_id, about
        if len(self._numbers.get(subject, ())) >= SAME_MAX:
            raise OperationInvalidError(f"{noun} event {event_id} already registered {SAME_MAX} times")
        if len(self._callbacks) >= REGISTRATIONS_MAX:
            raise OperationInvalidError(f"{REGISTRATIONS_MAX} event callbacks are registered: no client may have more")
        number, self._next = self._next, self._next + 1
        self._callbacks[number] = subject
        self._numbers.setdefault(subject, []).append(number)
        self._listen()
        return number

    def remove(self, number: int, *, noun: str = DOMAIN) -> None:
        """Forget a callback. Raises: InvalidArgumentError if the noun has none of that number."""
        subject = self._callbacks.get(number)
        if subject is None or subject[0] != noun:
            raise InvalidArgumentError(f"{noun} event callback {number} not registered")
        del self._callbacks[number]
        self._numbers[subject].remove(number)
        if not self._numbers[subject]:
            del self._numbers[subject]

    def add_old_style(self, event_id: int) -> None:
        """Register for an event of all domains, once.

        Raises: InvalidArgumentError for an event that has no old style, OperationInvalidError if it is registered.
        """
        _check(event_id, DomainEventId.DEVICE_REMOVED)
        if event_id in self._old_style:
            raise OperationInvalidError(f"domain event {event_id} already registered")
        self._old_style.add(event_id)
        self._listen()

    def remove_old_style(self, event_id: int) -> None:
        """Forget an old-style registration. Raises: InvalidArgumentError if there is none."""
        if event_id not in self._old_style:
            raise InvalidArgumentError(f"domain event {event_id} not registered")
        self._old_style.discard(event_id)

    def close(self) -> None:
        """Hear nothing any more."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        if self._screen is not None:
            self._screen.close()
        self._callbacks.clear()
        self._numbers.clear()
        self._old_style.clear()

    def _listen(self) -> None:
        if self._unsubscribe is None:
            self._unsubscribe = self._events.subscribe(self._deliver)

    def _deliver(self, event: Event) -> None:
        row = ROWS.get(type(event))
        if row is None:
            return
        values = row.pack(event)
        if self._screen is None:
            self._tell(row, row.about(event), values)
        else:
            self._screen.pass_on(event, partial(self._tell, row, row.about(event), values))

    def _tell(self, row: Row, thing: object, values: tuple[Any, ...]) -> None:
        of_all, of_one = ((row.noun, row.id, about) for about in (None, thing))
        numbers = (*self._numbers.get(of_all, ()), *self._numbers.get(of_one, ()))
        for number in sorted(numbers):
            self._message(row.with_id, number, *((values,) if row.nested else values))
        if row.id in self._old_style and row.without_id is not None:
            self._message(row.without_id, *values)


def _check(event_id: int, last: int) -> None:
    if not 0 <= event_id <= last:
        raise InvalidArgumentError(f"unsupported event ID {event_id}: the last one known is {int(last)}")
