"""A daemon that ends before it has taken everything over, and one that finds nothing to write down."""

import asyncio
from pathlib import Path
from uuid import UUID

import pytest

from insula.engine.launch.runningcontainer import ContainerRecord, Running
from insula.model.numbers import ListDomains
from insula.service import recovery
from insula.service.rundirectory import RECORD
from tests.unit.service.fakes import WEB, Rig, domain_xml, until

pytestmark = pytest.mark.asyncio


async def test_a_daemon_that_ends_early_leaves_to_the_next_one_whom_nobody_waits_for(rig: Rig, tmp_path: Path) -> None:
    uuids = [UUID(int=number + 1) for number in range(recovery.ABREAST * 2)]
    for uuid in uuids:
        await rig.domains.create_xml(domain_xml(f"d{uuid.int}", uuid))
    rig.die()
    successor = rig.successor()
    recover, let_go, asked = successor.engine.succession.recover, asyncio.Event(), list[str]()

    async def wait(record: ContainerRecord) -> Running | None:
        asked.append(record.spec.uuid)
        await let_go.wait()
        return await recover(record)

    successor.engine.succession.recover = wait  # type: ignore[method-assign]
    await successor.domains.take_stock()
    destroying = asyncio.create_task(successor.domains.destroy(successor.domains.lookup_by_uuid(uuids[-1])))
    await until(lambda: len(asked) == recovery.ABREAST)
    closing = asyncio.create_task(successor.close())
    await asyncio.sleep(0)
    let_go.set()
    await destroying
    await closing
    assert set(asked) == {str(each) for each in (*uuids[: recovery.ABREAST], uuids[-1])}

    successor.die()
    last = rig.successor()
    await last.domains.recover()
    assert {each.uuid for each in last.domains.list(ListDomains.ACTIVE)} == set(uuids[:-1])
    await last.close()


async def test_taking_over_what_has_not_changed_writes_nothing(rig: Rig, tmp_path: Path) -> None:
    await rig.domains.start(await rig.domains.define(domain_xml()))
    rig.die()
    path = rig.layout.running / str(WEB) / RECORD
    # Whatever another version would write differently (here: white space) is no reason to write.
    path.write_text(path.read_text() + " ")
    before = path.stat().st_ino, path.read_text()
    successor = rig.successor()
    await successor.domains.recover()
    assert successor.domains.list(ListDomains.ACTIVE)
    assert (path.stat().st_ino, path.read_text()) == before
    await successor.close()
