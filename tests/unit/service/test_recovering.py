"""A successor over the same files and the same keeper takes everything over."""

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from insula.engine.exitstatus import ExitStatus
from insula.engine.running import Record as ContainerRecord
from insula.engine.running import Running
from insula.engine.spec import Process
from insula.errors import DomainNotFoundError
from insula.model.lifecycle import DomainState, RunningReason, ShutoffReason, StateWithReason
from insula.service.running import RECORD, Phase, Record, RunDirectory
from tests.unit.service.fakes import CRASHED, MAIL, POWERED_OFF, REBOOTED, WEB, Rig, domain_xml, until

pytestmark = pytest.mark.asyncio
Succeed = Callable[[], Awaitable[Rig]]


@pytest_asyncio.fixture
async def succeed(rig: Rig, tmp_path: Path) -> AsyncIterator[Succeed]:
    """Let the daemon be gone as if killed, and return its successor."""
    successors: list[Rig] = []

    async def next_one() -> Rig:
        for each in (rig, *successors):
            each.engine.domains = None
        successors.append(Rig(tmp_path))
        await successors[-1].domains.recover()
        return successors[-1]

    yield next_one
    for each in successors:
        await each.close()


async def test_a_running_guest_is_taken_over_with_its_id_and_definition(rig: Rig, succeed: Succeed) -> None:
    ref = await rig.domains.define(domain_xml())
    started = await rig.domains.start(ref)
    xml = rig.domains.dump_xml(ref)

    successor = await succeed()

    assert list(successor.domains.list()) == [started]
    assert successor.domains.dump_xml(ref) == xml
    assert successor.domains.state(ref) == StateWithReason(state=DomainState.RUNNING, reason=RunningReason.BOOTED)
    assert successor.told == []


async def test_a_guest_that_was_resumed_is_taken_over_as_such_until_its_run_is_over(rig: Rig, succeed: Succeed) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.start(ref)
    await rig.domains.suspend(ref)
    await rig.domains.resume(ref)

    successor = await succeed()
    assert successor.domains.state(ref).reason is RunningReason.UNPAUSED
    await successor.domains.destroy(ref)
    await successor.domains.start(ref)

    assert (await succeed()).domains.state(ref).reason is RunningReason.BOOTED


async def test_a_suspended_guest_is_taken_over_standing_still(rig: Rig, succeed: Succeed) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.start(ref)
    await rig.domains.suspend(ref)

    successor = await succeed()

    assert successor.domains.state(ref).state is DomainState.PAUSED
    await successor.domains.resume(ref)
    assert successor.domains.state(ref).state is DomainState.RUNNING


async def test_a_guest_that_was_started_paused_can_still_be_let_go(rig: Rig, succeed: Succeed) -> None:
    ref = await rig.domains.create_xml(domain_xml(), paused=True)

    successor = await succeed()

    assert successor.domains.state(ref).state is DomainState.PAUSED
    await successor.domains.resume(ref)
    assert successor.engine.guests()[str(WEB)]["held"] is False


@pytest.mark.parametrize(
    ("status", "reason"),
    [(POWERED_OFF, ShutoffReason.SHUTDOWN), (CRASHED, ShutoffReason.CRASHED), (None, ShutoffReason.UNKNOWN)],
)
async def test_a_guest_that_ended_meanwhile_is_off_for_the_reason_the_keeper_kept(
    rig: Rig, succeed: Succeed, status: int | None, reason: ShutoffReason
) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.start(ref)
    rig.engine.domains = None
    rig.engine.end(WEB, status)

    successor = await succeed()

    assert successor.domains.state(ref) == StateWithReason(state=DomainState.SHUTOFF, reason=reason)
    assert successor.engine.guests() == {}


async def test_a_guest_that_rebooted_meanwhile_runs_again(rig: Rig, succeed: Succeed) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.start(ref)
    rig.engine.domains = None
    rig.engine.end(WEB, REBOOTED)

    successor = await succeed()

    assert successor.domains.is_active(ref)


async def test_a_guest_that_left_no_trace_is_off_for_unknown_reasons(rig: Rig, succeed: Succeed) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.start(ref)
    shutil.rmtree(rig.layout.prefix.parent / "keeper")

    successor = await succeed()

    assert successor.domains.state(ref).reason is ShutoffReason.UNKNOWN
    assert "release web" in successor.engine.calls


async def test_transient_domains_and_their_ends_are_remembered(rig: Rig, succeed: Succeed) -> None:
    alive = await rig.domains.create_xml(domain_xml())
    ended = await rig.domains.create_xml(domain_xml("mail", MAIL))
    rig.engine.domains = None
    rig.engine.end(MAIL, CRASHED)

    successor = await succeed()

    assert [each.name for each in successor.domains.list()] == ["web"]
    assert not successor.domains.is_persistent(alive)
    with pytest.raises(DomainNotFoundError):
        successor.domains.ref(ended)
    assert not successor.preparation.owns_storage(MAIL)


async def test_a_domain_bound_to_a_connection_dies_with_the_daemon_that_had_it(rig: Rig, succeed: Succeed) -> None:
    await rig.domains.create_xml(domain_xml(), owner=object())

    successor = await succeed()

    assert list(successor.domains.list()) == []
    assert successor.engine.guests() == {}


async def test_runs_of_an_earlier_boot_are_forgotten(rig: Rig, succeed: Succeed) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.start(ref)
    path = rig.layout.running / str(WEB) / RECORD
    path.write_text(replace(Record.from_json(path.read_text()), boot_id="before").to_json())
    shutil.rmtree(rig.layout.prefix.parent / "keeper")

    successor = await succeed()

    assert not successor.domains.is_active(ref)
    assert list(rig.layout.running.iterdir()) == []


async def test_a_preserved_domain_stays_preserved(rig: Rig, succeed: Succeed) -> None:
    ref = await rig.domains.create_xml(domain_xml(more="<on_crash>preserve</on_crash>"))
    rig.engine.end(WEB, CRASHED)
    await until(lambda: rig.domains.state(ref).state is DomainState.CRASHED)

    successor = await succeed()

    assert successor.domains.state(ref).state is DomainState.CRASHED
    await successor.domains.destroy(ref)
    assert list(successor.domains.list()) == []


async def test_a_stray_guest_is_ended(rig: Rig, succeed: Succeed, caplog: pytest.LogCaptureFixture) -> None:
    await rig.domains.create_xml(domain_xml())
    shutil.rmtree(rig.layout.running)
    with caplog.at_level(logging.ERROR):
        successor = await succeed()

    assert successor.engine.guests() == {}
    assert "nothing tells of" in caplog.text


async def test_a_guest_whose_record_makes_no_sense_is_left_alone(rig: Rig, succeed: Succeed) -> None:
    await rig.domains.create_xml(domain_xml())
    (rig.layout.running / str(WEB) / RECORD).write_text("{")

    successor = await succeed()

    assert list(successor.domains.list()) == []
    assert list(successor.engine.guests()) == [str(WEB)]


async def test_a_start_that_was_cut_short_is_undone(rig: Rig, succeed: Succeed) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.start(ref)
    path = rig.layout.running / str(WEB) / RECORD
    path.write_text(replace(Record.from_json(path.read_text()), phase=Phase.STARTING, container=None).to_json())

    successor = await succeed()

    assert not successor.domains.is_active(ref)
    assert successor.engine.guests() == {}
    assert "undo" in successor.engine.calls


@pytest.mark.parametrize("phase", [Phase.ENDING, Phase.STARTING])
async def test_the_ids_of_a_transient_domain_whose_run_was_cut_short_are_given_back(
    rig: Rig, succeed: Succeed, phase: Phase
) -> None:
    await rig.domains.define(domain_xml())
    await rig.domains.create_xml(domain_xml("mail", MAIL))
    path = rig.layout.running / str(MAIL) / RECORD
    path.write_text(replace(Record.from_json(path.read_text()), phase=phase).to_json())

    successor = await succeed()

    assert [each.name for each in successor.domains.list()] == ["web"]
    assert [each.name for each in successor.preparation.ids.iterdir()] == [str(WEB)]


async def test_ids_of_a_run_that_makes_no_sense_are_not_given_away(rig: Rig, succeed: Succeed) -> None:
    await rig.domains.create_xml(domain_xml())
    (rig.layout.running / str(WEB) / RECORD).write_text("{")

    assert [each.name for each in (await succeed()).preparation.ids.iterdir()] == [str(WEB)]


async def test_one_run_that_cannot_be_taken_over_stops_no_other(
    rig: Rig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await rig.domains.create_xml(domain_xml())
    mail = await rig.domains.create_xml(domain_xml("mail", MAIL))
    successor = Rig(tmp_path)
    recover = successor.engine.recover

    async def fail_for_web(record: ContainerRecord) -> Running | None:
        if record.spec.name == "web":
            raise OSError(5, "the disk is gone")
        return await recover(record)

    successor.engine.recover = fail_for_web  # type: ignore[method-assign]
    with caplog.at_level(logging.ERROR):
        await successor.domains.recover()

    assert successor.domains.is_active(mail)
    assert "'web' cannot be found: [Errno 5] the disk is gone" in caplog.text
    await successor.close()


async def test_what_is_defined_keeps_its_storage_whatever_was_noted_of_its_run(rig: Rig, succeed: Succeed) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.start(ref)
    rig.preparation.keep(WEB, throwaway=True)
    directory = RunDirectory(rig.layout)
    (kept,) = directory.load()
    directory.write(replace(kept.record, throwaway=True))

    successor = await succeed()
    await successor.domains.destroy(ref)
    await succeed()

    assert successor.preparation.owns_storage(WEB)


async def test_a_new_keeper_is_given_every_guest_that_it_does_not_hold(rig: Rig) -> None:
    await rig.domains.create_xml(domain_xml())
    await rig.domains.create_xml(domain_xml("mail", MAIL))
    for each in (rig.layout.prefix.parent / "keeper").glob(f"{WEB}.json"):
        each.unlink()

    await rig.domains.keeper_replaced()

    assert [each for each in rig.engine.calls if each.startswith("adopt")] == ["adopt web"]


async def test_a_new_keeper_is_not_given_a_guest_whose_end_is_under_way(rig: Rig) -> None:
    ref = await rig.domains.create_xml(domain_xml())
    destroy = rig.engine.destroy

    async def destroy_meanwhile(running: Running) -> ExitStatus:
        (rig.layout.prefix.parent / "keeper" / f"{WEB}.json").unlink()
        await rig.domains.keeper_replaced()
        return await destroy(running)

    rig.engine.destroy = destroy_meanwhile  # type: ignore[method-assign]
    await rig.domains.destroy(ref)

    assert "adopt web" not in rig.engine.calls
    assert list(rig.domains.list()) == []


async def test_verbs_work_on_what_was_taken_over(rig: Rig, succeed: Succeed) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.start(ref)

    successor = await succeed()
    successor.engine.end(WEB, REBOOTED)
    await until(lambda: successor.told)
    await successor.domains.destroy(ref)
    await successor.domains.undefine(ref)

    assert list(successor.domains.list()) == []
    await asyncio.sleep(0)


async def test_a_guest_that_ends_while_it_is_taken_over_has_ended(rig: Rig, tmp_path: Path) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.start(ref)
    rig.engine.domains = None
    successor = Rig(tmp_path)
    recover = successor.engine.recover

    async def end_meanwhile(record: ContainerRecord) -> Running | None:
        found = await recover(record)
        successor.engine.end(WEB, 9)
        return found

    successor.engine.recover = end_meanwhile  # type: ignore[method-assign]
    await successor.domains.recover()
    await until(lambda: not successor.domains.is_active(ref))
    assert successor.domains.state(ref).state is DomainState.SHUTOFF
    await successor.close()


async def test_programs_in_guests_are_handed_to_a_new_keeper_too(rig: Rig) -> None:
    ref = await rig.domains.create_xml(domain_xml())
    await rig.domains.execute(ref, Process(argv=("/bin/true",)), stdio=(0, 1, 2))
    await rig.domains.keeper_replaced()
    assert len([each for each in rig.engine.calls if each.startswith("adopt program")]) == 1
