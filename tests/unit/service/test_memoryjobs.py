"""Memory is taken from a guest that holds more than it is to have: a job, which goes on beside other verbs."""

import asyncio
from dataclasses import replace

import pytest

from insula.errors import InsulaError, InvalidArgumentError, OperationAbortedError, ResourceBusyError
from insula.kernel.cgroups import UNLIMITED
from insula.model.numbers import Affect, JobType, MemoryStat, ParameterType
from insula.service import memoryjobs
from insula.service.describing import described
from insula.service.events import BalloonChange, DomainIdentity, JobCompleted, LimitChangeFailed
from insula.service.rundirectory import RunDirectory
from insula.service.runjournal import RunJournal
from insula.service.statistics import memory_stats
from tests.unit.service.fakes import Rig, until
from tests.unit.service.limits import BOTH, group, of_kind, running, values

pytestmark = pytest.mark.asyncio

MIB = 1 << 20
SMALL = 16 << 10
"""KiB; a fake guest holds 20 MiB."""


async def giving_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> tuple[DomainIdentity, asyncio.Task[None]]:
    """Return a guest from which memory is being taken, which it does not give, and who asked for that."""
    ref = await running(rig)
    group(rig, ref).memory.freed = 0
    monkeypatch.setattr(memoryjobs, "ANSWER", 60.0)
    asked = asyncio.create_task(rig.domains.set_memory(ref, SMALL, Affect.LIVE))
    await until(lambda: group(rig, ref).memory.squeezed is not None)
    return ref, asked


def record_tells(rig: Rig) -> object:
    """Return what the record says is being put."""
    (kept,) = RunDirectory(rig.layout).load()
    return kept.record.limiting


def limit(rig: Rig, ref: DomainIdentity) -> int:
    return group(rig, ref).memory.limits["memory"]


async def test_a_guest_gives_back_what_it_holds_above_its_new_memory(rig: Rig) -> None:
    ref = await running(rig)
    held = group(rig, ref).memory
    held.freed = 1 * MIB
    await rig.domains.set_memory(ref, SMALL, BOTH)

    assert (held.used, held.limits["memory"], held.squeezed) == (16 * MIB, 16 * MIB, None)
    for inactive in (False, True):
        assert "<currentMemory unit='KiB'>16384<" in rig.domains.dump_xml(ref, inactive=inactive)
    job = rig.domains.of(ref).lock.last_job
    assert job is not None
    assert (job.type, job.progress.total, job.progress.done) == (JobType.COMPLETED, 4 * MIB, 4 * MIB)
    changed, ended = rig.told
    assert changed == BalloonChange(domain=ref, actual=SMALL)
    assert isinstance(ended, JobCompleted)
    assert (values(ended.parameters)["success"], values(ended.parameters)["memory_total"]) == (1, 4 * MIB)
    assert record_tells(rig) is None


async def test_what_is_in_use_already_fits_without_a_job(rig: Rig) -> None:
    ref = await running(rig)
    await rig.domains.set_memory(ref, 32 << 10, Affect.LIVE)
    assert rig.domains.of(ref).lock.last_job is None
    assert group(rig, ref).memory.squeezed is None


async def test_the_caller_is_answered_while_the_job_goes_on(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = await running(rig)
    held = group(rig, ref).memory
    held.freed = 0
    monkeypatch.setattr(memoryjobs, "ANSWER", 0.05)
    await rig.domains.set_memory(ref, SMALL, Affect.LIVE)

    managed = rig.domains.of(ref)
    assert managed.lock.job is not None and managed.lock.job.type is JobType.BOUNDED
    assert "<currentMemory unit='KiB'>65536<" in rig.domains.dump_xml(ref)
    assert described(managed)["job"]["total"] == 4 * MIB
    assert dict(memory_stats(managed))[MemoryStat.ACTUAL_BALLOON] == 20 << 10
    held.freed = 2 * MIB
    await until(lambda: managed.lock.job is None)
    assert "<currentMemory unit='KiB'>16384<" in rig.domains.dump_xml(ref)
    assert limit(rig, ref) == 16 * MIB


async def test_who_cannot_give_keeps_what_it_had_and_the_error_says_what_it_holds(rig: Rig) -> None:
    ref = await running(rig)
    group(rig, ref).memory.stuck = 18 * MIB
    with pytest.raises(ResourceBusyError, match=r"18432 KiB are in use and do not shrink.*its programs 8192 KiB"):
        await rig.domains.set_memory(ref, SMALL, BOTH)

    managed = rig.domains.of(ref)
    assert limit(rig, ref) == 64 * MIB
    assert group(rig, ref).memory.squeezed is None
    assert "<currentMemory unit='KiB'>65536<" in rig.domains.dump_xml(ref)
    assert managed.lock.last_job is not None and managed.lock.last_job.type is JobType.FAILED
    assert managed.run is not None and managed.run.memory_job is None
    assert record_tells(rig) is None
    (failed,) = (each for each in rig.told if isinstance(each, LimitChangeFailed))
    assert (failed.resource, failed.wanted) == ("mem", SMALL)


async def test_a_job_that_is_given_up_leaves_all_as_it_was(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    ref, asked = await giving_nothing(rig, monkeypatch)
    managed = rig.domains.of(ref)
    assert managed.lock.job is not None
    managed.lock.job.abort("an administrator")
    with pytest.raises(OperationAbortedError, match="because of an administrator"):
        await asked

    await until(lambda: group(rig, ref).memory.squeezed is None)
    assert limit(rig, ref) == 64 * MIB
    await until(lambda: record_tells(rig) is None)
    assert managed.lock.last_job is not None and managed.lock.last_job.type is JobType.CANCELLED


async def test_a_new_size_takes_the_place_of_the_one_under_way(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    ref, asked = await giving_nothing(rig, monkeypatch)
    await rig.domains.set_memory(ref, 48 << 10, Affect.LIVE)

    with pytest.raises(OperationAbortedError, match="another set memory"):
        await asked
    assert limit(rig, ref) == 48 * MIB
    assert group(rig, ref).memory.squeezed is None
    assert record_tells(rig) is None


async def test_a_size_that_is_refused_ends_no_job(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    ref, asked = await giving_nothing(rig, monkeypatch)
    with pytest.raises(InvalidArgumentError, match="higher than max memory"):
        await rig.domains.set_memory(ref, 1 << 20, Affect.LIVE)
    assert not asked.done()
    group(rig, ref).memory.freed = MIB
    await asked


async def test_other_verbs_go_on_beside_it_and_leave_its_record(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    ref, asked = await giving_nothing(rig, monkeypatch)
    await rig.domains.set_scheduler_parameters(ref, of_kind(ParameterType.ULLONG, cpu_shares=77), Affect.LIVE)
    await rig.domains.suspend(ref)
    await rig.domains.resume(ref)

    put = rig.domains.of(ref).require_run().record.limiting
    assert put is not None and (put.memory, put.memory_soft, put.cpu_shares) == (16 * MIB, UNLIMITED, None)
    group(rig, ref).memory.freed = MIB
    await asked
    assert (limit(rig, ref), group(rig, ref).cpu.shares) == (16 * MIB, 77)


async def test_a_refused_limit_beside_it_takes_nothing_of_it_back(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    ref, asked = await giving_nothing(rig, monkeypatch)
    rig.refusals["limit shares"] = OSError(22, "no")
    with pytest.raises(InsulaError, match="no"):
        await rig.domains.set_scheduler_parameters(ref, of_kind(ParameterType.ULLONG, cpu_shares=77), Affect.LIVE)
    rig.refusals.clear()

    put = rig.domains.of(ref).require_run().record.limiting
    assert put is not None and put.memory == 16 * MIB
    group(rig, ref).memory.freed = MIB
    await asked
    assert limit(rig, ref) == 16 * MIB


async def test_a_memory_limit_that_is_asked_for_beside_it_waits_for_its_end(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref, asked = await giving_nothing(rig, monkeypatch)
    wanted = of_kind(ParameterType.ULLONG, soft_limit=12 << 10)
    tuned = asyncio.create_task(rig.domains.set_memory_parameters(ref, wanted, Affect.LIVE))
    await asyncio.sleep(0.02)
    assert not tuned.done()
    group(rig, ref).memory.freed = MIB
    await asked
    await tuned
    assert values(rig.domains.memory_parameters(ref, Affect.LIVE))["soft_limit"] == 12 << 10


async def test_a_guest_is_destroyed_while_memory_is_taken_from_it(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    ref, asked = await giving_nothing(rig, monkeypatch)
    await rig.domains.destroy(ref)
    with pytest.raises(OperationAbortedError):
        await asked
    assert not rig.domains.of(ref).is_active


async def test_a_guest_that_ends_meanwhile_ends_the_job(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    ref, asked = await giving_nothing(rig, monkeypatch)
    held = group(rig, ref).memory
    rig.end(ref.uuid, 0)
    await until(lambda: not rig.domains.of(ref).is_active)
    held.freed = MIB
    with pytest.raises(InsulaError):
        await asked
    assert rig.domains.of(ref).lock.job is None


async def test_a_daemon_that_dies_amid_a_job_leaves_one_to_put_back_and_tell_of(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref, asked = await giving_nothing(rig, monkeypatch)
    held = group(rig, ref).memory
    held.limits |= {"memory": 20 * MIB, "soft": 18 * MIB}  # as far as it was
    rig.die()
    successor = rig.successor()
    await successor.domains.recover()
    await until(lambda: record_tells(successor) is None)

    assert group(successor, ref).memory.limits == {"memory": 64 * MIB, "soft": UNLIMITED}
    job = successor.domains.of(ref).lock.last_job
    assert job is not None and (job.type, job.error.split(";")[0]) == (JobType.FAILED, "insulad ended meanwhile")
    await successor.close()
    asked.cancel()


async def test_a_daemon_that_ends_gives_the_job_up(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    ref, asked = await giving_nothing(rig, monkeypatch)
    held = group(rig, ref).memory
    await rig.close()
    with pytest.raises(OperationAbortedError, match="the end of insulad"):
        await asked
    assert held.squeezed is None and record_tells(rig) is None


async def test_a_job_that_ends_beside_another_verb_leaves_what_that_has_written_down(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref, asked = await giving_nothing(rig, monkeypatch)
    managed, journal = rig.domains.of(ref), RunJournal(RunDirectory(rig.layout), rig.domains.wiring.reseating.seating)
    attaching, go_on = asyncio.Event(), asyncio.Event()

    async def attach() -> None:
        journal.change(managed, replace(managed.require_run().record, attaching=True))
        attaching.set()
        await go_on.wait()

    holding = asyncio.create_task(managed.lock.perform("attach device", attach))
    await attaching.wait()
    job = managed.lock.job
    assert job is not None
    job.abort("somebody")
    await until(lambda: managed.require_run().memory_job is None)
    await asyncio.sleep(0.01)
    (kept,) = RunDirectory(rig.layout).load()
    assert kept.record.attaching, "a daemon that follows must know what to take back"
    go_on.set()
    await holding
    with pytest.raises(OperationAbortedError):
        await asked
    await until(lambda: record_tells(rig) is None)
