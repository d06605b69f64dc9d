"""Virtual processors: which verb each call means, and with which flags."""

import asyncio
from typing import Any

import pytest

from insula.errors import InvalidArgumentError
from insula.model.numbers import Affect
from insula.model.sizes import CpuSet
from insula.rpc.procedures import Procedure, Remote
from insula.rpc.wiretypes import DomainRef
from insula.service.events import Events
from tests.unit.daemon.fakes import WEB, FakeDomains, answered, services_of

DOM = DomainRef(WEB.name, WEB.uuid.bytes, -1)
LIVE, CONFIG, MAXIMUM, GUEST, HOTPLUGGABLE = 1, 2, 4, 8, 16


@pytest.fixture
def domains() -> FakeDomains:
    async def make() -> FakeDomains:
        return FakeDomains(events=Events())

    return asyncio.run(make())


def ask(domains: FakeDomains, procedure: Procedure, *arguments: Any) -> Any:
    return answered(services_of(domains), procedure, *arguments)


@pytest.mark.parametrize(
    ("procedure", "arguments", "called"),
    [
        (Remote.DOMAIN_SET_VCPUS, (2,), ("set_count", "web", 2, Affect.LIVE)),
        (Remote.DOMAIN_SET_VCPUS_FLAGS, (2, 0), ("set_count", "web", 2, Affect.CURRENT)),
        (Remote.DOMAIN_SET_VCPUS_FLAGS, (2, CONFIG | HOTPLUGGABLE), ("set_count", "web", 2, Affect.CONFIG)),
        (Remote.DOMAIN_SET_VCPUS_FLAGS, (2, GUEST), ("set_count", "web", 2, Affect.LIVE)),
        (Remote.DOMAIN_SET_VCPUS_FLAGS, (2, CONFIG | MAXIMUM), ("set_maximum", "web", 2, Affect.CONFIG)),
        (Remote.DOMAIN_SET_VCPU, ("1-2", 0, LIVE), ("enable", "web", {1, 2}, Affect.LIVE, False)),
        (Remote.DOMAIN_SET_GUEST_VCPUS, ("1", 1, 0), ("enable", "web", {1}, Affect.LIVE, True)),
        (Remote.DOMAIN_PIN_VCPU, (1, b"\x05"), ("pin", "web", 1, CpuSet({0, 2}), Affect.LIVE)),
        (Remote.DOMAIN_PIN_VCPU_FLAGS, (1, b"\0\x01", CONFIG), ("pin", "web", 1, CpuSet({8}), Affect.CONFIG)),
        (Remote.DOMAIN_PIN_EMULATOR, (b"\x02", 0), ("pin_emulator", "web", CpuSet({1}), Affect.CURRENT)),
    ],
)
def test_a_call_means_a_verb_with_what_it_affects(
    domains: FakeDomains, procedure: Procedure, arguments: tuple[Any, ...], called: tuple[Any, ...]
) -> None:
    ask(domains, procedure, DOM, *arguments)
    assert domains.calls == [called]


@pytest.mark.parametrize(
    ("procedure", "arguments", "told"),
    [
        (Remote.DOMAIN_SET_VCPUS_FLAGS, (2, GUEST | CONFIG), "VIR_DOMAIN_AFFECT_CONFIG' and 'VIR_DOMAIN_VCPU_GUEST'"),
        (Remote.DOMAIN_GET_VCPUS_FLAGS, (GUEST | MAXIMUM,), "VIR_DOMAIN_VCPU_MAXIMUM' and 'VIR_DOMAIN_VCPU_GUEST'"),
        (Remote.DOMAIN_SET_VCPUS_FLAGS, (2, 64), "unsupported flags"),
        (Remote.DOMAIN_SET_VCPU, ("x", 1, 0), "'x' is no list of vcpus"),
        (Remote.DOMAIN_SET_VCPU, ("1", 2, 0), "a vcpu's state is 0 or 1"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_changed(
    domains: FakeDomains, procedure: Procedure, arguments: tuple[Any, ...], told: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=told):
        ask(domains, procedure, DOM, *arguments)
    assert domains.calls == []
