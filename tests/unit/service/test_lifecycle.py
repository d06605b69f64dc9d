"""Domains start, pause, end, and start again, and everybody is told in the right words."""

import asyncio
import errno
import logging
import os
import shutil
import signal
from functools import partial
from typing import Any

import pytest

from insula.engine.exitstatus import ExitStatus
from insula.engine.keeper.protocol import Verb
from insula.engine.launch.holdings import Remains
from insula.engine.launch.runningcontainer import Running
from insula.engine.spec import ContainerSpec
from insula.errors import (
    DomainNotFoundError,
    KeeperError,
    OperationFailedError,
    OperationInvalidError,
    OperationTimeoutError,
    StepError,
    UnsupportedConfigError,
)
from insula.model.domainstates import (
    DomainState,
    LifecycleKind,
    PausedReason,
    RunningReason,
    ShutoffReason,
    StartedDetail,
    StateWithReason,
)
from insula.service import lifecycle, rundirectory
from insula.service.events import LifecycleEvent
from tests.unit.service.fakes import CRASHED, EXITED, MAIL, POWERED_OFF, REBOOTED, WEB, Rig, domain_xml, until
from tests.unit.service.watching import after_launches, defined, launched, state, told

pytestmark = pytest.mark.asyncio


async def test_a_started_domain_runs_under_an_id_and_is_told_of(rig: Rig) -> None:
    ref = await defined(rig)
    assert ref.id == -1

    started = await rig.domains.start(ref)

    assert started.id > 0
    assert rig.domains.lookup_by_id(started.id) == started
    assert state(rig, ref) == ("running", "booted")
    assert rig.told == [LifecycleEvent(domain=started, kind=LifecycleKind.STARTED, detail=StartedDetail.BOOTED)]


async def test_one_that_is_killed_and_takes_its_time_was_destroyed_whatever_follows_a_crash(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = await rig.domains.start(await rig.domains.define(domain_xml(more="<on_crash>restart</on_crash>")))

    async def slow(container: Running) -> ExitStatus:
        raise OperationTimeoutError(f"{container.name} is killed and has not ended yet")

    monkeypatch.setattr(rig.engine.teardown, "destroy", slow)
    with pytest.raises(OperationTimeoutError, match="has not ended yet"):
        await rig.domains.destroy(ref)
    assert state(rig, ref) == ("running", "booted")
    rig.end(WEB, signal.SIGKILL)
    await until(lambda: not rig.domains.is_active(ref))
    assert state(rig, ref) == ("shutoff", "destroyed")


async def test_starting_what_runs_is_not_valid(rig: Rig) -> None:
    ref = await defined(rig)
    await rig.domains.start(ref)

    with pytest.raises(OperationInvalidError, match="domain is already running"):
        await rig.domains.start(ref)


async def test_a_paused_start_stands_still_until_it_is_resumed(rig: Rig) -> None:
    ref = await defined(rig)
    await rig.domains.start(ref, paused=True)
    assert state(rig, ref) == ("paused", "user")

    await rig.domains.resume(ref)

    assert state(rig, ref) == ("running", "unpaused")
    assert told(rig) == ["started booted", "suspended paused", "resumed unpaused"]


@pytest.mark.parametrize("transient", [False, True])
async def test_what_cannot_begin_when_it_is_resumed_is_off(rig: Rig, transient: bool) -> None:
    rig.refusals["execute"] = OSError(errno.ENOENT, "no such program")
    if transient:
        ref = await rig.domains.create_xml(domain_xml(), paused=True)
    else:
        ref = await rig.domains.start(await defined(rig), paused=True)

    with pytest.raises(StepError, match="cannot execute init"):
        await rig.domains.resume(ref)

    assert told(rig)[-1] == "stopped failed"
    if transient:
        with pytest.raises(DomainNotFoundError):
            rig.domains.state(ref)
    else:
        assert state(rig, ref) == ("shutoff", "failed")


async def test_no_full_run_directory_keeps_a_domain_from_being_destroyed(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ref = await defined(rig)
    await rig.domains.start(ref)

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(rundirectory, "replace_file", refuse)
    await rig.domains.destroy(ref)

    assert state(rig, ref) == ("shutoff", "destroyed")
    assert "is kept in mind" in caplog.text


async def test_suspend_and_resume_change_the_state_and_nothing_twice(rig: Rig) -> None:
    ref = await defined(rig)
    await rig.domains.start(ref)
    rig.told.clear()

    await rig.domains.suspend(ref)
    await rig.domains.suspend(ref)
    assert rig.domains.state(ref) == StateWithReason(state=DomainState.PAUSED, reason=PausedReason.USER)
    await rig.domains.resume(ref)
    assert rig.domains.state(ref) == StateWithReason(state=DomainState.RUNNING, reason=RunningReason.UNPAUSED)
    with pytest.raises(OperationInvalidError, match="already running"):
        await rig.domains.resume(ref)

    assert told(rig) == ["suspended paused", "resumed unpaused"]


async def test_a_domain_of_which_something_stays_behind_is_off_all_the_same(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ref = await rig.domains.start(await defined(rig))
    destroy = rig.engine.teardown.destroy

    async def destroy_in_part(running: Running) -> ExitStatus:
        await destroy(running)
        raise OperationFailedError("its control group stays behind")

    monkeypatch.setattr(rig.engine.teardown, "destroy", destroy_in_part)
    await rig.domains.destroy(ref)
    assert state(rig, ref) == ("shutoff", "destroyed")
    assert "'web' was killed, and something of it stays behind: its control group" in caplog.text


@pytest.mark.parametrize("verb", ["destroy", "suspend", "resume", "shutdown", "reboot"])
async def test_what_does_not_run_cannot_be_acted_upon(rig: Rig, verb: str) -> None:
    ref = await defined(rig)

    with pytest.raises(OperationInvalidError, match="domain is not running"):
        await getattr(rig.domains, verb)(ref)


async def test_a_destroyed_domain_is_off_and_leaves_no_run(rig: Rig) -> None:
    ref = await defined(rig)
    await rig.domains.start(ref)
    await rig.domains.destroy(ref)

    assert state(rig, ref) == ("shutoff", "destroyed")
    assert told(rig) == ["started booted", "stopped destroyed"]
    assert rig.domains.ref(ref).id == -1
    assert os.listdir(rig.layout.running) == []
    with pytest.raises(OperationInvalidError, match="not running"):
        await rig.domains.destroy(ref)


async def test_a_destroy_that_comes_while_a_guest_ends_finds_it_off_and_says_so(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As libvirt does: what had ended when its turn came was not destroyed."""
    release, goes_on = rig.engine.teardown.release, asyncio.Event()

    async def released_later(running: Running, status: ExitStatus) -> None:
        await goes_on.wait()
        await release(running, status)

    monkeypatch.setattr(rig.engine.teardown, "release", released_later)
    ref = await defined(rig)
    await rig.domains.start(ref)
    rig.end(WEB, EXITED)
    await until(lambda: rig.domains.of(ref).lock.holder is not None)
    assert rig.domains.is_active(ref)
    destroying = asyncio.create_task(rig.domains.destroy(ref))
    await asyncio.sleep(0)
    goes_on.set()
    with pytest.raises(OperationInvalidError, match="domain is not running"):
        await destroying

    assert state(rig, ref) == ("shutoff", "shutdown")
    assert told(rig) == ["started booted", "stopped shutdown"]


@pytest.mark.parametrize(
    ("status", "reason", "event"),
    [
        (EXITED, ShutoffReason.SHUTDOWN, "stopped shutdown"),
        (POWERED_OFF, ShutoffReason.SHUTDOWN, "stopped shutdown"),
        (CRASHED, ShutoffReason.CRASHED, "stopped crashed"),
        (9, ShutoffReason.CRASHED, "stopped crashed"),
        (139, ShutoffReason.CRASHED, "stopped crashed"),
        (None, ShutoffReason.UNKNOWN, "stopped failed"),
    ],
    ids=["exited", "powered off", "error", "killed", "core dumped", "unknown"],
)
async def test_how_a_guest_ended_is_told(rig: Rig, status: int | None, reason: ShutoffReason, event: str) -> None:
    ref = await defined(rig)
    await rig.domains.start(ref)
    rig.end(WEB, status)
    await until(lambda: not rig.domains.is_active(ref))

    assert rig.domains.state(ref) == StateWithReason(state=DomainState.SHUTOFF, reason=reason)
    assert told(rig) == ["started booted", event]


@pytest.mark.parametrize(
    ("more", "status", "events", "after"),
    [
        ("<on_reboot>destroy</on_reboot>", REBOOTED, ["stopped shutdown"], "shutoff"),
        ("<on_poweroff>restart</on_poweroff>", POWERED_OFF, ["stopped shutdown", "started booted"], "running"),
        ("<on_poweroff>rename-restart</on_poweroff>", EXITED, ["stopped shutdown", "started booted"], "running"),
        ("<on_crash>restart</on_crash>", CRASHED, ["stopped crashed", "started booted"], "running"),
        ("<on_crash>coredump-restart</on_crash>", 139, ["stopped crashed", "started booted"], "running"),
        ("<on_crash>coredump-destroy</on_crash>", 139, ["stopped crashed"], "shutoff"),
        ("<on_crash>preserve</on_crash>", CRASHED, ["stopped crashed"], "crashed"),
        ("<on_poweroff>preserve</on_poweroff>", POWERED_OFF, ["stopped shutdown"], "shutoff"),
    ],
)
async def test_what_follows_an_end_is_the_definitions_wish(
    rig: Rig, more: str, status: int, events: list[str], after: str
) -> None:
    ref = await defined(rig, more)
    await rig.domains.start(ref)
    rig.told.clear()
    rig.end(WEB, status)
    await until(lambda: len(rig.told) >= len(events) and rig.domains.holder(ref) is None)

    assert told(rig) == events
    assert state(rig, ref)[0] == after


async def test_a_guest_that_keeps_crashing_is_restarted_with_growing_delay(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "DELAY_MAX", 0.02)
    ref = await defined(rig, "<on_crash>restart</on_crash>")
    await rig.domains.start(ref)

    for _ in range(3):
        started = len([each for each in told(rig) if each == "started booted"])
        rig.end(WEB, CRASHED)
        await until(partial(lambda count: told(rig).count("started booted") > count, started))

    assert rig.domains.is_active(ref)
    assert rig.launches() == 4


async def test_destroy_ends_the_waiting_for_a_restart(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "DELAY_MAX", 3600.0)
    ref = await defined(rig, "<on_crash>restart</on_crash>")
    await rig.domains.start(ref)
    for launches in (1, 2):
        await until(partial(launched, rig, ref, launches))
        rig.end(WEB, CRASHED)
    await until(lambda: rig.domains.running() == 1 and not rig.domains.is_active(ref))

    await rig.domains.destroy(ref)

    assert rig.domains.running() == 0
    assert state(rig, ref) == ("shutoff", "destroyed")
    assert os.listdir(rig.layout.running) == []


async def test_a_start_ends_the_waiting_for_a_restart_too(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "DELAY_MAX", 3600.0)
    ref = await defined(rig, "<on_crash>restart</on_crash>")
    await rig.domains.start(ref)
    for launches in (1, 2):
        await until(partial(launched, rig, ref, launches))
        rig.end(WEB, CRASHED)
    await until(lambda: rig.domains.running() == 1 and not rig.domains.is_active(ref))

    await rig.domains.start(ref)

    assert state(rig, ref) == ("running", "booted")
    await rig.domains.destroy(ref)


async def test_a_restart_that_fails_leaves_the_domain_off_and_says_so(rig: Rig) -> None:
    ref = await defined(rig)
    await rig.domains.start(ref)
    rig.refusals["clone"] = OSError(errno.ENOSPC, "no more ptys")
    rig.end(WEB, REBOOTED)
    await until(lambda: "stopped failed" in told(rig))

    assert state(rig, ref) == ("shutoff", "failed")
    assert os.listdir(rig.layout.running) == []


async def test_a_failed_start_leaves_nothing_and_can_be_repeated(rig: Rig) -> None:
    ref = await defined(rig)
    rig.refusals["clone"] = OSError(errno.EAGAIN, "no more processes")
    with pytest.raises(StepError, match="no more processes"):
        await rig.domains.start(ref)

    assert state(rig, ref) == ("shutoff", "failed")
    assert told(rig) == ["startfailed"]
    assert os.listdir(rig.layout.running) == []

    rig.refusals.clear()
    await rig.domains.start(ref)
    assert state(rig, ref) == ("running", "booted")


async def test_a_start_cut_short_by_its_keepers_death_leaves_no_guest(rig: Rig) -> None:
    ref = await defined(rig)

    def die() -> None:
        raise KeeperError("the keeper is gone")

    with after_launches(rig, die), pytest.raises(KeeperError):
        await rig.domains.start(ref)

    assert rig.guests() == []
    assert os.listdir(rig.layout.running) == []


async def test_what_of_a_failed_start_cannot_be_undone_is_named(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    ref = await defined(rig)

    def die() -> None:
        raise KeeperError("the keeper is gone")

    async def fail(remains: Remains) -> None:
        raise OSError(16, "Device or resource busy")

    rig.engine.teardown.take_away = fail  # type: ignore[method-assign]
    with caplog.at_level(logging.ERROR), after_launches(rig, die), pytest.raises(KeeperError):
        await rig.domains.start(ref)

    assert "the failed start of domain 'web' stays behind: [Errno 16]" in caplog.text
    assert state(rig, ref) == ("shutoff", "failed")


async def test_a_domain_without_a_root_is_refused(rig: Rig) -> None:
    xml = domain_xml().replace("<target dir='/'/>", "<target dir='/srv'/>")
    ref = await rig.domains.define(xml)

    with pytest.raises(UnsupportedConfigError):
        await rig.domains.start(ref)
    assert not rig.domains.is_active(ref)


async def test_a_guest_that_ends_before_its_start_is_answered_is_started_and_stopped(rig: Rig) -> None:
    ref = await defined(rig)
    with after_launches(rig, lambda: rig.end(WEB, CRASHED)):
        await rig.domains.start(ref)
    await until(lambda: not rig.domains.is_active(ref))

    assert told(rig) == ["started booted", "stopped crashed"]


async def test_late_words_about_a_former_run_do_not_end_the_present_one(rig: Rig) -> None:
    ref = await defined(rig)
    await rig.domains.start(ref)
    await rig.domains.destroy(ref)
    await rig.domains.start(ref)
    rig.told.clear()

    rig.domains.guest_ended(WEB, ExitStatus(status=9))
    await rig.domains.close()

    assert rig.domains.is_active(ref)
    assert told(rig) == []


async def test_who_ends_after_guests_were_let_go_of_has_ended_for_the_next_daemon(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    ref = await defined(rig)
    await rig.domains.start(ref)
    await rig.domains.services.lifecycle.close(1)
    rig.told.clear()

    rig.end(WEB, CRASHED)
    await asyncio.sleep(0.01)
    assert told(rig) == [] and not [each for each in caplog.records if each.levelno >= logging.ERROR]
    successor = rig.successor()
    await successor.domains.recover()
    await until(lambda: not successor.domains.is_active(ref))
    await successor.close()


async def test_the_keeper_drops_a_guest_whose_domain_is_off_already(rig: Rig) -> None:
    ref = await defined(rig)
    await rig.domains.start(ref)
    guest = rig.guest()
    await rig.domains.destroy(ref)
    keeper = rig.host.start_keeper()
    gone = {"uuid": str(WEB), "launch": guest.launch, "pid": guest.pid, "born": guest.born}

    (await rig.link.answer(rig.link.ask(Verb.ADOPT, gone, {}))).close()
    assert keeper.holds == {str(WEB)}
    await rig.domains.close()

    assert keeper.holds == frozenset()


async def test_a_domain_that_cannot_start_with_the_daemon_keeps_no_other_from_it(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    launch = rig.engine.launch

    async def fail_for_web(spec: ContainerSpec, **options: Any) -> Running:
        if spec.name == "web":
            raise OSError(22, "Invalid argument")
        return await launch(spec, **options)

    rig.engine.launch = fail_for_web  # type: ignore[method-assign]
    for name, uuid in (("web", WEB), ("mail", MAIL)):
        await rig.domains.set_autostart(await rig.domains.define(domain_xml(name, uuid)), True)
    with caplog.at_level(logging.ERROR):
        await rig.domains.start_autostarted()

    assert rig.guests() == [MAIL]
    assert "domain 'web' should start with the host: [Errno 22]" in caplog.text


async def test_a_domain_that_does_not_end_with_its_connection_keeps_no_other_from_it(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    owner, destroy = object(), rig.engine.teardown.destroy
    for name, uuid in (("web", WEB), ("mail", MAIL)):
        await rig.domains.create_xml(domain_xml(name, uuid), owner=owner)

    async def fail_for_web(running: Running) -> ExitStatus:
        if running.name == "web":
            raise OSError(16, "Device or resource busy")
        return await destroy(running)

    rig.engine.teardown.destroy = fail_for_web  # type: ignore[method-assign]
    await rig.domains.connection_closed(owner)

    assert rig.guests() == [WEB]
    assert "domain 'web' should have ended with its connection: [Errno 16]" in caplog.text


# Transient domains


async def test_a_run_directory_that_somebody_cleared_away_keeps_nothing_from_ending(rig: Rig) -> None:
    ref = await defined(rig)
    await rig.domains.start(ref)
    shutil.rmtree(rig.layout.running)
    await rig.domains.destroy(ref)

    assert state(rig, ref) == ("shutoff", "destroyed")
    assert os.listdir(rig.layout.running) == []


async def test_what_killed_it_is_read_before_its_group_may_go(rig: Rig) -> None:
    managed = rig.domains.of(await defined(rig))
    await rig.domains.start(managed.ref)
    run = managed.require_run()
    run.container.group.oom_kills = 2  # type: ignore[misc]
    rig.end(WEB, int(signal.SIGKILL))
    run.container.group.oom_kills = 0  # type: ignore[misc]
    await until(lambda: state(rig, managed.ref) == ("shutoff", "crashed"))
    assert managed.past.end is not None and managed.past.end.out_of_memory
    assert (await rig.domains.services.lifecycle.wait(managed)).out_of_memory
