"""Events reach every subscriber, in order."""

import logging
from uuid import UUID

import pytest

from insula.model.domainstates import LifecycleKind, StartedDetail, StoppedDetail
from insula.service.events import DomainIdentity, Event, Events, LifecycleEvent, Reboot

WEB = DomainIdentity(name="web", uuid=UUID("11111111-2222-3333-4444-555555555555"), id=4711)
STARTED = LifecycleEvent(domain=WEB, kind=LifecycleKind.STARTED, detail=StartedDetail.BOOTED)
STOPPED = LifecycleEvent(domain=WEB, kind=LifecycleKind.STOPPED, detail=StoppedDetail.SHUTDOWN)


def test_every_subscriber_hears_the_events_in_the_order_they_happened() -> None:
    events, one, other = Events(), list[Event](), list[Event]()
    events.subscribe(one.append)
    events.subscribe(other.append)

    events.publish(STARTED)
    events.publish(Reboot(domain=WEB))
    events.publish(STOPPED)

    assert one == other == [STARTED, Reboot(domain=WEB), STOPPED]


def test_a_subscriber_that_left_hears_nothing_more() -> None:
    events, heard = Events(), list[Event]()
    leave = events.subscribe(heard.append)
    events.publish(STARTED)
    leave()
    leave()
    events.publish(STOPPED)

    assert heard == [STARTED]


def test_a_subscriber_may_leave_while_it_is_being_told() -> None:
    events, heard = Events(), list[Event]()

    def once(event: Event) -> None:
        heard.append(event)
        leave()

    leave = events.subscribe(once)
    events.subscribe(heard.append)
    events.publish(STARTED)
    events.publish(STOPPED)

    assert heard == [STARTED, STARTED, STOPPED]


def test_a_failing_subscriber_keeps_no_event_from_the_others(caplog: pytest.LogCaptureFixture) -> None:
    events, heard = Events(), list[Event]()

    def fail(event: Event) -> None:
        raise RuntimeError("this client hung up")

    events.subscribe(fail)
    events.subscribe(heard.append)
    with caplog.at_level(logging.ERROR):
        events.publish(STARTED)

    assert heard == [STARTED]
    assert "a subscriber failed" in caplog.text
