"""Attaching and detaching: the older calls mean the running domain, the newer ones what their flags say."""

import asyncio
from typing import Any

import pytest

from insula.errors import InvalidArgumentError
from insula.model.numbers import Affect
from insula.rpc.procedures import Procedure, Remote
from insula.rpc.wiretypes import DomainRef
from insula.service.events import Events
from tests.unit.daemon.fakes import WEB, FakeDomains, answered, services_of

DOM = DomainRef(WEB.name, WEB.uuid.bytes, -1)


@pytest.fixture
def domains() -> FakeDomains:
    async def make() -> FakeDomains:
        return FakeDomains(events=Events())

    return asyncio.run(make())


@pytest.mark.parametrize(
    ("procedure", "arguments", "called"),
    [
        (Remote.DOMAIN_ATTACH_DEVICE, (), ("attach", "web", "<x/>", Affect.LIVE)),
        (Remote.DOMAIN_DETACH_DEVICE, (), ("detach", "web", "<x/>", Affect.LIVE)),
        (Remote.DOMAIN_ATTACH_DEVICE_FLAGS, (2,), ("attach", "web", "<x/>", Affect.CONFIG)),
        (Remote.DOMAIN_DETACH_DEVICE_FLAGS, (3,), ("detach", "web", "<x/>", Affect.LIVE | Affect.CONFIG)),
        (Remote.DOMAIN_DETACH_DEVICE_FLAGS, (5,), ("detach", "web", "<x/>", Affect.LIVE, "by force")),
        (Remote.DOMAIN_DETACH_DEVICE_ALIAS, (3,), ("detach_alias", "web", "<x/>", Affect.LIVE | Affect.CONFIG)),
        (Remote.DOMAIN_DETACH_DEVICE_ALIAS, (4,), ("detach_alias", "web", "<x/>", Affect.CURRENT, "by force")),
        (Remote.DOMAIN_BLOCK_RESIZE, (4, 0), ("enlarge", "web", "<x/>", 4096)),
        (Remote.DOMAIN_BLOCK_RESIZE, (4, 1), ("enlarge", "web", "<x/>", 4)),
        (Remote.DOMAIN_UPDATE_DEVICE_FLAGS, (2 | 4,), ("update", "web", "<x/>", Affect.CONFIG)),
    ],
)
def test_a_device_goes_where_the_call_says(
    domains: FakeDomains, procedure: Procedure, arguments: tuple[int, ...], called: tuple[Any, ...]
) -> None:
    answered(services_of(domains), procedure, DOM, "<x/>", *arguments)
    assert domains.calls == [called]


def test_flags_that_mean_nothing_are_refused(domains: FakeDomains) -> None:
    with pytest.raises(InvalidArgumentError, match="virDomainAttachDeviceFlags"):
        answered(services_of(domains), Remote.DOMAIN_ATTACH_DEVICE_FLAGS, DOM, "<x/>", 8)
    assert domains.calls == []
