"""Domains' calls: what their flags mean to the verbs, and what has no words of its own."""

import asyncio
from typing import Any

import pytest

from insula.errors import DomainNotFoundError, InvalidArgumentError
from insula.rpc.procedures import Procedure, Remote
from insula.rpc.types import DomainRef
from insula.service.events import Events
from insula.service.requests import ShutdownMode, Storage
from tests.unit.daemon.fakes import WEB, FakeDomains, answered, services_of

DOM = DomainRef(WEB.name, WEB.uuid.bytes, -1)
NOBODY = DomainRef("nobody", bytes(16), -1)


@pytest.fixture
def domains() -> FakeDomains:
    async def make() -> FakeDomains:
        return FakeDomains(events=Events())

    return asyncio.run(make())


def ask(domains: FakeDomains, procedure: Procedure, *arguments: Any) -> Any:
    return answered(services_of(domains), procedure, *arguments)


@pytest.mark.parametrize(
    ("flags", "storage"),
    [(0, Storage.KEEP), (1 | 2 | 16, Storage.KEEP), (4, Storage.DISCARD), (4 | 1, Storage.DISCARD)],
)
def test_undefine_takes_the_clone_along_only_when_asked(domains: FakeDomains, flags: int, storage: Storage) -> None:
    ask(domains, Remote.DOMAIN_UNDEFINE_FLAGS, DOM, flags)
    assert domains.calls == [("undefine", "web", storage)]


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


def test_which_xml_is_dumped_follows_the_flags(domains: FakeDomains) -> None:
    assert "False True" in ask(domains, Remote.DOMAIN_GET_XML_DESC, DOM, 1).xml
    assert "True False" in ask(domains, Remote.DOMAIN_GET_XML_DESC, DOM, 2).xml


def test_old_style_lists_have_names_and_ids(domains: FakeDomains) -> None:
    ask(domains, Remote.DOMAIN_CREATE, DOM)
    assert ask(domains, Remote.CONNECT_NUM_OF_DOMAINS).num == 1
    assert ask(domains, Remote.CONNECT_LIST_DOMAINS, 10).ids == (101,)
    assert ask(domains, Remote.CONNECT_LIST_DOMAINS, 0).ids == ()
    assert ask(domains, Remote.CONNECT_NUM_OF_DEFINED_DOMAINS).num == 1
    assert ask(domains, Remote.CONNECT_LIST_DEFINED_DOMAINS, 10).names == ("mail",)
    assert ask(domains, Remote.DOMAIN_LOOKUP_BY_ID, 101).dom.name == "web"


def test_metadata_of_a_kind_nobody_knows_is_refused(domains: FakeDomains) -> None:
    assert ask(domains, Remote.DOMAIN_GET_METADATA, DOM, 2, "urn:x", 2).metadata.startswith("web ELEMENT urn:x")
    with pytest.raises(InvalidArgumentError, match="unknown metadata type 9"):
        ask(domains, Remote.DOMAIN_GET_METADATA, DOM, 9, None, 0)


def test_there_is_never_a_job_but_the_domain_must_be_there(domains: FakeDomains) -> None:
    assert set(ask(domains, Remote.DOMAIN_GET_JOB_INFO, DOM)) == {0}
    assert ask(domains, Remote.DOMAIN_GET_JOB_STATS, DOM, 0) == (0, ())
    with pytest.raises(DomainNotFoundError):
        ask(domains, Remote.DOMAIN_GET_JOB_INFO, NOBODY)
