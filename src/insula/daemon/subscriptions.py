"""What one client wants to hear about domains, and the messages it gets.

A client registers for a kind of event, for all domains or for one. The service's events become messages in the new
style, which carry the id of the callback they answer, and in the old one, which do not.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from insula.daemon.wire import to_wire
from insula.errors import InvalidArgumentError, OperationInvalidError
from insula.rpc.codes.events import DomainEventId
from insula.rpc.procedures import Procedure, Remote
from insula.rpc.types import DomainRef
from insula.service.events import (
    BalloonChange,
    DeviceAdded,
    DeviceRemovalFailed,
    DeviceRemoved,
    Event,
    Events,
    Lifecycle,
    MetadataChange,
    Reboot,
    Tunable,
)

LAST_EVENT_ID = 29
"""libvirt 12 knows 28 (a vCPU removed) and 29 (a channel's lifecycle) besides those in DomainEventId."""

REGISTRATIONS_MAX = 4096
"""Of one client: some kinds of event for each of a thousand domains."""
SAME_MAX = 8
"""Registrations of one client for the same event of the same domain, each of which costs a message; libvirt's own
library makes one, and tells its callbacks apart itself."""

Message = Callable[..., None]
"""Sends a message: the row, then its values."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Row:
    """How an event of the service travels. with_id, without_id: its messages in the new and the old style; pack: the
    values after the callback's id, given the domain and the event; nested: whether they are a record of their own."""

    id: DomainEventId
    with_id: Procedure
    without_id: Procedure | None
    pack: Callable[[DomainRef, Any], tuple[Any, ...]]
    nested: bool = False


_ROWS: dict[type[Event], _Row] = {
    Lifecycle: _Row(
        id=DomainEventId.LIFECYCLE,
        with_id=Remote.DOMAIN_EVENT_CALLBACK_LIFECYCLE,
        without_id=Remote.DOMAIN_EVENT_LIFECYCLE,
        pack=lambda domain, event: (domain, event.kind, event.detail),
        nested=True,
    ),
    Reboot: _Row(
        id=DomainEventId.REBOOT,
        with_id=Remote.DOMAIN_EVENT_CALLBACK_REBOOT,
        without_id=Remote.DOMAIN_EVENT_REBOOT,
        pack=lambda domain, event: (domain,),
        nested=True,
    ),
    BalloonChange: _Row(
        id=DomainEventId.BALLOON_CHANGE,
        with_id=Remote.DOMAIN_EVENT_CALLBACK_BALLOON_CHANGE,
        without_id=Remote.DOMAIN_EVENT_BALLOON_CHANGE,
        pack=lambda domain, event: (domain, event.actual),
        nested=True,
    ),
    DeviceRemoved: _Row(
        id=DomainEventId.DEVICE_REMOVED,
        with_id=Remote.DOMAIN_EVENT_CALLBACK_DEVICE_REMOVED,
        without_id=Remote.DOMAIN_EVENT_DEVICE_REMOVED,
        pack=lambda domain, event: (domain, event.alias),
        nested=True,
    ),
    DeviceAdded: _Row(
        id=DomainEventId.DEVICE_ADDED,
        with_id=Remote.DOMAIN_EVENT_CALLBACK_DEVICE_ADDED,
        without_id=None,
        pack=lambda domain, event: (domain, event.alias),
    ),
    DeviceRemovalFailed: _Row(
        id=DomainEventId.DEVICE_REMOVAL_FAILED,
        with_id=Remote.DOMAIN_EVENT_CALLBACK_DEVICE_REMOVAL_FAILED,
        without_id=None,
        pack=lambda domain, event: (domain, event.alias),
    ),
    MetadataChange: _Row(
        id=DomainEventId.METADATA_CHANGE,
        with_id=Remote.DOMAIN_EVENT_CALLBACK_METADATA_CHANGE,
        without_id=None,
        pack=lambda domain, event: (domain, event.kind, event.uri),
    ),
    Tunable: _Row(
        id=DomainEventId.TUNABLE,
        with_id=Remote.DOMAIN_EVENT_CALLBACK_TUNABLE,
        without_id=None,
        pack=lambda domain, event: (domain, event.parameters),
    ),
}
"""One line an event that this driver emits; registering for any other known id is accepted, and it never comes."""


_Subject = tuple[int, UUID | None]
"""What a registration is for: an event's id, and the domain it is of, None for all."""


class Subscriptions:
    """The registrations of one client. message: how to send to it; the first registration subscribes to events."""

    def __init__(self, events: Events, message: Message) -> None:
        self._events = events
        self._message = message
        self._callbacks: dict[int, _Subject] = {}
        self._numbers: dict[_Subject, list[int]] = {}
        self._old_style: set[int] = set()
        self._others: dict[int, str] = {}
        self._next = 0
        self._unsubscribe: Callable[[], None] | None = None

    def add(self, event_id: int, domain: UUID | None) -> int:
        """Register for an event, of one domain or of all; return the callback's id.

        Raises: InvalidArgumentError for an event nobody knows, OperationInvalidError for too many registrations.
        """
        _check(event_id, LAST_EVENT_ID)
        subject = event_id, domain
        if len(self._numbers.get(subject, ())) >= SAME_MAX:
            raise OperationInvalidError(f"domain event {event_id} already registered {SAME_MAX} times")
        number = self._number()
        self._callbacks[number] = subject
        self._numbers.setdefault(subject, []).append(number)
        self._listen()
        return number

    def remove(self, number: int) -> None:
        """Forget a callback. Raises: InvalidArgumentError if there is none of that number."""
        subject = self._callbacks.pop(number, None)
        if subject is None:
            raise InvalidArgumentError(f"domain event callback {number} not registered")
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

    def add_other(self, subject: str, event_id: int, last: int) -> int:
        """Register for an event of networks, pools, devices or secrets: there are none, so nothing ever comes.

        last: the highest event id the subject has. Raises: InvalidArgumentError for one beyond, OperationInvalidError
        for too many registrations.
        """
        _check(event_id, last)
        number = self._number()
        self._others[number] = subject
        return number

    def remove_other(self, subject: str, number: int) -> None:
        """Forget such a registration. Raises: InvalidArgumentError if the subject has none of that number."""
        if self._others.get(number) != subject:
            raise InvalidArgumentError(f"{subject} event callback {number} not registered")
        del self._others[number]

    def close(self) -> None:
        """Hear nothing any more."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        self._callbacks.clear()
        self._numbers.clear()
        self._old_style.clear()

    def _number(self) -> int:
        if len(self._callbacks) + len(self._others) >= REGISTRATIONS_MAX:
            raise OperationInvalidError(f"{REGISTRATIONS_MAX} event callbacks are registered: no client may have more")
        number, self._next = self._next, self._next + 1
        return number

    def _listen(self) -> None:
        if self._unsubscribe is None:
            self._unsubscribe = self._events.subscribe(self._deliver)

    def _deliver(self, event: Event) -> None:
        row = _ROWS.get(type(event))
        if row is None:
            return
        values = row.pack(to_wire(event.domain), event)
        numbers = (*self._numbers.get((row.id, None), ()), *self._numbers.get((row.id, event.domain.uuid), ()))
        for number in sorted(numbers):
            self._message(row.with_id, number, *((values,) if row.nested else values))
        if row.id in self._old_style and row.without_id is not None:
            self._message(row.without_id, *values)


def _check(event_id: int, last: int) -> None:
    if not 0 <= event_id <= last:
        raise InvalidArgumentError(f"unsupported event ID {event_id}: the last one known is {int(last)}")
