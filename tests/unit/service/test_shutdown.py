"""Guests are asked to stop in the way of their init, and somebody is told when they do not."""

import asyncio
from pathlib import Path

import pytest

from insula.daemon.wiring import Patience
from insula.engine.guestinit import PowerAction, Way
from insula.engine.spec import InitKind
from insula.errors import (
    InvalidArgumentError,
    OperationAbortedError,
    OperationFailedError,
    OperationInvalidError,
    OperationTimeoutError,
)
from insula.model.domainstates import ShutoffReason
from insula.model.numbers import ShutdownMode
from insula.service import shutdown
from insula.service.events import DomainIdentity, Reboot
from insula.service.runrecord import StopReason
from tests.unit.service.fakes import EXITED, WEB, Rig, domain_xml, until

pytestmark = pytest.mark.asyncio


async def running(rig: Rig) -> DomainIdentity:
    return await rig.domains.start(await rig.domains.define(domain_xml()))


def asked(rig: Rig, ref: DomainIdentity) -> StopReason | None:
    return rig.domains.of(ref).require_run().record.asked


@pytest.mark.parametrize(
    ("modes", "ways"),
    [
        (ShutdownMode.DEFAULT, [Way.ANY]),
        (ShutdownMode.INITCTL, [Way.FIFO]),
        (ShutdownMode.SIGNAL, [Way.SIGNAL]),
        (ShutdownMode.INITCTL | ShutdownMode.SIGNAL, [Way.FIFO, Way.SIGNAL]),
    ],
)
async def test_the_caller_may_choose_the_way(rig: Rig, modes: ShutdownMode, ways: list[Way]) -> None:
    ref = await running(rig)
    await rig.domains.shutdown(ref, modes)

    ((look, arguments),) = rig.looker.looks
    assert (look, arguments["ways"]) == ("ask-init", [each.value for each in ways])
    assert asked(rig, ref) is StopReason.SHUTDOWN
    assert rig.domains.is_active(ref)


@pytest.mark.parametrize("mode", [ShutdownMode.ACPI, ShutdownMode.AGENT, ShutdownMode.PARAVIRT])
async def test_ways_of_virtual_machines_are_refused(rig: Rig, mode: ShutdownMode) -> None:
    ref = await running(rig)
    with pytest.raises(InvalidArgumentError, match="use initctl or signal"):
        await rig.domains.shutdown(ref, mode)
    assert rig.looker.looks == []


async def test_a_program_that_returns_an_error_when_asked_to_go_has_not_crashed(rig: Rig) -> None:
    ref = await running(rig)
    await rig.domains.shutdown(ref)
    rig.end(WEB, 0x8F00)
    await until(lambda: not rig.domains.is_active(ref))

    assert rig.domains.state(ref).reason is ShutoffReason.SHUTDOWN


async def test_a_program_that_knows_no_reboot_is_ended_and_started_again(rig: Rig) -> None:
    ref = await running(rig)
    await rig.domains.reboot(ref)
    assert rig.looker.looks[0][1]["actions"] == [PowerAction.REBOOT.value, PowerAction.POWEROFF.value]
    rig.end(WEB, EXITED)
    await until(lambda: any(isinstance(each, Reboot) for each in rig.told))

    assert rig.domains.is_active(ref)


UNHEARD = {"kind": InitKind.PLAIN.value, "answer": "unheard"}


async def test_an_init_that_does_not_listen_yet_is_asked_until_it_does(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutdown, "AGAIN", 0.001)
    monkeypatch.setattr(shutdown, "LISTENING_PLAIN", 3600.0)
    rig.looker.sights = [UNHEARD, UNHEARD]
    ref = await running(rig)
    await rig.domains.shutdown(ref)
    assert len(rig.looker.looks) == 3
    assert asked(rig, ref) is StopReason.SHUTDOWN


async def test_destroy_does_not_wait_for_an_init_that_does_not_listen_yet(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutdown, "AGAIN", 3600.0)
    monkeypatch.setattr(shutdown, "LISTENING_PLAIN", 3600.0)
    rig.looker.sights = [UNHEARD]
    ref = await running(rig)
    asking = asyncio.create_task(rig.domains.shutdown(ref))
    await until(lambda: rig.looker.looks)
    await rig.domains.destroy(ref)
    with pytest.raises(OperationAbortedError):
        await asking


async def test_a_program_that_never_listens_is_named(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutdown, "LISTENING_PLAIN", 0.0)
    rig.looker.sights = [UNHEARD]
    ref = await running(rig)
    with pytest.raises(OperationFailedError, match=r"does not listen .* by force"):
        await rig.domains.shutdown(ref)
    assert asked(rig, ref) is None


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (ProcessLookupError(3, "No such process"), OperationInvalidError),
        (PermissionError(1, "Operation not permitted"), OperationFailedError),
    ],
)
async def test_an_init_that_cannot_be_asked_is_an_error(rig: Rig, answer: Exception, error: type[Exception]) -> None:
    rig.looker.sights = [answer]
    ref = await running(rig)
    with pytest.raises(error):
        await rig.domains.shutdown(ref)


async def test_a_guest_that_holds_us_up_is_named_and_counts_as_never_asked(rig: Rig) -> None:
    ref = await running(rig)
    rig.looker.sights = [OperationTimeoutError("the file system of domain 'web' does not answer")]
    with pytest.raises(OperationTimeoutError, match="does not answer"):
        await rig.domains.shutdown(ref)
    assert asked(rig, ref) is None
    assert rig.domains.is_active(ref)


async def test_destroy_does_not_wait_for_a_guest_that_holds_up_who_asks_it(rig: Rig) -> None:
    ref = await running(rig)
    rig.looker.sights = [asyncio.Event().wait()]
    asking = asyncio.create_task(rig.domains.shutdown(ref))
    await until(lambda: rig.looker.looks)
    await rig.domains.destroy(ref)
    with pytest.raises(OperationAbortedError, match="destroy of domain 'web' came"):
        await asking
    assert rig.domains.state(ref).reason is ShutoffReason.DESTROYED


async def test_no_way_at_all_is_an_error(rig: Rig) -> None:
    rig.looker.sights = [{"kind": InitKind.SYSTEMD.value, "answer": "no way"}]
    with pytest.raises(OperationFailedError, match="cannot be asked to shut down in that way"):
        await rig.domains.shutdown(await running(rig), ShutdownMode.INITCTL)


async def test_a_guest_that_does_not_obey_in_time_is_reported_and_may_crash_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(tmp_path, Patience(lock=5, shutdown=0.01))
    await rig.domains.recover()
    ref = await running(rig)
    await rig.domains.shutdown(ref)
    await until(lambda: rig.domains.messages(ref))

    assert list(rig.domains.messages(ref)) == ["the guest was asked to shut down and has not done so within 0.01 s"]
    assert "has not done so" in caplog.text
    assert asked(rig, ref) is None
    await rig.close()


async def test_what_an_earlier_daemon_asked_for_holds_no_longer_than_the_time_limit(rig: Rig, tmp_path: Path) -> None:
    """Seen: a guest that had ignored a reboot crashed, days and a daemon later, and that counted as its reboot."""
    ref = await running(rig)
    await rig.domains.reboot(ref)
    successor = rig.successor(Patience(lock=5, shutdown=0.01))
    await successor.domains.recover()
    await until(lambda: successor.domains.messages(ref))

    assert list(successor.domains.messages(ref)) == ["the guest was asked to reboot and has not done so within 0.01 s"]
    assert asked(successor, ref) is None
    await successor.close()
