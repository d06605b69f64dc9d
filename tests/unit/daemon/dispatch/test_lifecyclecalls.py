"""The life of domains: what the calls' flags mean to the verbs."""

import asyncio
from typing import Any

import pytest

from insula.errors import InvalidArgumentError
from insula.model.numbers import ShutdownMode
from insula.rpc.procedures import Insula, Procedure, Remote
from insula.rpc.wiretypes import DomainRef
from insula.service.events import Events
from insula.service.startoptions import Storage
from tests.unit.daemon.fakes import WEB, FakeDomains, answered, services_of

DOM = DomainRef(WEB.name, WEB.uuid.bytes, -1)


@pytest.fixture
def domains() -> FakeDomains:
    async def make() -> FakeDomains:
        return FakeDomains(events=Events())

    return asyncio.run(make())


def ask(domains: FakeDomains, procedure: Procedure, *arguments: Any) -> Any:
    return answered(services_of(domains), procedure, *arguments)


@pytest.mark.parametrize("flags", [0, 1 | 2 | 16, 4, 4 | 1, 8, 32, 64])
def test_undefine_never_takes_the_clone_along_whatever_is_asked_by_habit(domains: FakeDomains, flags: int) -> None:
    ask(domains, Remote.DOMAIN_UNDEFINE_FLAGS, DOM, flags)
    assert domains.calls == [("undefine", "web", Storage.KEEP)]


@pytest.mark.parametrize(("flags", "words"), [(4 | 8, "'NVRAM' and 'KEEP_NVRAM'"), (32 | 64, "'TPM' and 'KEEP_TPM'")])
def test_flags_that_say_the_opposite_of_each_other_are_refused(domains: FakeDomains, flags: int, words: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"{words} in function 'virDomainUndefineFlags' are mutually excl"):
        ask(domains, Remote.DOMAIN_UNDEFINE_FLAGS, DOM, flags)
    assert domains.calls == []


def test_our_own_verb_takes_the_clone_along(domains: FakeDomains) -> None:
    ask(domains, Insula.DOMAIN_REMOVE, DOM, 0)
    assert domains.calls == [("undefine", "web", Storage.DISCARD)]


@pytest.mark.parametrize(("flags", "paused", "owned"), [(0, False, False), (1, True, False), (2 | 8, False, True)])
def test_start_passes_on_paused_and_autodestroy(domains: FakeDomains, flags: int, paused: bool, owned: bool) -> None:
    assert ask(domains, Remote.DOMAIN_CREATE_WITH_FLAGS, DOM, flags).dom.id > 0
    assert domains.calls == [("start", "web", paused, owned, [])]


def test_a_graceful_destroy_is_refused_because_it_would_not_be_one(domains: FakeDomains) -> None:
    with pytest.raises(InvalidArgumentError, match="virDomainDestroyFlags"):
        ask(domains, Remote.DOMAIN_DESTROY_FLAGS, DOM, 1)


def test_shutdown_modes_are_passed_on(domains: FakeDomains) -> None:
    ask(domains, Remote.DOMAIN_SHUTDOWN_FLAGS, DOM, 4 | 8)
    assert domains.calls == [("shutdown", "web", ShutdownMode.INITCTL | ShutdownMode.SIGNAL)]
