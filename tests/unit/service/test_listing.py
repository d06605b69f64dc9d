"""Filters: choices inside a group, restrictions between groups."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio

from insula.service.requests import Filter
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
    rig.engine.end(UUID(int=14), CRASHED)
    await until(lambda: len(rig.domains.list(Filter.ACTIVE)) == 2)
    yield rig
    await rig.close()


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (Filter.ALL, "off up held dead"),
        (Filter.ACTIVE, "up held"),
        (Filter.INACTIVE, "off dead"),
        (Filter.ACTIVE | Filter.INACTIVE, "off up held dead"),
        (Filter.PERSISTENT, "off up"),
        (Filter.TRANSIENT, "held dead"),
        (Filter.RUNNING, "up"),
        (Filter.PAUSED, "held"),
        (Filter.SHUTOFF, "off"),
        (Filter.OTHER, "dead"),
        (Filter.RUNNING | Filter.PAUSED, "up held"),
        (Filter.AUTOSTART, "up"),
        (Filter.NO_AUTOSTART | Filter.PERSISTENT, "off"),
        (Filter.ACTIVE | Filter.TRANSIENT, "held"),
        (Filter.MANAGED_SAVE, ""),
        (Filter.NO_MANAGED_SAVE | Filter.NO_SNAPSHOT | Filter.NO_CHECKPOINT, "off up held dead"),
        (Filter.HAS_SNAPSHOT, ""),
        (Filter.HAS_CHECKPOINT | Filter.NO_CHECKPOINT, "off up held dead"),
    ],
)
async def test_a_filter_lets_through_what_every_group_allows(four: Rig, wanted: Filter, names: str) -> None:
    assert [each.name for each in four.domains.list(wanted)] == names.split()
