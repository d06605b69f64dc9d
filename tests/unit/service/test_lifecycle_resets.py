"""The reset button: another guest at once, and to everybody the same domain, which rebooted."""

import asyncio
import errno
import signal
from dataclasses import replace

import pytest

from insula.engine.exitstatus import ExitStatus
from insula.engine.launch.runningcontainer import Running
from insula.errors import OperationFailedError, OperationInvalidError, OperationTimeoutError
from insula.model.numbers import Affect
from insula.service import lifecycle
from insula.service.rundirectory import RunDirectory
from insula.service.runrecord import Next, RunRecord, StopReason, ending
from tests.unit.service.fakes import CRASHED, WEB, Rig, domain_xml, until
from tests.unit.service.watching import defined, hold_launches, launched, state, told

pytestmark = pytest.mark.asyncio

OFF = "<on_poweroff>destroy</on_poweroff><on_reboot>destroy</on_reboot><on_crash>destroy</on_crash>"
KEPT = "<on_poweroff>preserve</on_poweroff><on_reboot>preserve</on_reboot><on_crash>preserve</on_crash>"


def decided(rig: Rig, *, held: bool = False) -> RunRecord:
    """Return the record of the guest as it is when its reset has begun."""
    record = replace(rig.domains.of(rig.domains.lookup_by_uuid(WEB)).require_run().record, held=held)
    return ending(replace(record, asked=StopReason.RESET), StopReason.RESET, then=Next.RESTART)


@pytest.mark.parametrize("more", [OFF, KEPT, ""])
async def test_a_reset_guest_begins_anew_as_the_same_domain_whatever_its_own_reboot_would_do(
    rig: Rig, more: str
) -> None:
    before = await rig.domains.start(await defined(rig, more))
    guest = rig.guest()
    await rig.domains.reset(before)

    after = rig.domains.ref(before)
    assert after.id not in (-1, before.id)
    assert rig.guest() is not guest
    assert state(rig, before) == ("running", "booted")
    assert told(rig) == ["started booted", "reboot"]
    assert rig.domains.of(before).past.end is not None


async def test_a_reset_keeps_what_was_changed_of_the_running_guest(rig: Rig) -> None:
    ref = await rig.domains.start(await defined(rig))
    await rig.domains.set_memory(ref, 32768, Affect.LIVE)
    await rig.domains.reset(ref)
    assert rig.domains.of(ref).current.memory_now == 32768


async def test_a_guest_that_stands_still_is_reset_and_stands_still(rig: Rig) -> None:
    ref = await rig.domains.start(await defined(rig))
    await rig.domains.suspend(ref)
    rig.told.clear()
    await rig.domains.reset(ref)

    assert state(rig, ref) == ("paused", "user")
    assert told(rig) == ["reboot"]
    await rig.domains.resume(ref)
    assert told(rig) == ["reboot", "resumed unpaused"]
    assert not rig.domains.of(ref).require_run().record.held


async def test_what_does_not_run_cannot_be_reset(rig: Rig) -> None:
    ref = await defined(rig, "<on_crash>restart</on_crash>")
    with pytest.raises(OperationInvalidError, match="domain is not running"):
        await rig.domains.reset(ref)

    await rig.domains.start(ref)
    rig.end(WEB, CRASHED)
    await until(lambda: launched(rig, ref, 2))
    rig.end(WEB, CRASHED)
    await until(lambda: rig.domains.of(ref).will_restart)
    with pytest.raises(OperationInvalidError, match="waits for its restart"):
        await rig.domains.reset(ref)


async def test_a_transient_guest_is_reset_and_is_transient(rig: Rig) -> None:
    ref = await rig.domains.create_xml(domain_xml())
    await rig.domains.reset(ref)
    assert rig.domains.is_active(ref)
    assert rig.preparation.doomed(WEB)
    await rig.domains.destroy(ref)
    assert rig.domains.list() == []


async def test_a_reset_guest_goes_with_the_connection_that_started_it(rig: Rig) -> None:
    owner = object()
    ref = await rig.domains.start(await defined(rig), owner=owner)
    await rig.domains.reset(ref)
    assert rig.domains.of(ref).require_run().record.autodestroy
    await rig.domains.connection_closed(owner)
    assert not rig.domains.is_active(ref)


async def test_a_destroy_that_comes_while_a_guest_is_reset_has_the_last_word(rig: Rig) -> None:
    ref = await rig.domains.start(await defined(rig))
    go = hold_launches(rig)
    resetting = asyncio.create_task(rig.domains.reset(ref))
    await until(lambda: rig.guests() == [])
    destroying = asyncio.create_task(rig.domains.destroy(ref))
    go.set()
    await asyncio.gather(resetting, destroying)

    assert state(rig, ref) == ("shutoff", "destroyed")
    assert told(rig) == ["started booted", "reboot", "stopped destroyed"]


async def test_a_guest_that_cannot_begin_anew_is_off_and_its_client_is_told_why(rig: Rig) -> None:
    ref = await rig.domains.start(await defined(rig))
    rig.refusals["clone"] = OSError(errno.EAGAIN, "no more guests")
    with pytest.raises(OperationFailedError, match=r"it was killed, and cannot be started again: .*no more guests"):
        await rig.domains.reset(ref)
    assert state(rig, ref) == ("shutoff", "failed")
    assert told(rig) == ["started booted", "startfailed", "stopped failed"]


async def test_a_guest_that_takes_its_time_to_die_is_started_again_when_it_has(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = await rig.domains.start(await defined(rig, OFF))

    async def slow(container: Running) -> ExitStatus:
        raise OperationTimeoutError(f"{container.name} is killed and has not ended yet")

    with monkeypatch.context() as held:
        held.setattr(rig.engine.teardown, "destroy", slow)
        with pytest.raises(OperationTimeoutError, match="has not ended yet"):
            await rig.domains.reset(ref)
    assert state(rig, ref) == ("running", "booted")
    rig.end(WEB, signal.SIGKILL)
    await until(lambda: "reboot" in told(rig))
    assert told(rig) == ["started booted", "reboot"]


async def test_resets_in_a_row_never_wait(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "REBOOTS_FREE", 1)
    ref = await rig.domains.start(await defined(rig))
    for _ in range(4):
        await rig.domains.reset(ref)
    assert rig.launches() == 5


@pytest.mark.parametrize("paused", [False, True])
async def test_a_reset_whose_daemon_died_before_the_guest_did_is_finished_by_the_next(rig: Rig, paused: bool) -> None:
    ref = await rig.domains.start(await defined(rig, OFF))
    if paused:
        await rig.domains.suspend(ref)
    guest = rig.guest()
    RunDirectory(rig.layout).write(decided(rig, held=paused))

    successor = rig.successor()
    await successor.domains.recover()
    await until(lambda: successor.guests() and successor.guest() is not guest)
    await until(lambda: successor.domains.holder(ref) is None)
    assert state(successor, ref)[0] == ("paused" if paused else "running")
    assert told(successor) == ["reboot"]
    await successor.close()


@pytest.mark.parametrize("paused", [False, True])
async def test_a_reset_whose_daemon_died_after_the_guest_did_is_finished_by_the_next(rig: Rig, paused: bool) -> None:
    ref = await rig.domains.start(await defined(rig, OFF))
    RunDirectory(rig.layout).write(decided(rig, held=paused))
    rig.die()
    rig.end(WEB, signal.SIGKILL)

    successor = rig.successor()
    await successor.domains.recover()
    assert state(successor, ref)[0] == ("paused" if paused else "running")
    assert told(successor)[:2] == ["stopped destroyed", "started booted"]
    await successor.close()


async def test_a_guest_reset_with_its_connection_gone_is_off(rig: Rig) -> None:
    ref = await rig.domains.start(await defined(rig), owner=object())
    RunDirectory(rig.layout).write(decided(rig))

    successor = rig.successor()
    await successor.domains.recover()
    assert not successor.domains.is_active(ref)
    assert successor.guests() == []
    await successor.close()
