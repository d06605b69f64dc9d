"""A successor over the same files and the same keeper takes everything over."""

import asyncio
import errno
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio

from insula.engine.launch.holdings import Remains
from insula.engine.launch.runningcontainer import ContainerRecord, Running
from insula.errors import DomainExistsError, DomainNotFoundError, OperationInvalidError
from insula.model.domain import DomainDefinition
from insula.model.domainstates import DomainState, RunningReason, ShutoffReason, StateWithReason
from insula.model.numbers import ListDomains
from insula.service import recovery
from insula.service.domains import definitions_of
from insula.service.rundirectory import DOMAIN, RECORD, RunDirectory
from insula.service.runrecord import RunPhase, RunRecord
from tests.unit.service.fakes import CRASHED, MAIL, POWERED_OFF, REBOOTED, WEB, Rig, domain_xml, until

pytestmark = pytest.mark.asyncio
Succeed = Callable[[], Awaitable[Rig]]


@pytest_asyncio.fixture
async def succeed(rig: Rig, tmp_path: Path) -> AsyncIterator[Succeed]:
    """Let the daemon be gone as if killed, and return its successor."""
    successors: list[Rig] = []

    async def next_one() -> Rig:
        for each in (rig, *successors):
            each.die()
        successors.append(Rig(tmp_path, host=rig.host))
        await successors[-1].domains.recover()
        return successors[-1]

    yield next_one
    for each in successors:
        await each.close()


def _cut_short(record: RunRecord) -> RunRecord:
    """The record as it was while the guest was being started."""
    intent = Remains(uuid=str(record.uuid), launch=(record.container or {})["launch"])
    return replace(record, phase=RunPhase.STARTING, container=None, intent=intent)


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
    assert successor.guest().executed


@pytest.mark.parametrize(
    ("status", "reason"),
    [(POWERED_OFF, ShutoffReason.SHUTDOWN), (CRASHED, ShutoffReason.CRASHED), (None, ShutoffReason.UNKNOWN)],
)
async def test_a_guest_that_ended_meanwhile_is_off_for_the_reason_the_keeper_kept(
    rig: Rig, succeed: Succeed, status: int | None, reason: ShutoffReason
) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.start(ref)
    rig.die()
    rig.end(WEB, status)

    successor = await succeed()

    assert successor.domains.state(ref) == StateWithReason(state=DomainState.SHUTOFF, reason=reason)
    assert successor.guests() == []


async def test_a_guest_that_rebooted_meanwhile_runs_again(rig: Rig, succeed: Succeed) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.start(ref)
    rig.die()
    rig.end(WEB, REBOOTED)

    successor = await succeed()

    assert successor.domains.is_active(ref)


async def test_a_guest_that_left_no_trace_is_off_for_unknown_reasons(rig: Rig, succeed: Succeed) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.start(ref)
    rig.vanish()

    successor = await succeed()

    assert successor.domains.state(ref).reason is ShutoffReason.UNKNOWN
    assert successor.host.groups == {}


async def test_transient_domains_and_their_ends_are_remembered(rig: Rig, succeed: Succeed) -> None:
    alive = await rig.domains.create_xml(domain_xml())
    ended = await rig.domains.create_xml(domain_xml("mail", MAIL))
    rig.die()
    rig.end(MAIL, CRASHED)

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
    assert successor.guests() == []


async def test_runs_of_an_earlier_boot_are_forgotten(rig: Rig, succeed: Succeed) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.start(ref)
    rig.die()
    rig.host.reboot("another boot")

    successor = await succeed()

    assert not successor.domains.is_active(ref)
    assert list(rig.layout.running.iterdir()) == []


async def test_a_preserved_domain_stays_preserved(rig: Rig, succeed: Succeed) -> None:
    ref = await rig.domains.create_xml(domain_xml(more="<on_crash>preserve</on_crash>"))
    rig.end(WEB, CRASHED)
    await until(lambda: rig.domains.state(ref).state is DomainState.CRASHED)

    successor = await succeed()

    assert successor.domains.state(ref).state is DomainState.CRASHED
    await successor.domains.destroy(ref)
    assert list(successor.domains.list()) == []


@pytest.mark.parametrize("labels", [True, False], ids=["labelled", "only held"])
@pytest.mark.parametrize("lost", ["all", "record", "domain", "later format"])
@pytest.mark.parametrize("persistent", [True, False], ids=["defined", "transient"])
async def test_a_guest_whose_record_is_lost_is_shown_as_running_and_can_be_ended_and_never_started_over(
    rig: Rig, succeed: Succeed, labels: bool, lost: str, persistent: bool
) -> None:
    rig.refusals |= {} if labels else {"label group": OSError(errno.ENOSPC, "No space left on device")}
    if persistent:
        await rig.domains.start(await rig.domains.define(domain_xml()))
    else:
        await rig.domains.create_xml(domain_xml())
    path = rig.layout.running / str(WEB)
    if lost == "all":
        shutil.rmtree(rig.layout.running)
    elif lost == "later format":
        (path / RECORD).write_text((path / RECORD).read_text().replace('"format": 1', '"format": 99'))
    else:
        (path / (RECORD if lost == "record" else DOMAIN)).write_text("{")

    successor = await succeed()

    (ref,) = successor.domains.list()
    assert successor.domains.state(ref).state is DomainState.RUNNING
    assert successor.domains.is_persistent(ref) == persistent
    assert successor.domains.messages(ref)
    assert ref.name == ("web" if persistent or labels or lost != "all" else str(WEB)) or lost == "domain"
    with pytest.raises((OperationInvalidError, DomainExistsError)):
        await (successor.domains.start(ref) if persistent else successor.domains.create_xml(domain_xml()))
    assert successor.guests() == [WEB]
    if lost == "later format":
        assert '"format": 99' in (path / RECORD).read_text()

    again = await succeed()
    (ref,) = again.domains.list()
    await again.domains.destroy(ref)
    assert again.guests() == []
    assert not again.domains.is_active(ref) if persistent else list(again.domains.list()) == []
    assert not path.exists()


async def test_a_guest_whose_name_another_domain_was_given_runs_under_a_longer_one(rig: Rig, succeed: Succeed) -> None:
    await rig.domains.create_xml(domain_xml())
    definitions_of(rig.layout).save(DomainDefinition.load(domain_xml("web", MAIL)))

    successor = await succeed()

    states = {each.name: successor.domains.is_active(each) for each in successor.domains.list()}
    assert states == {"web": False, f"web-{WEB}": True}


async def test_every_domain_is_there_in_its_state_before_any_is_taken_over_and_verbs_wait_for_their_own(
    rig: Rig, tmp_path: Path
) -> None:
    uuids = [UUID(int=100 + number) for number in range(40)]
    for uuid in uuids:
        await rig.domains.create_xml(domain_xml(f"d{uuid.int}", uuid))
    await rig.domains.suspend(rig.domains.lookup_by_uuid(uuids[0]))
    rig.die()
    successor = rig.successor()
    recover, let_go, asked = successor.engine.succession.recover, asyncio.Event(), list[str]()

    async def wait_for_most(record: ContainerRecord) -> Running | None:
        asked.append(record.spec.uuid)
        if record.spec.uuid != str(uuids[-1]):
            await let_go.wait()
        return await recover(record)

    successor.engine.succession.recover = wait_for_most  # type: ignore[method-assign]
    monkeyed = recovery.ABREAST
    await successor.domains.take_stock()

    refs = [successor.domains.lookup_by_uuid(uuid) for uuid in uuids]
    assert all(successor.domains.is_active(each) for each in refs)
    assert len(successor.domains.list(ListDomains.ACTIVE)) == len(uuids)
    destroying = asyncio.create_task(successor.domains.destroy(refs[-1]))
    await until(lambda: len(asked) >= monkeyed)
    assert not destroying.done()
    let_go.set()
    await destroying
    assert str(uuids[-1]) in asked[: monkeyed + 1], "what somebody waits for did not come first"
    await successor.domains.take_over()
    assert successor.domains.state(refs[0]).state is DomainState.PAUSED
    await successor.close()


async def test_a_start_that_was_cut_short_is_undone(rig: Rig, succeed: Succeed) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.start(ref)
    path = rig.layout.running / str(WEB) / RECORD
    path.write_text(_cut_short(RunRecord.from_json(path.read_text())).to_json())

    successor = await succeed()

    assert not successor.domains.is_active(ref)
    assert successor.guests() == []


@pytest.mark.parametrize("phase", [RunPhase.ENDING, RunPhase.STARTING])
async def test_the_ids_of_a_transient_domain_whose_run_was_cut_short_are_given_back(
    rig: Rig, succeed: Succeed, phase: RunPhase
) -> None:
    await rig.domains.define(domain_xml())
    await rig.domains.create_xml(domain_xml("mail", MAIL))
    path = rig.layout.running / str(MAIL) / RECORD
    recorded = RunRecord.from_json(path.read_text())
    path.write_text((_cut_short(recorded) if phase is RunPhase.STARTING else replace(recorded, phase=phase)).to_json())

    successor = await succeed()

    assert [each.name for each in successor.domains.list()] == ["web"]
    assert [each.name for each in successor.preparation.ids.iterdir()] == [str(WEB)]


async def test_ids_of_a_run_that_makes_no_sense_are_not_given_away(rig: Rig, succeed: Succeed) -> None:
    await rig.domains.create_xml(domain_xml())
    (rig.layout.running / str(WEB) / RECORD).write_text("{")

    assert [each.name for each in (await succeed()).preparation.ids.iterdir()] == [str(WEB)]


async def test_what_is_defined_keeps_its_storage_whatever_was_noted_of_its_run(rig: Rig, succeed: Succeed) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.start(ref)
    rig.preparation.keep(WEB, ephemeral=True)
    directory = RunDirectory(rig.layout)
    (kept,) = directory.load()
    directory.write(replace(kept.record, ephemeral=True))

    successor = await succeed()
    await successor.domains.destroy(ref)
    await succeed()

    assert successor.preparation.owns_storage(WEB)


async def test_verbs_work_on_what_was_taken_over(rig: Rig, succeed: Succeed) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.start(ref)

    successor = await succeed()
    successor.end(WEB, REBOOTED)
    await until(lambda: successor.told)
    await successor.domains.destroy(ref)
    await successor.domains.undefine(ref)

    assert list(successor.domains.list()) == []
    await asyncio.sleep(0)
