"""A guest that ends too soon again and again is given time, which the next daemon knows of."""

import asyncio
import json
import time
from typing import Any

import pytest

from insula.service import lifecycle
from insula.service.describing import described
from insula.service.runrecord import RunRecord, StopReason
from tests.unit.service.fakes import CRASHED, REBOOTED, WEB, Rig, domain_xml, until
from tests.waiting import patience

pytestmark = pytest.mark.asyncio


@pytest.fixture(autouse=True)
def long_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    """No restart is due in a test."""
    monkeypatch.setattr(lifecycle, "DELAY_FIRST", 7200.0)
    monkeypatch.setattr(lifecycle, "DELAY_MAX", 7200.0)


async def test_when_a_guest_is_tried_again_is_told_and_outlives_the_daemon(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml(more="<on_crash>restart</on_crash>"))
    await rig.domains.start(ref)
    managed = rig.domains.of(ref)
    assert described(managed)["restart_at"] is None
    rig.end(WEB, CRASHED)
    await until(lambda: rig.launches() == 2 and managed.is_active)
    rig.end(WEB, CRASHED)
    await until(lambda: managed.ended_record is not None and managed.ended_record.due)
    kept = managed.ended_record
    assert kept is not None and described(managed)["restart_at"] == int(kept.due * 1_000_000_000)
    assert kept.restarts == 2

    await rig.domains.services.lifecycle.close(1)
    file = rig.layout.running / str(WEB) / "record.json"
    record = json.loads(file.read_text())
    assert RunRecord.from_json(json.dumps(record)).due == kept.due
    later = time.time() + 3600
    file.write_text(json.dumps({**record, "due": later}))
    successor = rig.successor()
    await successor.domains.recover()

    found = successor.domains.of(ref)
    await until(lambda: found.restart is not None)
    assert not found.is_active and successor.launches() == 0
    assert described(found)["restart_at"] == int(later * 1_000_000_000)

    await successor.domains.start(ref)
    assert found.is_active and described(found)["restart_at"] is None
    await successor.close()


async def test_a_restart_whose_time_has_come_while_no_daemon_was_there_is_made_at_once(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml(more="<on_crash>restart</on_crash>"))
    await rig.domains.start(ref)
    managed = rig.domains.of(ref)
    rig.end(WEB, CRASHED)
    await until(lambda: rig.launches() == 2 and managed.is_active)
    rig.end(WEB, CRASHED)
    await until(lambda: managed.ended_record is not None and managed.ended_record.due)
    await rig.domains.services.lifecycle.close(1)
    file = rig.layout.running / str(WEB) / "record.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "due": 1.0}))
    successor = rig.successor()
    await successor.domains.recover()
    await until(lambda: successor.domains.of(ref).is_active)
    await successor.close()


async def test_a_restart_is_not_put_off_by_a_clock_that_was_set_back(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = await rig.domains.define(domain_xml(more="<on_crash>restart</on_crash>"))
    await rig.domains.start(ref)
    managed = rig.domains.of(ref)
    rig.end(WEB, CRASHED)
    await until(lambda: rig.launches() == 2 and managed.is_active)
    rig.end(WEB, CRASHED)
    await until(lambda: managed.ended_record is not None and managed.ended_record.due)
    await rig.domains.services.lifecycle.close(1)
    file = rig.layout.running / str(WEB) / "record.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "due": time.time() + 86400}))
    monkeypatch.setattr(lifecycle, "DELAY_MAX", 0.05)
    successor = rig.successor()
    await successor.domains.recover()
    await until(lambda: successor.domains.of(ref).is_active)
    await successor.close()


async def test_a_restart_that_fails_in_an_unknown_way_is_told_to_whoever_waits(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    managed = rig.domains.of(await rig.domains.create_xml(domain_xml(more="<on_reboot>restart</on_reboot>")))
    waiting = asyncio.create_task(rig.domains.services.lifecycle.wait(managed))

    async def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("nobody thought of that")

    monkeypatch.setattr(rig.engine, "launch", fail)
    await asyncio.sleep(0)
    rig.end(WEB, REBOOTED)
    assert (await asyncio.wait_for(waiting, patience(5))).reason is StopReason.FAILED
    assert managed.gone and not managed.is_active
