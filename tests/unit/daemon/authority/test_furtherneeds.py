"""What else is asked about a call: others that a domain comes to depend on, its new name, what gets another name."""

from dataclasses import replace
from typing import Any, cast
from uuid import UUID

import pytest

from insula.daemon.authority.furtherneeds import FURTHER, further_needs
from insula.daemon.dispatch.table import HANDLERS
from insula.daemon.incomingcall import Services
from insula.model.domain import DomainDefinition
from insula.model.numbers import MetadataType
from insula.model.xmlnamespaces import INSULA_NAMESPACE
from insula.rpc.arrivals import Call
from insula.rpc.procedures import Insula, Procedure, Remote
from insula.rpc.wiretypes import DomainRef
from insula.service.events import Events
from tests.unit.daemon.fakes import MAIL, WEB, FakeDomains, services_of

pytestmark = pytest.mark.asyncio

DOM = DomainRef(WEB.name, WEB.uuid.bytes, -1)
GONE = DomainRef("gone", UUID(int=9).bytes, -1)
ELEMENT = "<domain{}>{}</domain>"


class Reads:
    async def read(self, xml: str) -> DomainDefinition:
        return DomainDefinition.load(xml)


def document(*needs: str, name: str = "web", uuid: UUID = WEB.uuid) -> str:
    settings = "".join(f"<insula:depends-on domain='{each}'/>" for each in needs)
    own = f"<metadata><insula:domain xmlns:insula='{INSULA_NAMESPACE}'>{settings}</insula:domain></metadata>"
    names = f"<name>{name}</name><uuid>{uuid}</uuid>"
    return f"<domain type='lxc'>{names}{own}<memory>65536</memory><os><type>exe</type></os></domain>"


def services(*needs: str) -> Services:
    """Two domains, of which `web` depends on others already."""
    there = FakeDomains(events=Events())
    if needs:
        there.registry.by_name("web").define(DomainDefinition.load(document(*needs)))
    return replace(services_of(there), incoming=cast("Any", Reads()))


async def asked(row: Procedure, *arguments: Any, there: Services | None = None) -> list[str]:
    found = await further_needs(Call(row, 1, arguments, ()), there or services())
    return [f"{each.permission} {each.about.name}" for each in found]


async def test_whoever_lets_a_domain_depend_on_another_must_be_allowed_to_start_that() -> None:
    assert await asked(Remote.DOMAIN_DEFINE_XML, document("mail", "mail")) == ["domain:start mail"]
    assert await asked(Remote.DOMAIN_DEFINE_XML_FLAGS, document("mail"), 1) == ["domain:start mail"]
    found = await further_needs(Call(Remote.DOMAIN_DEFINE_XML, 1, (document("mail"),), ()), services())
    assert dict(found[0].about.details)["domain_uuid"] == str(MAIL.uuid)


async def test_also_one_that_is_not_there_yet() -> None:
    found = await further_needs(Call(Remote.DOMAIN_DEFINE_XML, 1, (document("later"),), ()), services())
    assert [dict(each.about.details) for each in found] == [{"connect_driver": "LXC", "domain_name": "later"}]


async def test_what_a_definition_said_before_is_not_asked_about_again() -> None:
    assert await asked(Remote.DOMAIN_DEFINE_XML, document("mail"), there=services("mail")) == []
    assert await asked(Remote.DOMAIN_DEFINE_XML, document("mail", "db"), there=services("mail")) == ["domain:start db"]


async def test_metadata_of_ours_is_asked_about_as_a_definition_is() -> None:
    needs = f"<domain xmlns='{INSULA_NAMESPACE}'><depends-on domain='mail'/></domain>"
    arguments = (MetadataType.ELEMENT, needs, "insula", INSULA_NAMESPACE, 2)
    assert await asked(Remote.DOMAIN_SET_METADATA, DOM, *arguments) == ["domain:start mail"]
    assert await asked(Remote.DOMAIN_SET_METADATA, GONE, *arguments) == []
    assert await asked(Remote.DOMAIN_SET_METADATA, DOM, MetadataType.TITLE, "t", None, None, 2) == []
    gone = (MetadataType.ELEMENT, None, "insula", INSULA_NAMESPACE, 2)
    assert await asked(Remote.DOMAIN_SET_METADATA, DOM, *gone, there=services("mail")) == []


async def test_a_new_name_needs_what_a_definition_of_that_name_does() -> None:
    assert await asked(Remote.DOMAIN_RENAME, DOM, "db", 0) == ["domain:write db", "domain:save db"]
    assert await asked(Remote.DOMAIN_RENAME, DOM, None, 0) == await asked(Remote.DOMAIN_RENAME, GONE, "db", 0) == []


async def test_another_name_of_an_image_needs_the_image_to_be_read() -> None:
    assert await asked(Insula.IMAGE_TAG, "debian", "mine", 0) == ["storage_vol:read debian"]


async def test_of_other_calls_nothing_else_is_asked() -> None:
    assert await asked(Remote.DOMAIN_CREATE, DOM) == []
    assert set(FURTHER) <= set(HANDLERS)
