"""What lists tell of a network."""

import pytest

from insula.service.networkoverview import network_overview
from tests.unit.service.fakes import Rig
from tests.unit.service.networksofrig import LAN, network, started, verbs_of

pytestmark = pytest.mark.asyncio


async def test_an_active_network_is_told_with_its_bridge_and_since_when(rig: Rig) -> None:
    told = network_overview(await started(rig), ())
    assert told["begun"] > 1_500_000_000_000_000_000
    assert {**told, "begun": 0} == {
        "name": "lan",
        "uuid": str(LAN),
        "active": True,
        "persistent": True,
        "autostart": False,
        "mode": "none",
        "bridge": "virbr0",
        "subnets": ["10.9.0.0/24"],
        "title": None,
        "guests": [],
        "begun": 0,
        "notices": [],
    }


async def test_one_that_is_off_has_no_beginning(rig: Rig) -> None:
    told = network_overview(await verbs_of(rig).define(network(more="<title>of the shop</title>")), ())
    assert (told["begun"], told["title"], told["subnets"]) == (None, "of the shop", [])
