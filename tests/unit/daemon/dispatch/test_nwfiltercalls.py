"""Network filters by libvirt's calls: the numbers and texts of libvirt that clients branch on."""

from collections.abc import AsyncIterator
from inspect import isawaitable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from insula.daemon.dispatch.table import answer
from insula.daemon.incomingcall import IncomingCall
from insula.errorcodes import ErrorCode, ErrorDomain
from insula.errors import InsulaError
from insula.model.builtinfilters import NAMES
from insula.rpc.arrivals import Call
from insula.rpc.procedures import Procedure, Remote
from insula.rpc.wiretypes import FilterBindingRef, FilterRef
from tests.unit.daemon.fakes import FakeClient
from tests.unit.service.fakes import Rig, domain_xml

pytestmark = pytest.mark.asyncio

UUID = "11111111-2222-3333-4444-555555555555"
XML = f"<filter name='mine'><uuid>{UUID}</uuid><rule action='drop' direction='in'/></filter>"
CARD = (
    "<interface type='bridge'><mac address='52:54:00:00:00:05'/><source bridge='br0'/><target dev='web0'/>"
    "<filterref filter='clean-traffic'/></interface>"
)


class FilterClient:
    """Calls as they come over the wire."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.connection = FakeClient(rig.events)

    async def ask(self, procedure: Procedure, *arguments: Any) -> Any:
        row = procedure.arguments
        call = Call(procedure, 1, row.unpack(row.pack(arguments)), ())
        given = answer(IncomingCall(call=call, client=self.connection, services=self.rig.domains.services))
        values = await given if isawaitable(given) else given
        return procedure.results.unpack(procedure.results.pack(values or ()))

    async def refused(self, procedure: Procedure, *arguments: Any) -> tuple[ErrorCode, ErrorDomain, str]:
        with pytest.raises(InsulaError) as caught:
            await self.ask(procedure, *arguments)
        return caught.value.code, caught.value.domain, caught.value.message


@pytest_asyncio.fixture
async def client(tmp_path: Path) -> AsyncIterator[FilterClient]:
    rig = Rig(tmp_path)
    await rig.domains.recover()
    yield FilterClient(rig)
    await rig.close()


async def test_filters_are_counted_listed_and_found_by_name_and_uuid(client: FilterClient) -> None:
    assert (await client.ask(Remote.CONNECT_NUM_OF_NWFILTERS)).num == len(NAMES)
    assert list((await client.ask(Remote.CONNECT_LIST_NWFILTERS, 2)).names) == ["allow-arp", "allow-dhcp"]
    listed = await client.ask(Remote.CONNECT_LIST_ALL_NWFILTERS, 1, 0)
    assert [each.name for each in listed.filters] == list(NAMES)
    assert listed.ret == len(NAMES)
    found = (await client.ask(Remote.NWFILTER_LOOKUP_BY_NAME, "clean-traffic")).nwfilter
    assert (await client.ask(Remote.NWFILTER_LOOKUP_BY_UUID, found.uuid)).nwfilter == found
    assert "<filterref filter='no-mac-spoofing'/>" in (await client.ask(Remote.NWFILTER_GET_XML_DESC, found, 0)).xml


async def test_a_filter_is_defined_shown_and_undefined(client: FilterClient) -> None:
    for procedure, more in ((Remote.NWFILTER_DEFINE_XML, ()), (Remote.NWFILTER_DEFINE_XML_FLAGS, (0,))):
        defined = (await client.ask(procedure, XML, *more)).nwfilter
        assert defined.name == "mine"
        assert UUID in (await client.ask(Remote.NWFILTER_GET_XML_DESC, defined, 0)).xml
        await client.ask(Remote.NWFILTER_UNDEFINE, defined)
        code, domain, text = await client.refused(Remote.NWFILTER_GET_XML_DESC, defined, 0)
        assert (code, domain) == (ErrorCode.NO_NWFILTER, ErrorDomain.NWFILTER)
        assert text.startswith("Network filter not found: no nwfilter with matching uuid")


async def test_what_is_refused_has_libvirts_number_and_part(client: FilterClient) -> None:
    assert (await client.refused(Remote.NWFILTER_LOOKUP_BY_NAME, "none"))[:2] == (
        ErrorCode.NO_NWFILTER,
        ErrorDomain.NWFILTER,
    )
    assert (await client.refused(Remote.NWFILTER_DEFINE_XML, "<filter/>"))[:2] == (
        ErrorCode.XML_ERROR,
        ErrorDomain.NWFILTER,
    )
    built_in = (await client.ask(Remote.NWFILTER_LOOKUP_BY_NAME, "allow-arp")).nwfilter
    assert (await client.refused(Remote.NWFILTER_UNDEFINE, built_in))[:2] == (
        ErrorCode.OPERATION_INVALID,
        ErrorDomain.NWFILTER,
    )
    nobody = FilterRef("nobody", bytes(16))
    assert (await client.refused(Remote.NWFILTER_UNDEFINE, nobody))[0] is ErrorCode.NO_NWFILTER


async def test_bindings_are_listed_found_by_port_and_shown(client: FilterClient) -> None:
    domains = client.rig.domains
    await domains.start(await domains.define(domain_xml().replace("<devices>", f"<devices>{CARD}")))
    binding = FilterBindingRef("web0", "clean-traffic")
    listed = await client.ask(Remote.CONNECT_LIST_ALL_NWFILTER_BINDINGS, 1, 0)
    assert (list(listed.bindings), listed.ret) == ([binding], 1)
    assert (await client.ask(Remote.NWFILTER_BINDING_LOOKUP_BY_PORT_DEV, "web0")).nwfilter == binding
    assert "<portdev name='web0'/>" in (await client.ask(Remote.NWFILTER_BINDING_GET_XML_DESC, binding, 0)).xml
    refused = await client.refused(Remote.NWFILTER_BINDING_LOOKUP_BY_PORT_DEV, "web1")
    assert refused[:2] == (ErrorCode.NO_NWFILTER_BINDING, ErrorDomain.NWFILTER)
