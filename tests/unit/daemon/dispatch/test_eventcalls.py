"""Registering for events through the calls that clients make."""

import asyncio
from typing import Any

import pytest

from insula.errors import InvalidArgumentError
from insula.rpc.procedures import Procedure, Remote
from insula.service.events import Events
from tests.unit.daemon.fakes import FakeClient, FakeDomains, answered, services_of

REGISTRATIONS = (
    (Remote.CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY, Remote.CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY, 28),
    (Remote.CONNECT_NETWORK_EVENT_REGISTER_ANY, Remote.CONNECT_NETWORK_EVENT_DEREGISTER_ANY, 1),
    (Remote.CONNECT_STORAGE_POOL_EVENT_REGISTER_ANY, Remote.CONNECT_STORAGE_POOL_EVENT_DEREGISTER_ANY, 2),
    (Remote.CONNECT_NODE_DEVICE_EVENT_REGISTER_ANY, Remote.CONNECT_NODE_DEVICE_EVENT_DEREGISTER_ANY, 2),
    (Remote.CONNECT_SECRET_EVENT_REGISTER_ANY, Remote.CONNECT_SECRET_EVENT_DEREGISTER_ANY, 2),
)


class Asker:
    """One client that asks several things in a row."""

    def __init__(self) -> None:
        async def make() -> FakeDomains:
            return FakeDomains(events=Events())

        self.services = services_of(asyncio.run(make()))
        self.client = FakeClient(self.services.events)

    def ask(self, procedure: Procedure, *arguments: Any) -> Any:
        return answered(self.services, procedure, *arguments, client=self.client)


@pytest.mark.parametrize(("register", "deregister", "count"), REGISTRATIONS, ids=str)
def test_every_kind_of_event_can_be_registered_for_and_forgotten(
    register: Procedure, deregister: Procedure, count: int
) -> None:
    asker = Asker()
    numbers = [asker.ask(register, event_id, None).callbackID for event_id in range(count)]
    assert len(set(numbers)) == count
    for number in numbers:
        asker.ask(deregister, number)
        with pytest.raises(InvalidArgumentError, match="not registered"):
            asker.ask(deregister, number)
    with pytest.raises(InvalidArgumentError, match="unsupported event ID"):
        asker.ask(register, 99, None)


def test_the_oldest_style_is_for_the_life_cycle_only() -> None:
    asker = Asker()
    assert asker.ask(Remote.CONNECT_DOMAIN_EVENT_REGISTER).cb_registered == 1
    assert asker.ask(Remote.CONNECT_DOMAIN_EVENT_DEREGISTER).cb_registered == 0
    asker.ask(Remote.CONNECT_DOMAIN_EVENT_REGISTER_ANY, 1)
    asker.ask(Remote.CONNECT_DOMAIN_EVENT_DEREGISTER_ANY, 1)
