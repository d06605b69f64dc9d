"""What could not be taken away is tried again, and in the way of nobody but its own domain's start."""

import asyncio
import errno
from pathlib import Path

import pytest

from insula.engine.exitstatus import ExitStatus
from insula.engine.launch.runningcontainer import Running
from insula.errors import OperationFailedError
from insula.service import leftovers
from insula.service.leftovers import Leftovers
from insula.service.rundirectory import RunDirectory
from insula.service.runrecord import Next, RunPhase, StopReason, ending
from tests.unit.service.fakes import CRASHED, MAIL, POWERED_OFF, REBOOTED, WEB, Rig, domain_xml, until
from tests.unit.service.watching import after_launches

pytestmark = pytest.mark.asyncio
EXHAUSTED = OSError(errno.EMFILE, "Too many open files")
BUSY = OSError(errno.EBUSY, "Device or resource busy")
REMOVE = "remove group"


def _removals(rig: Rig) -> int:
    """How often a group was to be removed."""
    return len([each for each in rig.changes if each.startswith(REMOVE)])


async def test_it_is_tried_until_it_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "PAUSES", (0.0, 0.001))
    left, failures = Leftovers(), [EXHAUSTED, EXHAUSTED]

    async def work() -> None:
        if failures:
            raise failures.pop()

    left.clear(WEB, "web", work)
    assert WEB in left
    await until(lambda: WEB not in left)
    assert failures == []


async def test_who_waits_hurries_it_and_is_told_why_it_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "PAUSES", (0.0, 3600.0))
    left, failing = Leftovers(), asyncio.Event()
    failing.set()

    async def work() -> None:
        if failing.is_set():
            raise EXHAUSTED

    left.clear(WEB, "web", work, soon=False)
    with pytest.raises(OperationFailedError, match=r"of domain 'web' cannot be removed yet: .*Too many open files"):
        await left.settle(WEB, 0.2)
    failing.clear()
    await left.settle(WEB, 5)
    assert WEB not in left
    await left.settle(MAIL)
    await left.close()


async def test_a_start_whose_undo_fails_leaves_its_record_and_is_undone_later(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "PAUSES", (0.0, 3600.0))
    ref = await rig.domains.define(domain_xml())

    def exhausted() -> None:
        rig.refusals[REMOVE] = BUSY
        raise EXHAUSTED

    with after_launches(rig, exhausted), pytest.raises(OSError, match="Too many open files"):
        await rig.domains.start(ref)
    assert not rig.domains.is_active(ref)
    assert len(RunDirectory(rig.layout).load()) == 1
    assert len(rig.host.groups) == 1

    del rig.refusals[REMOVE]
    await rig.domains.start(ref)
    assert rig.domains.is_active(ref)
    await rig.domains.destroy(ref)
    assert list(rig.layout.running.iterdir()) == []


async def test_a_group_that_stays_behind_after_a_destroy_keeps_its_record_and_goes_later(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "PAUSES", (0.0, 0.001))
    ref = await rig.domains.start(await rig.domains.define(domain_xml()))
    rig.refusals[REMOVE] = BUSY
    await rig.domains.destroy(ref)
    assert not rig.domains.is_active(ref)
    assert [each.record.phase for each in RunDirectory(rig.layout).load()] == [RunPhase.ENDING]
    tries = _removals(rig)
    await until(lambda: _removals(rig) > tries + 1)

    del rig.refusals[REMOVE]
    await until(lambda: list(rig.layout.running.iterdir()) == [])


async def test_a_start_waits_for_what_the_end_before_it_left(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "PAUSES", (0.0, 3600.0))
    ref = await rig.domains.start(await rig.domains.define(domain_xml()))
    rig.refusals[REMOVE] = BUSY
    rig.end(WEB, POWERED_OFF)
    await until(lambda: not rig.domains.is_active(ref))
    assert len(RunDirectory(rig.layout).load()) == 1

    del rig.refusals[REMOVE]
    await rig.domains.start(ref)
    assert rig.domains.is_active(ref)
    await rig.domains.destroy(ref)
    assert list(rig.layout.running.iterdir()) == []


async def test_what_a_transient_domain_was_to_take_along_goes_after_its_group(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "PAUSES", (0.0, 0.001))
    ref = await rig.domains.create_xml(domain_xml())
    rig.refusals[REMOVE] = BUSY
    await rig.domains.destroy(ref)
    assert rig.preparation.owns_storage(WEB)

    del rig.refusals[REMOVE]
    await until(lambda: list(rig.layout.running.iterdir()) == [])
    assert not rig.preparation.owns_storage(WEB)


async def test_a_kept_run_of_which_something_stays_behind_is_forgotten_once_neither_is(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "PAUSES", (0.0, 0.001))
    xml = domain_xml(more="<on_crash>preserve</on_crash>")
    ref = await rig.domains.start(await rig.domains.define(xml))
    rig.refusals[REMOVE] = BUSY
    rig.end(WEB, CRASHED)
    await until(lambda: not rig.domains.is_active(ref))
    await rig.domains.destroy(ref)
    assert len(RunDirectory(rig.layout).load()) == 1

    del rig.refusals[REMOVE]
    await until(lambda: list(rig.layout.running.iterdir()) == [])


async def test_the_next_daemon_goes_on_taking_away_what_a_destroy_left(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "PAUSES", (0.0, 3600.0))
    ref = await rig.domains.start(await rig.domains.define(domain_xml()))
    rig.refusals[REMOVE] = BUSY
    await rig.domains.destroy(ref)
    await rig.domains.close()

    successor = rig.successor()
    await successor.domains.recover()
    assert not successor.domains.is_active(ref)
    assert successor.host.groups == {}
    await until(lambda: list(rig.layout.running.iterdir()) == [])


async def test_a_restart_that_the_next_daemon_owes_is_made_though_something_was_left_at_first(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "PAUSES", (0.0, 3600.0))
    ref = await rig.domains.start(await rig.domains.define(domain_xml()))
    rig.die()  # the daemon dies
    rig.end(WEB, REBOOTED)
    directory = RunDirectory(rig.layout)
    (kept,) = directory.load()
    directory.write(ending(kept.record, StopReason.REBOOTED, then=Next.RESTART))

    successor = rig.successor()
    release, failures = successor.engine.teardown.release, [OperationFailedError("its group stays behind")]

    async def fail_once(running: Running, status: ExitStatus) -> None:
        if failures:
            raise failures.pop()
        await release(running, status)

    monkeypatch.setattr(successor.engine.teardown, "release", fail_once)
    await successor.domains.recover()
    await until(lambda: successor.domains.is_active(ref))
    assert failures == []
    await successor.close()
