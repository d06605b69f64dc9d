"""A daemon killed or ended at any instant leaves what its successor can take over, whole and with nothing left."""

import asyncio
import errno
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from insula.daemon.wiring import Patience
from insula.engine.exitstatus import ExitStatus
from insula.engine.launch.runningcontainer import Running
from insula.kernel.durable import replace_file
from insula.service import rundirectory
from insula.service.rundirectory import RunDirectory
from insula.service.runrecord import RunPhase, RunRecord, StopReason
from tests import hosts
from tests.unit.service.fakes import CRASHED, WEB, Rig, domain_xml, until
from tests.unit.service.watching import hold_launches, state, told

STRIDE = 1 if hosts.full() else 5
"""From one change that is met to the next: each of them is a daemon's whole life."""


@pytest.mark.timeout(1200)
def test_a_daemon_killed_before_any_change_to_the_file_system_is_succeeded_without_loss(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.service.killing", str(tmp_path), str(STRIDE)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 140, "the life has become too short to prove anything"


@pytest.fixture
def hasty(tmp_path: Path) -> Rig:
    """A daemon that waits for nothing at its end."""
    return Rig(tmp_path, Patience(end=0.01))


def record_of_web(rig: Rig) -> RunRecord:
    return RunDirectory(rig.layout).load()[0].record


@pytest.mark.asyncio
async def test_a_destroy_cut_short_by_the_daemons_end_is_concluded_by_the_next(hasty: Rig, tmp_path: Path) -> None:
    ref = await hasty.domains.define(domain_xml(more="<on_crash>restart</on_crash>"))
    await hasty.domains.start(ref)
    begun = asyncio.Event()

    async def destroy(running: Running) -> ExitStatus:
        begun.set()
        await asyncio.sleep(3600)
        raise AssertionError

    hasty.engine.teardown.destroy = destroy  # type: ignore[method-assign]
    destroying = asyncio.create_task(hasty.domains.destroy(ref))
    await begun.wait()
    destroying.cancel()
    await hasty.domains.close()
    await asyncio.gather(destroying, return_exceptions=True)

    record = record_of_web(hasty)
    assert (record.phase, record.reason) == (RunPhase.ENDING, StopReason.DESTROYED)
    successor = hasty.successor()
    await successor.domains.recover()
    assert not successor.domains.is_active(ref)
    assert successor.guests() == []
    await successor.close()
    hasty.engine.close()


@pytest.mark.asyncio
async def test_a_start_cut_short_by_the_daemons_end_is_undone_by_the_next(hasty: Rig, tmp_path: Path) -> None:
    ref = await hasty.domains.define(domain_xml())
    launch = hasty.engine.launch

    async def slow(*arguments: Any, **options: Any) -> Running:
        await launch(*arguments, **options)
        await asyncio.sleep(3600)
        raise AssertionError

    hasty.engine.launch = slow  # type: ignore[method-assign]
    starting = asyncio.create_task(hasty.domains.start(ref))
    await until(hasty.guests)
    starting.cancel()
    await hasty.domains.close()
    await asyncio.gather(starting, return_exceptions=True)

    assert record_of_web(hasty).phase is RunPhase.STARTING
    successor = hasty.successor()
    await successor.domains.recover()
    assert not successor.domains.is_active(ref)
    assert successor.guests() == []
    await successor.close()
    hasty.engine.close()


@pytest.mark.asyncio
async def test_the_daemons_end_waits_for_a_start_whose_client_has_gone(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())
    go = hold_launches(rig)
    starting = asyncio.create_task(rig.domains.start(ref))
    await until(lambda: rig.domains.holder(ref) == "start")
    starting.cancel()
    closing = asyncio.create_task(rig.domains.close())
    await asyncio.sleep(0)
    go.set()
    await closing

    assert rig.domains.is_active(ref)
    assert rig.guests() == [WEB]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("more", "events", "after"),
    [
        ("", ["stopped crashed"], ("shutoff", "crashed")),
        ("<on_crash>preserve</on_crash>", ["stopped crashed"], ("crashed", "panicked")),
        ("<on_crash>restart</on_crash>", ["stopped crashed", "started booted"], ("running", "booted")),
    ],
)
async def test_an_end_that_cannot_be_written_down_happens_all_the_same(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, more: str, events: list[str], after: tuple[str, str]
) -> None:
    ref = await rig.domains.define(domain_xml(more=more))
    await rig.domains.start(ref)
    rig.told.clear()
    write, full = replace_file, [OSError(errno.ENOSPC, "No space left on device")]

    def refuse_once(*arguments: Any) -> None:
        if full:
            raise full.pop()
        write(*arguments)

    monkeypatch.setattr(rundirectory, "replace_file", refuse_once)
    rig.end(WEB, CRASHED)
    await until(lambda: len(rig.told) >= len(events) and rig.domains.holder(ref) is None)

    assert told(rig) == events
    assert state(rig, ref) == after
