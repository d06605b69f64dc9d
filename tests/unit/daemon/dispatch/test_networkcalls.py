"""Networks by libvirt's calls: the numbers, texts and parts of libvirt that clients branch on."""

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
from insula.network.virtual.networkrecord import Lease
from insula.rpc.arrivals import Call
from insula.rpc.procedures import Procedure, Remote
from insula.rpc.wiretypes import NetworkRef
from tests.unit.daemon.fakes import FakeClient
from tests.unit.service.fakes import Rig, domain_xml
from tests.unit.service.networksofrig import LAN, WAN, network_xml

pytestmark = pytest.mark.asyncio

REF = NetworkRef("lan", LAN.bytes)
MAC = "52:54:00:00:00:01"
CARD = f"<interface type='network'><mac address='{MAC}'/><source network='lan'/></interface>"


class Client:
    """Calls as they come over the wire. sent: the messages that were sent unasked."""

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
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    rig = Rig(tmp_path)
    await rig.domains.recover()
    yield Client(rig)
    await rig.close()


async def test_a_network_is_defined_started_shown_stopped_and_undefined(client: Client) -> None:
    assert (await client.ask(Remote.NETWORK_DEFINE_XML, network_xml())).net == REF
    assert (await client.ask(Remote.NETWORK_IS_ACTIVE, REF)).active == 0
    await client.ask(Remote.NETWORK_CREATE, REF)
    assert (await client.ask(Remote.NETWORK_IS_ACTIVE, REF)).active == 1
    assert (await client.ask(Remote.NETWORK_IS_PERSISTENT, REF)).persistent == 1
    assert (await client.ask(Remote.NETWORK_GET_BRIDGE_NAME, REF)).name == "virbr0"
    assert "<bridge name='virbr0'" in (await client.ask(Remote.NETWORK_GET_XML_DESC, REF, 0)).xml
    await client.ask(Remote.NETWORK_DESTROY, REF)
    await client.ask(Remote.NETWORK_UNDEFINE, REF)
    assert await client.refused(Remote.NETWORK_IS_ACTIVE, REF) == (
        ErrorCode.NO_NETWORK,
        ErrorDomain.NETWORK,
        f"Network not found: no network with matching uuid '{LAN}'",
    )


async def test_networks_are_listed_in_every_way_that_libvirt_has(client: Client) -> None:
    await client.ask(Remote.NETWORK_DEFINE_XML_FLAGS, network_xml(), 0)
    await client.ask(Remote.NETWORK_CREATE_XML, network_xml("wan", WAN))
    active, inactive = NetworkRef("wan", WAN.bytes), REF
    assert tuple(await client.ask(Remote.CONNECT_LIST_ALL_NETWORKS, 1, 2)) == ((active,), 1)
    assert tuple(await client.ask(Remote.CONNECT_LIST_ALL_NETWORKS, 1, 1)) == ((inactive,), 1)
    assert tuple(await client.ask(Remote.CONNECT_LIST_ALL_NETWORKS, 0, 0)) == ((), 2)
    assert tuple((await client.ask(Remote.CONNECT_LIST_NETWORKS, 10)).names) == ("wan",)
    assert tuple((await client.ask(Remote.CONNECT_LIST_DEFINED_NETWORKS, 10)).names) == ("lan",)
    assert (await client.ask(Remote.CONNECT_NUM_OF_NETWORKS)).num == 1
    assert (await client.ask(Remote.CONNECT_NUM_OF_DEFINED_NETWORKS)).num == 1
    assert (await client.ask(Remote.NETWORK_LOOKUP_BY_NAME, "wan")).net == active
    assert (await client.ask(Remote.NETWORK_LOOKUP_BY_UUID, LAN.bytes)).net == inactive
    assert (await client.refused(Remote.CONNECT_LIST_ALL_NETWORKS, 1, 64))[0] is ErrorCode.INVALID_ARG


async def test_what_its_state_does_not_allow_is_told_as_libvirts_network_driver_does(client: Client) -> None:
    await client.ask(Remote.NETWORK_DEFINE_XML, network_xml())
    invalid = ErrorCode.OPERATION_INVALID, ErrorDomain.NETWORK
    prefix = "Requested operation is not valid: "
    assert await client.refused(Remote.NETWORK_DESTROY, REF) == (*invalid, f"{prefix}network 'lan' is not active")
    await client.ask(Remote.NETWORK_CREATE, REF)
    assert await client.refused(Remote.NETWORK_CREATE, REF) == (*invalid, f"{prefix}network is already active")
    await client.ask(Remote.NETWORK_UNDEFINE, REF)
    assert await client.refused(Remote.NETWORK_UNDEFINE, REF) == (
        *invalid,
        f"{prefix}can't undefine transient network",
    )
    assert await client.refused(Remote.NETWORK_SET_AUTOSTART, REF, 1) == (
        *invalid,
        f"{prefix}cannot set autostart for transient network",
    )
    assert (await client.refused(Remote.NETWORK_LOOKUP_BY_NAME, "no"))[:2] == (
        ErrorCode.NO_NETWORK,
        ErrorDomain.NETWORK,
    )


async def test_what_fails_on_the_host_comes_from_networks_too(client: Client) -> None:
    await client.ask(Remote.NETWORK_DEFINE_XML, network_xml())
    client.rig.performer.refusals["start"] = "no bridge can be made"
    assert await client.refused(Remote.NETWORK_CREATE, REF) == (
        ErrorCode.OPERATION_FAILED,
        ErrorDomain.NETWORK,
        "operation failed: network 'lan': no bridge can be made",
    )


async def test_what_is_defined_and_what_is_live_are_told_apart(client: Client) -> None:
    await client.ask(Remote.NETWORK_DEFINE_XML, network_xml())
    await client.ask(Remote.NETWORK_CREATE, REF)
    web = await client.rig.domains.define(domain_xml().replace("<devices>", f"<devices>{CARD}"))
    await client.rig.domains.start(web)
    assert "connections='1'" in (await client.ask(Remote.NETWORK_GET_XML_DESC, REF, 0)).xml
    assert "connections" not in (await client.ask(Remote.NETWORK_GET_XML_DESC, REF, 1)).xml
    assert (await client.refused(Remote.NETWORK_GET_XML_DESC, REF, 2))[0] is ErrorCode.INVALID_ARG


async def test_a_network_without_a_bridge_has_no_name_of_one(client: Client) -> None:
    forward = "<forward mode='private' dev='eth9'/>"
    await client.ask(Remote.NETWORK_DEFINE_XML, network_xml(more=forward))
    code, domain, text = await client.refused(Remote.NETWORK_GET_BRIDGE_NAME, REF)
    assert (code, domain) == (ErrorCode.INTERNAL_ERROR, ErrorDomain.NETWORK)
    assert text == "internal error: network 'lan' does not have a bridge name."


async def test_autostart_is_set_and_told(client: Client) -> None:
    await client.ask(Remote.NETWORK_DEFINE_XML, network_xml())
    assert (await client.ask(Remote.NETWORK_GET_AUTOSTART, REF)).autostart == 0
    await client.ask(Remote.NETWORK_SET_AUTOSTART, REF, 1)
    assert (await client.ask(Remote.NETWORK_GET_AUTOSTART, REF)).autostart == 1


async def test_leases_are_told_with_all_that_is_known(client: Client) -> None:
    await client.ask(Remote.NETWORK_CREATE_XML_FLAGS, network_xml(), 0)
    client.rig.performer.given[str(LAN)] = (
        Lease(address="10.9.0.5", prefix=24, version=4, expiry=99, mac=MAC, hostname="web", client="01:52"),
        Lease(address="fd00::5", prefix=64, version=6, expiry=0, iaid="1", client="00:01"),
    )
    first, second = (await client.ask(Remote.NETWORK_GET_DHCP_LEASES, REF, None, 1, 0)).leases
    assert tuple(first) == ("virbr0", 99, 0, MAC, None, "10.9.0.5", 24, "web", "01:52")
    assert tuple(second) == ("virbr0", 0, 1, None, "1", "fd00::5", 64, None, "00:01")
    assert tuple(await client.ask(Remote.NETWORK_GET_DHCP_LEASES, REF, MAC, 0, 0)) == ((), 1)


async def test_metadata_is_kept_and_told(client: Client) -> None:
    await client.ask(Remote.NETWORK_DEFINE_XML, network_xml())
    missing = await client.refused(Remote.NETWORK_GET_METADATA, REF, 0, None, 0)
    assert missing == (
        ErrorCode.NO_NETWORK_METADATA,
        ErrorDomain.NETWORK,
        "metadata not found: Requested metadata element is not present",
    )
    await client.ask(Remote.NETWORK_SET_METADATA, REF, 0, "of the shop", None, None, 0)
    assert (await client.ask(Remote.NETWORK_GET_METADATA, REF, 0, None, 2)).metadata == "of the shop"
    assert (await client.refused(Remote.NETWORK_GET_METADATA, REF, 0, None, 1))[0] is ErrorCode.OPERATION_INVALID
    assert (await client.refused(Remote.NETWORK_GET_METADATA, REF, 0, None, 3))[0] is ErrorCode.INVALID_ARG
    assert (await client.refused(Remote.NETWORK_SET_METADATA, REF, 9, "x", None, None, 0))[0] is ErrorCode.INVALID_ARG


async def test_xml_that_cannot_be_is_refused_with_the_line(client: Client) -> None:
    code, domain, text = await client.refused(
        Remote.NETWORK_DEFINE_XML, "<network>\n<name>lan</name><uuid>x</uuid></network>"
    )
    assert (code, domain) == (ErrorCode.XML_ERROR, ErrorDomain.NETWORK)
    assert "line 2" in text
