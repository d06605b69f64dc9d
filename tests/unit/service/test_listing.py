"""Filters: choices inside a group, restrictions between groups."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio

from insula.model.numbers import ListDomains
from tests.unit.service.fakes import CRASHED, Rig, domain_xml, until

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def four(tmp_path: Path) -> AsyncIterator[Rig]:
    """off: defined; up: defined, autostart, running; held: transient, paused; dead: preserved after its crash."""
    rig = Rig(tmp_path)
    await rig.domains.recover()
    await rig.domains.define(domain_xml("off", UUID(int=11)))
    up = await rig.domains.define(domain_xml("up", UUID(int=12)))
    await rig.domains.set_autostart(up, True)
    await rig.domains.start(up)
    await rig.domains.create_xml(domain_xml("held", UUID(int=13)), paused=True)
    await rig.domains.create_xml(domain_xml("dead", UUID(int=14), "<on_crash>preserve</on_crash>"))
    rig.end(UUID(int=14), CRASHED)
    await until(lambda: len(rig.domains.list(ListDomains.ACTIVE)) == 2)
    yield rig
    await rig.close()


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (ListDomains.ALL, "off up held dead"),
        (ListDomains.ACTIVE, "up held"),
        (ListDomains.INACTIVE, "off dead"),
        (ListDomains.ACTIVE | ListDomains.INACTIVE, "off up held dead"),
        (ListDomains.PERSISTENT, "off up"),
        (ListDomains.TRANSIENT, "held dead"),
        (ListDomains.RUNNING, "up"),
        (ListDomains.PAUSED, "held"),
        (ListDomains.SHUTOFF, "off"),
        (ListDomains.OTHER, "dead"),
        (ListDomains.RUNNING | ListDomains.PAUSED, "up held"),
        (ListDomains.AUTOSTART, "up"),
        (ListDomains.NO_AUTOSTART | ListDomains.PERSISTENT, "off"),
        (ListDomains.ACTIVE | ListDomains.TRANSIENT, "held"),
        (ListDomains.MANAGED_SAVE, ""),
        (ListDomains.NO_MANAGED_SAVE | ListDomains.NO_SNAPSHOT | ListDomains.NO_CHECKPOINT, "off up held dead"),
        (ListDomains.HAS_SNAPSHOT, ""),
        (ListDomains.HAS_CHECKPOINT | ListDomains.NO_CHECKPOINT, "off up held dead"),
    ],
)
async def test_a_filter_lets_through_what_every_group_allows(four: Rig, wanted: ListDomains, names: str) -> None:
    assert [each.name for each in four.domains.list(wanted)] == names.split()
