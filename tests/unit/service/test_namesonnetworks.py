"""Networks know the names of the guests that run on them, and of no others."""

import asyncio
from collections.abc import Callable

import pytest

from insula.network.virtual.networkrecord import GuestName
from insula.service import namesonnetworks
from insula.service.events import DomainIdentity
from tests.unit.service.fakes import Rig, domain_xml, until
from tests.unit.service.networksofrig import LAN, started, verbs_of

pytestmark = pytest.mark.asyncio

CARD = """<interface type='network'><source network='lan'/><mac address='52:54:00:00:00:07'/>
  <ip address='10.9.0.7' prefix='24'/></interface>"""


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namesonnetworks, "_QUIET", 0.0)


def names(rig: Rig) -> tuple[GuestName, ...] | None:
    return rig.performer.named.get(str(LAN))


def known(rig: Rig, *expected: GuestName) -> Callable[[], bool]:
    return lambda: names(rig) == expected


async def begun(rig: Rig) -> DomainIdentity:
    """Return a running guest with a card in the network."""
    web = await rig.domains.define(domain_xml().replace("<devices>", f"<devices>{CARD}"))
    await rig.domains.start(web)
    return web


WEB_THERE = GuestName(name="web", mac="52:54:00:00:00:07", addresses=("10.9.0.7",))


async def test_a_guest_is_known_while_it_runs(rig: Rig) -> None:
    await started(rig)
    web = await begun(rig)
    await until(known(rig, WEB_THERE))
    await rig.domains.destroy(web)
    await until(known(rig))


async def test_a_network_that_starts_later_is_told_of_those_that_run(rig: Rig) -> None:
    lan = await started(rig)
    await begun(rig)
    await until(known(rig, WEB_THERE))
    await verbs_of(rig).destroy(lan)
    rig.performer.named.clear()
    await verbs_of(rig).start(lan)
    await until(known(rig, WEB_THERE))


async def test_what_cannot_be_told_holds_nobody_up(rig: Rig) -> None:
    await started(rig)
    rig.performer.refusals["name_guests"] = "its disk is full"
    await begun(rig)
    await asyncio.sleep(0.05)
    assert names(rig) is None
