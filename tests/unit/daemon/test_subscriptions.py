"""Registrations and messages: ids, filters, both styles, and nothing after the end."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from insula.daemon import subscriptions
from insula.daemon.subscriptions import REGISTRATIONS_MAX, SAME_MAX, Subscriptions
from insula.errors import InvalidArgumentError, OperationInvalidError
from insula.model.domainstates import LifecycleKind, StoppedDetail
from insula.model.networknumbers import NetworkEventKind
from insula.model.numbers import MemoryFailureAction, MetadataType, ParameterType, WatchdogAction
from insula.rpc.codes.eventcodes import DomainEventId
from insula.rpc.procedures import Procedure, Remote
from insula.rpc.wiretypes import NetworkRef
from insula.service.events import (
    BalloonChange,
    DeviceAdded,
    DeviceRemovalFailed,
    DeviceRemoved,
    DomainIdentity,
    Event,
    Events,
    JobCompleted,
    LifecycleEvent,
    MemoryFailure,
    MetadataChange,
    NetworkIdentity,
    NetworkLifecycle,
    NetworkMetadataChange,
    Reboot,
    Tunable,
    VcpuRemoved,
    Watchdog,
)
from insula.service.parameters import Parameter

WEB = DomainIdentity(name="web", uuid=UUID(int=1), id=5)
MAIL = DomainIdentity(name="mail", uuid=UUID(int=2))

EVERY_EVENT: tuple[tuple[Event, DomainEventId], ...] = (
    (LifecycleEvent(domain=WEB, kind=LifecycleKind.STOPPED, detail=StoppedDetail.CRASHED), DomainEventId.LIFECYCLE),
    (Reboot(domain=WEB), DomainEventId.REBOOT),
    (BalloonChange(domain=WEB, actual=4096), DomainEventId.BALLOON_CHANGE),
    (DeviceAdded(domain=WEB, alias="net0"), DomainEventId.DEVICE_ADDED),
    (DeviceRemoved(domain=WEB, alias="net0"), DomainEventId.DEVICE_REMOVED),
    (DeviceRemovalFailed(domain=WEB, alias="net0"), DomainEventId.DEVICE_REMOVAL_FAILED),
    (MetadataChange(domain=WEB, kind=MetadataType.ELEMENT, uri="u"), DomainEventId.METADATA_CHANGE),
    (
        Tunable(domain=WEB, parameters=(Parameter("cputune.cpu_shares", ParameterType.ULLONG, 5),)),
        DomainEventId.TUNABLE,
    ),
    (MemoryFailure(domain=WEB, action=MemoryFailureAction.FATAL), DomainEventId.MEMORY_FAILURE),
    (
        JobCompleted(domain=WEB, parameters=(Parameter("success", ParameterType.BOOLEAN, 1),)),
        DomainEventId.JOB_COMPLETED,
    ),
    (Watchdog(domain=WEB, action=WatchdogAction.RESET), DomainEventId.WATCHDOG),
    (VcpuRemoved(domain=WEB, vcpu=3), DomainEventId.VCPU_REMOVED),
)


class Heard:
    """Subscriptions and the messages they sent, each packed and read back as a client would."""

    def __init__(self) -> None:
        self.events = Events()
        self.messages: list[tuple[Procedure, Any]] = []
        self.subscriptions = Subscriptions(self.events, self._message)

    def _message(self, procedure: Procedure, *values: Any) -> None:
        body = procedure.arguments.pack(values)
        self.messages.append((procedure, procedure.arguments.unpack(body)))


@pytest.mark.parametrize(("event", "event_id"), EVERY_EVENT, ids=lambda each: type(each).__name__)
def test_every_event_of_the_service_can_be_sent_in_the_new_style(event: Event, event_id: DomainEventId) -> None:
    heard = Heard()
    number = heard.subscriptions.add(event_id, None)
    heard.events.publish(event)
    ((procedure, values),) = heard.messages
    assert procedure.name.startswith("DOMAIN_EVENT_") and values.callbackID == number
    domain = values.msg.dom if hasattr(values, "msg") else values.dom
    assert (domain.name, domain.uuid, domain.id) == ("web", WEB.uuid.bytes, 5)


@pytest.mark.parametrize(
    ("event", "event_id"), [each for each in EVERY_EVENT if each[1] in (0, 1, 13, 15)], ids=lambda x: type(x).__name__
)
def test_older_events_can_be_sent_in_the_old_style(event: Event, event_id: DomainEventId) -> None:
    heard = Heard()
    heard.subscriptions.add_old_style(event_id)
    heard.events.publish(event)
    ((procedure, values),) = heard.messages
    assert "CALLBACK" not in procedure.name and values.dom.name == "web"


def test_every_event_that_is_sent_is_tried_above() -> None:
    assert {each for _, each in EVERY_EVENT} == {row.id for row in subscriptions.ROWS.values() if row.noun == "domain"}


def test_every_known_event_can_be_registered_for_even_if_it_never_comes() -> None:
    heard = Heard()
    numbers = [heard.subscriptions.add(each, None) for each in range(max(DomainEventId) + 1)]
    assert len(set(numbers)) == max(DomainEventId) + 1


@pytest.mark.parametrize("event_id", [-1, max(DomainEventId) + 1])
def test_an_event_nobody_knows_is_refused(event_id: int) -> None:
    with pytest.raises(InvalidArgumentError, match="unsupported event ID"):
        Heard().subscriptions.add(event_id, None)


def test_a_filter_lets_only_its_domain_through() -> None:
    heard = Heard()
    heard.subscriptions.add(DomainEventId.REBOOT, MAIL.uuid)
    heard.events.publish(Reboot(domain=WEB))
    heard.events.publish(Reboot(domain=MAIL))
    assert [values.msg.dom.name for _, values in heard.messages] == ["mail"]


def test_each_registration_gets_its_own_message() -> None:
    heard = Heard()
    numbers = [heard.subscriptions.add(DomainEventId.REBOOT, None) for _ in range(2)]
    heard.subscriptions.add(DomainEventId.LIFECYCLE, None)
    heard.events.publish(Reboot(domain=WEB))
    assert [values.callbackID for _, values in heard.messages] == numbers


def test_a_removed_registration_is_silent_and_cannot_be_removed_twice() -> None:
    heard = Heard()
    number = heard.subscriptions.add(DomainEventId.REBOOT, None)
    heard.subscriptions.remove(number)
    heard.events.publish(Reboot(domain=WEB))
    assert heard.messages == []
    with pytest.raises(InvalidArgumentError, match=f"{number} not registered"):
        heard.subscriptions.remove(number)


def test_an_old_style_registration_is_one_a_kind() -> None:
    heard = Heard()
    heard.subscriptions.add_old_style(DomainEventId.LIFECYCLE)
    with pytest.raises(OperationInvalidError, match="already registered"):
        heard.subscriptions.add_old_style(DomainEventId.LIFECYCLE)
    heard.subscriptions.remove_old_style(DomainEventId.LIFECYCLE)
    with pytest.raises(InvalidArgumentError, match="not registered"):
        heard.subscriptions.remove_old_style(DomainEventId.LIFECYCLE)


def test_events_of_what_there_is_none_of_have_ids_of_their_own() -> None:
    heard = Heard()
    network = heard.subscriptions.add(0, noun="network", last=0)
    pool = heard.subscriptions.add(1, noun="storage pool", last=1)
    assert network != pool
    with pytest.raises(InvalidArgumentError, match="network event callback"):
        heard.subscriptions.remove(pool, noun="network")
    heard.subscriptions.remove(pool, noun="storage pool")
    with pytest.raises(InvalidArgumentError, match="unsupported event ID"):
        heard.subscriptions.add(1, noun="network", last=0)


LAN = NetworkIdentity(name="lan", uuid=UUID(int=3))
LAN_REF = NetworkRef("lan", LAN.uuid.bytes)


def test_events_of_networks_reach_who_asked_for_that_network_or_for_all() -> None:
    heard = Heard()
    of_lan = heard.subscriptions.add(0, LAN.uuid, noun="network", last=1)
    heard.subscriptions.add(0, UUID(int=4), noun="network", last=1)
    of_all = heard.subscriptions.add(1, None, noun="network", last=1)
    heard.events.publish(NetworkLifecycle(network=LAN, kind=NetworkEventKind.STARTED))
    heard.events.publish(NetworkMetadataChange(network=LAN, kind=MetadataType.ELEMENT, uri="u"))
    assert [(procedure, tuple(values)) for procedure, values in heard.messages] == [
        (Remote.NETWORK_EVENT_LIFECYCLE, (of_lan, LAN_REF, 2, 0)),
        (Remote.NETWORK_EVENT_CALLBACK_METADATA_CHANGE, (of_all, LAN_REF, 2, "u")),
    ]


def test_nothing_is_sent_after_the_end() -> None:
    heard = Heard()
    heard.subscriptions.add(DomainEventId.REBOOT, None)
    heard.subscriptions.close()
    heard.subscriptions.close()
    heard.events.publish(Reboot(domain=WEB))
    assert heard.messages == []


def test_the_rows_of_new_and_old_style_differ_only_by_the_callback() -> None:
    assert Remote.DOMAIN_EVENT_CALLBACK_LIFECYCLE.arguments.names[0] == "callbackID"
    assert Remote.DOMAIN_EVENT_LIFECYCLE.arguments.names == ("dom", "event", "detail")


def test_an_event_costs_a_client_few_messages_however_often_it_registers() -> None:
    heard = Heard()
    numbers = [
        heard.subscriptions.add(DomainEventId.REBOOT, each) for each in (None, WEB.uuid) for _ in range(SAME_MAX)
    ]
    for domain in (None, WEB.uuid):
        with pytest.raises(OperationInvalidError, match="already registered"):
            heard.subscriptions.add(DomainEventId.REBOOT, domain)
    heard.events.publish(Reboot(domain=WEB))
    assert [values.callbackID for _, values in heard.messages] == numbers
    heard.subscriptions.remove(numbers[0])
    heard.subscriptions.add(DomainEventId.REBOOT, None)


def test_registrations_have_an_end() -> None:
    heard = Heard()
    for number in range(REGISTRATIONS_MAX - 1):
        heard.subscriptions.add(DomainEventId.REBOOT, UUID(int=number))
    other = heard.subscriptions.add(0, noun="network", last=0)
    with pytest.raises(OperationInvalidError, match="no client may have more"):
        heard.subscriptions.add(DomainEventId.REBOOT, None)
    with pytest.raises(OperationInvalidError, match="no client may have more"):
        heard.subscriptions.add(0, noun="network", last=0)
    heard.subscriptions.remove(other, noun="network")
    heard.subscriptions.add(DomainEventId.REBOOT, None)


@dataclass(frozen=True, kw_only=True)
class Felled(Event):
    """An event of a noun that only tests have."""

    tree: str


def test_events_of_another_noun_reach_who_registered_for_it_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    row = subscriptions.Row(
        id=0,
        with_id=Remote.NETWORK_EVENT_LIFECYCLE,
        without_id=None,
        pack=lambda event: (NetworkRef(event.tree, bytes(16)), 0, 0),
        noun="tree",
        about=lambda event: event.tree,
    )
    monkeypatch.setitem(subscriptions.ROWS, Felled, row)
    heard = Heard()
    heard.subscriptions.add(DomainEventId.LIFECYCLE)
    every = heard.subscriptions.add(0, noun="tree", last=0)
    oak = heard.subscriptions.add(0, "oak", noun="tree", last=0)
    heard.subscriptions.add(0, noun="network", last=0)

    heard.events.publish(Felled(tree="elm"))
    heard.events.publish(Felled(tree="oak"))

    told = [(values.callbackID, values.net.name) for _, values in heard.messages]
    assert told == [(every, "elm"), (every, "oak"), (oak, "oak")]
