"""Ports of networks over the wire: cards of running guests."""

from uuid import UUID

import pytest

from insula.errorcodes import ErrorCode, ErrorDomain
from insula.model.numbers import ParameterType
from insula.rpc.procedures import Remote
from insula.rpc.wiretypes import NetworkPortRef, TypedParameter
from tests.unit.daemon.dispatch.test_networkcalls import CARD, REF, Client, client
from tests.unit.service.fakes import WEB, domain_xml
from tests.unit.service.networksofrig import network_xml

__all__ = ["client"]
pytestmark = pytest.mark.asyncio


async def test_ports_are_listed_and_looked_up(client: Client) -> None:
    await client.ask(Remote.NETWORK_CREATE_XML, network_xml())
    web = await client.rig.domains.define(domain_xml().replace("<devices>", f"<devices>{CARD}"))
    await client.rig.domains.start(web)
    ports, count = await client.ask(Remote.NETWORK_LIST_ALL_PORTS, REF, 1, 0)
    assert count == len(ports) == 1
    assert (await client.ask(Remote.NETWORK_PORT_LOOKUP_BY_UUID, REF, ports[0].uuid)).port == ports[0]
    assert ports[0].net == REF
    shown = (await client.ask(Remote.NETWORK_PORT_GET_XML_DESC, ports[0], 0)).xml
    assert "<name>web</name>" in shown
    assert "<plug type='network' bridge='virbr0'/>" in shown
    assert (await client.refused(Remote.NETWORK_PORT_GET_XML_DESC, NetworkPortRef(REF, WEB.bytes), 0))[:2] == (
        ErrorCode.NO_NETWORK_PORT,
        ErrorDomain.NETWORK,
    )
    assert (await client.refused(Remote.NETWORK_PORT_LOOKUP_BY_UUID, REF, WEB.bytes))[:2] == (
        ErrorCode.NO_NETWORK_PORT,
        ErrorDomain.NETWORK,
    )


async def test_what_a_port_is_limited_to_is_asked_for_and_changed(client: Client) -> None:
    await client.ask(Remote.NETWORK_CREATE_XML, network_xml())
    limited = CARD.replace("</interface>", "<bandwidth><outbound average='500'/></bandwidth></interface>")
    web = await client.rig.domains.define(domain_xml().replace("<devices>", f"<devices>{limited}"))
    await client.rig.domains.start(web)
    (port,), _ = await client.ask(Remote.NETWORK_LIST_ALL_PORTS, REF, 1, 0)
    params, count = await client.ask(Remote.NETWORK_PORT_GET_PARAMETERS, port, 898503072, 0)
    assert count == len(params) == 7
    assert {each.field: each.value for each in params if each.value} == {"outbound.average": 500}
    wrong = TypedParameter("outbound.floor", ParameterType.UINT, 500)
    code, domain, text = await client.refused(Remote.NETWORK_PORT_SET_PARAMETERS, port, (wrong,), 0)
    assert (code, domain) == (ErrorCode.ARGUMENT_UNSUPPORTED, ErrorDomain.NETWORK)
    assert "'outbound.floor' not supported" in text


async def test_a_port_cannot_be_made_from_outside(client: Client) -> None:
    await client.ask(Remote.NETWORK_CREATE_XML, network_xml())
    assert (await client.refused(Remote.NETWORK_PORT_CREATE_XML, REF, "<networkport/>", 0))[0] is ErrorCode.NO_SUPPORT
    port = NetworkPortRef(REF, UUID(int=1).bytes)
    assert (await client.refused(Remote.NETWORK_PORT_DELETE, port, 0))[0] is ErrorCode.NO_SUPPORT
