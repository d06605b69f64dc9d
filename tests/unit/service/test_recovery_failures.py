"""What cannot be taken over, or ends meanwhile, is shown all the same, and can be ended."""

import errno
import logging
from pathlib import Path

import pytest

from insula.engine.launch.runningcontainer import ContainerRecord, Running
from insula.errors import OperationInvalidError
from insula.model.domainstates import DomainState, ShutoffReason
from insula.service import recovery
from tests.faults import faults
from tests.unit.service.fakes import CRASHED, MAIL, WEB, Rig, domain_xml, until

pytestmark = pytest.mark.asyncio


async def test_a_living_guest_is_taken_over_where_nothing_can_be_written(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.start(ref)
    rig.die()
    successor = rig.successor()
    with faults(tmp_path / "prefix", monkeypatch) as disk:
        disk.number, disk.lasting, disk.error = 1, True, errno.ENOSPC
        await successor.domains.recover()
        assert successor.domains.is_active(ref)
        with pytest.raises(OperationInvalidError, match="already running"):
            await successor.domains.start(ref)
        await successor.domains.destroy(ref)
        assert not successor.domains.is_active(ref)
    assert successor.guests() == []
    await successor.close()


async def test_a_guest_that_cannot_be_taken_over_yet_runs_with_a_notice_and_is_tried_again(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.start(ref)
    rig.die()
    monkeypatch.setattr(recovery, "RETRIES", (0.01,))
    successor = rig.successor()
    recover, failures = (
        successor.engine.succession.recover,
        [RuntimeError("nobody thought of that"), OSError(24, "no fds")],
    )

    async def fail_at_first(record: ContainerRecord) -> Running | None:
        if failures:
            raise failures.pop(0)
        return await recover(record)

    successor.engine.succession.recover = fail_at_first  # type: ignore[method-assign]
    await successor.domains.recover()
    assert successor.domains.is_active(ref)
    assert any("nobody thought of that" in each for each in successor.domains.messages(ref))

    await until(lambda: not failures)
    successor.end(WEB, CRASHED)
    await until(lambda: not successor.domains.is_active(ref))
    assert successor.domains.state(ref).reason is ShutoffReason.CRASHED
    await successor.close()


async def test_what_cannot_be_taken_over_can_be_destroyed(rig: Rig, tmp_path: Path) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.start(ref)
    rig.die()
    successor = rig.successor()

    async def fail(record: ContainerRecord) -> Running | None:
        raise OSError(5, "the disk is gone")

    successor.engine.succession.recover = fail  # type: ignore[method-assign]
    await successor.domains.recover()
    await successor.domains.destroy(ref)

    assert not successor.domains.is_active(ref)
    assert successor.guests() == []
    await successor.close()


async def test_one_run_that_cannot_be_taken_over_stops_no_other(
    rig: Rig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await rig.domains.create_xml(domain_xml())
    mail = await rig.domains.create_xml(domain_xml("mail", MAIL))
    successor = rig.successor()
    recover = successor.engine.succession.recover

    async def fail_for_web(record: ContainerRecord) -> Running | None:
        if record.spec.name == "web":
            raise OSError(5, "the disk is gone")
        return await recover(record)

    successor.engine.succession.recover = fail_for_web  # type: ignore[method-assign]
    with caplog.at_level(logging.ERROR):
        await successor.domains.recover()

    assert successor.domains.is_active(mail)
    assert "domain 'web' runs, and cannot be taken over: [Errno 5] the disk is gone" in caplog.text
    assert successor.domains.is_active(successor.domains.lookup_by_name("web"))
    await successor.close()


async def test_a_guest_that_ends_while_it_is_taken_over_has_ended(rig: Rig, tmp_path: Path) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.start(ref)
    rig.die()
    successor = rig.successor()
    recover = successor.engine.succession.recover

    async def end_meanwhile(record: ContainerRecord) -> Running | None:
        found = await recover(record)
        successor.end(WEB, 9)
        return found

    successor.engine.succession.recover = end_meanwhile  # type: ignore[method-assign]
    await successor.domains.recover()
    await until(lambda: not successor.domains.is_active(ref))
    assert successor.domains.state(ref).state is DomainState.SHUTOFF
    await successor.close()
