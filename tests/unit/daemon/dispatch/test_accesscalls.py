"""Who may log in: which verb each call means."""

import asyncio
from typing import Any

import pytest

from insula.errors import InvalidArgumentError
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


def _ask(domains: FakeDomains, procedure: Procedure, *arguments: Any) -> Any:
    return answered(services_of(domains), procedure, DOM, *arguments)


@pytest.mark.parametrize(
    ("procedure", "arguments", "called"),
    [
        (Remote.DOMAIN_SET_USER_PASSWORD, ("root", "x", 0), ("set_password", "web", "root", "x", False)),
        (Remote.DOMAIN_SET_USER_PASSWORD, ("root", "$6$", 1), ("set_password", "web", "root", "$6$", True)),
        (Remote.DOMAIN_AUTHORIZED_SSH_KEYS_SET, ("root", ["k"], 0), ("set_keys", "web", "root", ("k",), False, False)),
        (Remote.DOMAIN_AUTHORIZED_SSH_KEYS_SET, ("root", ["k"], 1), ("set_keys", "web", "root", ("k",), True, False)),
        (Remote.DOMAIN_AUTHORIZED_SSH_KEYS_SET, ("root", ["k"], 2), ("set_keys", "web", "root", ("k",), False, True)),
    ],
)
def test_a_call_is_the_verb_with_what_its_flags_say(
    domains: FakeDomains, procedure: Procedure, arguments: tuple[Any, ...], called: tuple[Any, ...]
) -> None:
    _ask(domains, procedure, *arguments)
    assert domains.calls == [called]


def test_keys_are_told(domains: FakeDomains) -> None:
    assert list(_ask(domains, Remote.DOMAIN_AUTHORIZED_SSH_KEYS_GET, "root", 0)) == [("ssh-rsa AAAA of root",)]


@pytest.mark.parametrize(
    ("procedure", "arguments"),
    [
        (Remote.DOMAIN_SET_USER_PASSWORD, (None, "x", 0)),
        (Remote.DOMAIN_SET_USER_PASSWORD, ("root", None, 0)),
        (Remote.DOMAIN_SET_USER_PASSWORD, ("root", "x", 2)),
        (Remote.DOMAIN_AUTHORIZED_SSH_KEYS_GET, ("root", 1)),
        (Remote.DOMAIN_AUTHORIZED_SSH_KEYS_SET, ("root", [], 4)),
    ],
)
def test_what_cannot_be_meant_is_refused(
    domains: FakeDomains, procedure: Procedure, arguments: tuple[Any, ...]
) -> None:
    with pytest.raises(InvalidArgumentError):
        _ask(domains, procedure, *arguments)
    assert domains.calls == []
