"""Guests are asked to stop in the way of their init, and somebody is told when they do not."""

from pathlib import Path

import pytest

from insula.engine.guestinit import Answer, PowerAction, Way
from insula.engine.spec import InitKind
from insula.errors import InvalidArgumentError, OperationFailedError, OperationInvalidError
from insula.model.lifecycle import ShutoffReason
from insula.service import shutdown
from insula.service.domains import Patience
from insula.service.events import DomainRef, Reboot
from insula.service.requests import ShutdownMode
from insula.service.running import StopReason
from tests.unit.service.fakes import EXITED, WEB, Rig, domain_xml, until

pytestmark = pytest.mark.asyncio


class Init:
    """An init that is asked. heard: what it was asked for, and how; answers: what it says, ASKED when they run out."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kind: InitKind = InitKind.SYSTEMD) -> None:
        self.heard: list[tuple[PowerAction, Way]] = []
        self.answers: list[Answer | Exception] = []
        monkeypatch.setattr(shutdown, "ask", self._ask)
        monkeypatch.setattr(shutdown, "_kind_of", lambda container: kind)

    def _ask(self, kind: InitKind, action: PowerAction, *, pid: int, pidfd: int, way: Way) -> Answer:
        self.heard.append((action, way))
        answer = self.answers.pop(0) if self.answers else Answer.ASKED
        if isinstance(answer, Exception):
            raise answer
        return answer


async def running(rig: Rig) -> DomainRef:
    return await rig.domains.start(await rig.domains.define(domain_xml()))


def asked(rig: Rig, ref: DomainRef) -> StopReason | None:
    return rig.domains._of(ref).require_run().record.asked


@pytest.mark.parametrize(
    ("modes", "ways"),
    [
        (ShutdownMode.DEFAULT, [Way.ANY]),
        (ShutdownMode.INITCTL, [Way.FIFO]),
        (ShutdownMode.SIGNAL, [Way.SIGNAL]),
        (ShutdownMode.INITCTL | ShutdownMode.SIGNAL, [Way.FIFO]),
    ],
)
async def test_the_caller_may_choose_the_way(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, modes: ShutdownMode, ways: list[Way]
) -> None:
    init = Init(monkeypatch)
    ref = await running(rig)
    await rig.domains.shutdown(ref, modes)

    assert init.heard == [(PowerAction.POWEROFF, way) for way in ways]
    assert asked(rig, ref) is StopReason.SHUTDOWN
    assert rig.domains.is_active(ref)


async def test_the_second_way_is_tried_when_the_first_is_not_there(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    init = Init(monkeypatch)
    init.answers = [Answer.NO_WAY]
    await rig.domains.shutdown(await running(rig), ShutdownMode.INITCTL | ShutdownMode.SIGNAL)

    assert [way for _, way in init.heard] == [Way.FIFO, Way.SIGNAL]


@pytest.mark.parametrize("mode", [ShutdownMode.ACPI, ShutdownMode.AGENT, ShutdownMode.PARAVIRT])
async def test_ways_of_virtual_machines_are_refused(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, mode: ShutdownMode
) -> None:
    init = Init(monkeypatch)
    ref = await running(rig)
    with pytest.raises(InvalidArgumentError, match="use initctl or signal"):
        await rig.domains.shutdown(ref, mode)
    assert init.heard == []


async def test_a_program_that_returns_an_error_when_asked_to_go_has_not_crashed(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    Init(monkeypatch)
    ref = await running(rig)
    await rig.domains.shutdown(ref)
    rig.engine.end(WEB, 0x8F00)
    await until(lambda: not rig.domains.is_active(ref))

    assert rig.domains.state(ref).reason is ShutoffReason.SHUTDOWN


async def test_a_program_that_knows_no_reboot_is_ended_and_started_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    init = Init(monkeypatch, InitKind.PLAIN)
    init.answers = [Answer.NO_WAY]
    ref = await running(rig)
    await rig.domains.reboot(ref)
    assert [action for action, _ in init.heard] == [PowerAction.REBOOT, PowerAction.POWEROFF]
    rig.engine.end(WEB, EXITED)
    await until(lambda: any(isinstance(each, Reboot) for each in rig.told))

    assert rig.domains.is_active(ref)


async def test_a_program_that_does_not_listen_is_named_and_nothing_is_waited_for(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    init = Init(monkeypatch, InitKind.PLAIN)
    init.answers = [Answer.UNHEARD]
    ref = await running(rig)
    with pytest.raises(OperationFailedError, match=r"does not listen .* use destroy"):
        await rig.domains.shutdown(ref)
    assert asked(rig, ref) is None


async def test_an_init_of_a_known_kind_is_trusted_to_listen(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    init = Init(monkeypatch, InitKind.BUSYBOX)
    init.answers = [Answer.UNHEARD]
    ref = await running(rig)
    await rig.domains.shutdown(ref)

    assert asked(rig, ref) is StopReason.SHUTDOWN


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (ProcessLookupError(3, "No such process"), OperationInvalidError),
        (PermissionError(1, "Operation not permitted"), OperationFailedError),
    ],
)
async def test_an_init_that_cannot_be_asked_is_an_error(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, answer: Exception, error: type[Exception]
) -> None:
    init = Init(monkeypatch)
    init.answers = [answer]
    ref = await running(rig)
    with pytest.raises(error):
        await rig.domains.shutdown(ref)


async def test_no_way_at_all_is_an_error(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    init = Init(monkeypatch)
    init.answers = [Answer.NO_WAY, Answer.NO_WAY]
    with pytest.raises(OperationFailedError, match="cannot be asked to shut down in that way"):
        await rig.domains.shutdown(await running(rig), ShutdownMode.INITCTL)


async def test_a_guest_that_does_not_obey_in_time_is_reported_and_may_crash_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(tmp_path, Patience(lock=5, shutdown=0.01))
    await rig.domains.recover()
    Init(monkeypatch)
    ref = await running(rig)
    await rig.domains.shutdown(ref)
    await until(lambda: rig.domains.messages(ref))

    assert list(rig.domains.messages(ref)) == ["the guest was asked to shut down and has not done so within 0.01 s"]
    assert "has not done so" in caplog.text
    assert asked(rig, ref) is None
    await rig.close()
