"""Limits: which verb each call means, and with which flags."""

import asyncio
from typing import Any

import pytest

from insula.errors import InvalidArgumentError
from insula.model.numbers import Affect, ParameterType
from insula.rpc.procedures import Procedure, Remote
from insula.rpc.wiretypes import DomainRef, TypedParameter
from insula.service.events import Events
from insula.service.parameters import Parameter
from tests.unit.daemon.fakes import WEB, FakeDomains, answered, parameter, services_of

DOM = DomainRef(WEB.name, WEB.uuid.bytes, -1)
LIVE, CONFIG, MAXIMUM = 1, 2, 4


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
        (Remote.DOMAIN_SET_MEMORY, (1024,), ("set_memory", "web", 1024, Affect.LIVE)),
        (Remote.DOMAIN_SET_MAX_MEMORY, (1024,), ("set_maximum_memory", "web", 1024, Affect.CURRENT)),
        (Remote.DOMAIN_SET_MEMORY_FLAGS, (1024, CONFIG), ("set_memory", "web", 1024, Affect.CONFIG)),
        (
            Remote.DOMAIN_SET_MEMORY_FLAGS,
            (1024, MAXIMUM | LIVE | CONFIG),
            ("set_maximum_memory", "web", 1024, Affect.LIVE | Affect.CONFIG),
        ),
    ],
)
def test_memory_is_set_where_the_call_says(
    domains: FakeDomains, procedure: Procedure, arguments: tuple[Any, ...], called: tuple[Any, ...]
) -> None:
    ask(domains, procedure, DOM, *arguments)
    assert domains.calls == [called]


def test_typed_parameters_reach_the_verb_with_name_kind_and_value(domains: FakeDomains) -> None:
    sent = (TypedParameter("hard_limit", ParameterType.ULLONG, 5), TypedParameter("x", ParameterType.STRING, "y"))
    ask(domains, Remote.DOMAIN_SET_MEMORY_PARAMETERS, DOM, sent, LIVE)
    assert domains.calls == [
        (
            "set memory parameters",
            "web",
            (Parameter("hard_limit", ParameterType.ULLONG, 5), Parameter("x", ParameterType.STRING, "y")),
            Affect.LIVE,
        )
    ]


def test_unknown_flags_of_a_setter_change_nothing(domains: FakeDomains) -> None:
    with pytest.raises(InvalidArgumentError, match="virDomainSetMemoryParameters"):
        ask(domains, Remote.DOMAIN_SET_MEMORY_PARAMETERS, DOM, (), 8)
    assert domains.calls == []


def test_texts_are_shown_only_to_clients_that_know_them(domains: FakeDomains) -> None:
    domains.values = [parameter("weight", 1), Parameter("devices", ParameterType.STRING, "x")]
    assert ask(domains, Remote.DOMAIN_GET_MEMORY_PARAMETERS, DOM, 0, 0).nparams == 1
    assert ask(domains, Remote.DOMAIN_GET_MEMORY_PARAMETERS, DOM, 0, 4).nparams == 2
