"""What calls are about: every call that needs a permission on something there is says on what."""

from dataclasses import replace
from typing import Any, cast
from uuid import UUID

import pytest

from insula.daemon.authority.accessobjects import CONNECTION, AccessObject, finder_of, network_object, object_of
from insula.daemon.dispatch.table import HANDLERS
from insula.daemon.incomingcall import Services
from insula.model.domain import DomainDefinition
from insula.model.network import load_network
from insula.rpc.arrivals import Call
from insula.rpc.permissions import needs
from insula.rpc.procedures import Procedure, Remote
from insula.rpc.wiretypes import DomainRef
from insula.service.events import Events
from tests.unit.daemon.fakes import WEB, FakeDomains, services_of

pytestmark = pytest.mark.asyncio

NONE_HERE = {"storage_pool", "storage_vol", "secret", "node_device", "interface"}
"""Kinds of which this daemon has nothing: whoever asks for one is told so, if he may ask at all."""


@pytest.mark.parametrize("row", [each for each in HANDLERS if not each.is_event], ids=lambda row: row.name)
async def test_every_answered_call_says_what_it_is_about(row: Procedure) -> None:
    kinds = {each.permission.object for each in needs(row.permissions_notation)} - {"connect"} - NONE_HERE
    for kind in kinds:
        assert finder_of(row, kind) is not None, f"{row}: nothing finds the {kind} it is about"


async def found(row: Procedure, *arguments: Any, kind: str = "domain") -> AccessObject | None:
    services = services_of(FakeDomains(events=Events()))
    values = row.arguments.unpack(row.arguments.pack(arguments))
    return await object_of(Call(row, 1, values, ()), kind, services)


async def test_a_domain_is_told_by_what_we_know_and_not_by_what_the_client_says() -> None:
    lying = DomainRef("mail", WEB.uuid.bytes, -1)
    about = await found(Remote.DOMAIN_CREATE, lying)
    assert about is not None and str(about) == "domain 'web'"
    assert dict(about.details) == {"connect_driver": "LXC", "domain_name": "web", "domain_uuid": str(WEB.uuid)}


async def test_lookups_find_the_same_domain() -> None:
    by_name = await found(Remote.DOMAIN_LOOKUP_BY_NAME, "web")
    assert by_name == await found(Remote.DOMAIN_LOOKUP_BY_UUID, WEB.uuid.bytes) and by_name is not None


async def test_what_is_not_there_is_nothing_to_protect() -> None:
    assert await found(Remote.DOMAIN_LOOKUP_BY_NAME, "nobody") is None
    assert await found(Remote.DOMAIN_LOOKUP_BY_ID, 4711) is None
    assert await found(Remote.DOMAIN_CREATE, DomainRef("web", UUID(int=9).bytes, -1)) is None


async def test_the_connection_is_the_same_whatever_is_called() -> None:
    assert await found(Remote.CONNECT_GET_HOSTNAME, kind="connect") is CONNECTION
    assert str(CONNECTION) == "the connection" and dict(CONNECTION.details) == {"connect_driver": "LXC"}


async def test_of_a_kind_that_there_is_nothing_of_the_driver_alone_is_told() -> None:
    about = await found(Remote.STORAGE_POOL_LOOKUP_BY_NAME, "default", kind="storage_pool")
    assert about == AccessObject(kind="storage_pool") and str(about) == "a storage pool"


async def test_a_network_without_a_uuid_has_only_a_name() -> None:
    assert dict(network_object("lan", None).details) == {"connect_driver": "LXC", "network_name": "lan"}


OS = "<memory>65536</memory><os><type>exe</type></os>"
NEW = {
    Remote.DOMAIN_DEFINE_XML: ("domain", f"<domain type='lxc'><name>new</name>{{}}{OS}</domain>"),
    Remote.NETWORK_DEFINE_XML: ("network", "<network><name>new</name>{}</network>"),
    Remote.NWFILTER_DEFINE_XML: ("nwfilter", "<filter name='new'>{}</filter>"),
}


class Reads:
    """Stands for the services that read documents of domains and networks."""

    def __init__(self, load: Any) -> None:
        self.read = self._read
        self._load = load

    async def _read(self, xml: str) -> Any:
        return self._load(xml)


def _reading() -> Services:
    there = services_of(FakeDomains(events=Events()))
    return replace(
        there,
        incoming=cast("Any", Reads(DomainDefinition.load)),
        incoming_networks=cast("Any", Reads(load_network)),
    )


@pytest.mark.parametrize("row", NEW, ids=lambda row: row.name)
async def test_what_is_described_without_a_uuid_has_none_yet_and_is_the_same_at_each_look(row: Procedure) -> None:
    kind, document = NEW[row]
    call = Call(row, 1, (document.format(""),), ())
    first, second = [await object_of(call, kind, _reading()) for _ in range(2)]
    assert first is not None and first == second
    assert dict(first.details) == {"connect_driver": "LXC", f"{kind}_name": "new"}


@pytest.mark.parametrize("row", NEW, ids=lambda row: row.name)
async def test_what_is_described_with_a_uuid_is_told_with_it(row: Procedure) -> None:
    kind, document = NEW[row]
    uuid = f"<uuid>{WEB.uuid.hex}</uuid>"
    about = await object_of(Call(row, 1, (document.format(uuid),), ()), kind, _reading())
    assert about is not None and dict(about.details)[f"{kind}_uuid"] == str(WEB.uuid)
