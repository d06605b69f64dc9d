"""The insides of domains: signals, addresses, consoles that are asked for, and what is refused."""

import asyncio

import pytest

from insula.errors import InvalidArgumentError, OperationInvalidError
from insula.rpc.procedures import Lxc, Remote
from insula.rpc.wiretypes import DomainRef
from insula.service.events import Events
from tests.unit.daemon.fakes import WEB, FakeDomains, answered, services_of

DOM = DomainRef(WEB.name, WEB.uuid.bytes, -1)


@pytest.fixture
def domains() -> FakeDomains:
    async def make() -> FakeDomains:
        return FakeDomains(events=Events())

    return asyncio.run(make())


def test_a_signal_reaches_the_verb_with_pid_and_number(domains: FakeDomains) -> None:
    answered(services_of(domains), Remote.DOMAIN_SEND_PROCESS_SIGNAL, DOM, 7, 15, 0)
    assert domains.calls == [("send_signal", "web", 7, 15)]


def test_a_source_of_addresses_that_nobody_knows_is_refused(domains: FakeDomains) -> None:
    with pytest.raises(InvalidArgumentError, match="unknown source 9"):
        answered(services_of(domains), Remote.DOMAIN_INTERFACE_ADDRESSES, DOM, 9, 0)


def test_a_console_of_a_domain_that_is_off_is_refused(domains: FakeDomains) -> None:
    with pytest.raises(OperationInvalidError, match="not running"):
        answered(services_of(domains), Remote.DOMAIN_OPEN_CONSOLE, DOM, None, 0)


def test_namespaces_take_no_flags(domains: FakeDomains) -> None:
    with pytest.raises(InvalidArgumentError, match="virDomainLxcOpenNamespace"):
        answered(services_of(domains), Lxc.DOMAIN_OPEN_NAMESPACE, DOM, 1)
