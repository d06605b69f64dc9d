"""Networks by our own calls: one overview of all, facts of one, and a definition that is offered."""

import json

import pytest

from insula.errorcodes import ErrorCode
from insula.rpc.procedures import Insula, Remote
from tests.unit.daemon.dispatch.test_networkcalls import CARD, REF, Client, client
from tests.unit.service.fakes import domain_xml
from tests.unit.service.networksofrig import WAN, network_xml

__all__ = ["client"]

pytestmark = pytest.mark.asyncio


async def test_all_networks_are_told_with_their_guests(client: Client) -> None:
    await client.ask(Remote.NETWORK_CREATE_XML, network_xml())
    await client.ask(Remote.NETWORK_DEFINE_XML, network_xml("wan", WAN))
    web = await client.rig.domains.define(domain_xml().replace("<devices>", f"<devices>{CARD}"))
    await client.rig.domains.start(web)
    told = json.loads((await client.ask(Insula.NETWORK_LIST, 0)).networks)
    assert [(each["name"], each["active"], each["guests"]) for each in told] == [
        ("lan", True, ["web"]),
        ("wan", False, []),
    ]
    assert len(json.loads((await client.ask(Insula.NETWORK_LIST, 1)).networks)) == 1
    assert (await client.refused(Insula.NETWORK_LIST, 64))[0] is ErrorCode.INVALID_ARG
    assert json.loads((await client.ask(Insula.NETWORK_INFO, REF, 0)).info) == told[0]


async def test_an_offered_network_is_not_there(client: Client) -> None:
    xml = (await client.ask(Insula.NETWORK_OFFER, "new", '{"subnet": "10.77.0.0/24", "ipv6": false}', 0)).xml
    assert "<name>new</name>" in xml
    assert "10.77.0.1" in xml
    assert (await client.refused(Remote.NETWORK_LOOKUP_BY_NAME, "new"))[0] is ErrorCode.NO_NETWORK
    assert (await client.refused(Insula.NETWORK_OFFER, "new", "[]", 0))[0] is ErrorCode.INVALID_ARG
