"""Ends, restarts and definitions that come together: what is told agrees with what is."""

import asyncio
import threading
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest

from insula.service import lifecycle
from insula.service.rundirectory import RunDirectory
from insula.service.runrecord import Next, StopReason, ending
from insula.service.startoptions import Storage
from tests.unit.service.fakes import REBOOTED, WEB, Rig, domain_xml, until
from tests.unit.service.watching import defined, state, told
from tests.waiting import patience

pytestmark = pytest.mark.asyncio


async def test_a_guest_that_reboots_while_it_is_being_paused_is_told_to_go_on(rig: Rig) -> None:
    ref = await defined(rig)
    await rig.domains.start(ref)
    await rig.domains.suspend(ref)
    rig.end(WEB, REBOOTED)
    await until(lambda: "reboot" in told(rig))

    assert state(rig, ref) == ("running", "booted")
    assert told(rig) == ["started booted", "suspended paused", "resumed unpaused", "reboot"]


async def test_a_reboot_that_an_earlier_daemon_did_not_live_to_finish_is_a_stop_and_a_start(
    rig: Rig, tmp_path: Path
) -> None:
    ref = await defined(rig)
    await rig.domains.start(ref)
    rig.die()
    record = RunDirectory(rig.layout).load()[0].record
    RunDirectory(rig.layout).write(ending(record, StopReason.REBOOTED, status=REBOOTED, then=Next.RESTART))
    rig.end(WEB, REBOOTED)
    successor = rig.successor()
    await successor.domains.recover()

    assert told(successor) == ["stopped shutdown", "started booted"]
    await successor.close()


async def test_what_an_undefined_domain_had_is_taken_away_before_another_may_have_its_name(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = await defined(rig)
    await rig.domains.start(ref)
    await rig.domains.destroy(ref)
    discard, go = rig.preparation.discard, threading.Event()

    def slow(uuid: UUID) -> None:
        go.wait(patience(10))
        discard(uuid)

    monkeypatch.setattr(rig.preparation, "discard", slow)
    undefining = asyncio.create_task(rig.domains.undefine(ref, storage=Storage.DISCARD))
    await until(lambda: rig.domains.services.domains.by_uuid(WEB).lock.holder == "undefine")
    defining = asyncio.create_task(rig.domains.define(domain_xml()))
    await asyncio.sleep(0.05)
    go.set()
    await asyncio.gather(undefining, defining)
    await rig.domains.start(ref)

    assert rig.preparation.owns_storage(WEB)
    assert (rig.preparation.ids / str(WEB)).exists()
    assert told(rig)[-3:] == ["undefined removed", "defined added", "started booted"]


def _has_another_id(rig: Rig, before: int) -> bool:
    return rig.domains.lookup_by_uuid(WEB).id != before


async def test_a_domain_that_is_defined_while_it_waits_for_its_restart_is_started_all_the_same(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "DELAY_MAX", 0.2)
    monkeypatch.setattr(lifecycle, "REBOOTS_FREE", 1)
    ref = await rig.domains.create_xml(domain_xml())
    for _ in range(2):
        before = rig.domains.ref(ref).id
        rig.end(WEB, REBOOTED)
        await until(partial(_has_another_id, rig, before))
    await until(lambda: told(rig)[-1] == "stopped shutdown")
    await rig.domains.define(domain_xml())

    await until(lambda: rig.domains.is_active(ref))
    assert told(rig)[-2:] == ["defined added", "started booted"]
