"""Which domains there are and what they are: answers, and what a container never has."""

import asyncio
from typing import Any
from unittest.mock import patch

import pytest

from insula.errors import InvalidArgumentError
from insula.rpc.procedures import Procedure, Remote
from insula.rpc.wiretypes import DomainRef
from insula.service import describing
from insula.service.events import Events
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


def test_which_xml_is_dumped_follows_the_flags(domains: FakeDomains) -> None:
    with patch.object(describing, "xml", lambda domain, **wanted: f"{domain.name} {wanted}"):
        assert ask(domains, Remote.DOMAIN_GET_XML_DESC, DOM, 1).xml == "web {'inactive': False, 'secure': True}"
        assert ask(domains, Remote.DOMAIN_GET_XML_DESC, DOM, 2).xml == "web {'inactive': True, 'secure': False}"


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


def test_what_a_container_never_has_is_answered_honestly(domains: FakeDomains) -> None:
    assert ask(domains, Remote.DOMAIN_GET_OS_TYPE, DOM).type == "exe"
    assert ask(domains, Remote.DOMAIN_HAS_MANAGED_SAVE_IMAGE, DOM, 0).result == 0
    assert ask(domains, Remote.DOMAIN_GET_SECURITY_LABEL, DOM) == (b"\0", 0)
    assert ask(domains, Remote.DOMAIN_GET_SECURITY_LABEL_LIST, DOM) == ((), 0)


def test_nothing_is_under_way_where_no_verb_changes_the_domain(domains: FakeDomains) -> None:
    assert ask(domains, Remote.DOMAIN_GET_CONTROL_INFO, DOM, 0) == (0, 0, 0)


@pytest.mark.parametrize(("label", "enforced"), [("insula-guest-1", 1), ("unconfined", 0)])
def test_a_running_guests_label_is_told_alone_and_as_a_list_of_one(
    domains: FakeDomains, label: str, enforced: int
) -> None:
    with patch.object(describing, "security_label", lambda domain: label):
        told = (label.encode() + b"\0", enforced)
        assert ask(domains, Remote.DOMAIN_GET_SECURITY_LABEL, DOM) == told
        assert ask(domains, Remote.DOMAIN_GET_SECURITY_LABEL_LIST, DOM) == ((told,), 1)
