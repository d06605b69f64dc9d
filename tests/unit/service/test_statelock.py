"""One change of a domain at a time."""

import asyncio
import logging

import pytest

from insula.errors import OperationAbortedError, OperationInvalidError, OperationTimeoutError
from insula.model.numbers import JobOperation, JobType
from insula.service.jobs import BESIDE, Job, OperationKind
from insula.service.statelock import StateChangeLock
from tests.waiting import patience


@pytest.mark.asyncio
async def test_two_verbs_on_one_domain_do_not_overlap() -> None:
    lock = StateChangeLock("web")
    trace: list[str] = []

    async def verb(name: str) -> str:
        trace.append(f"{name} begins")
        await asyncio.sleep(0)
        trace.append(f"{name} ends")
        return name

    first, second = await asyncio.gather(
        lock.perform("start", lambda: verb("start")), lock.perform("destroy", lambda: verb("destroy"))
    )

    assert (first, second) == ("start", "destroy")
    assert trace == ["start begins", "start ends", "destroy begins", "destroy ends"]
    assert lock.holder is None


@pytest.mark.parametrize("rounds", range(8))
@pytest.mark.asyncio
async def test_a_verb_comes_behind_all_who_wait_also_when_their_turn_has_just_come(rounds: int) -> None:
    lock = StateChangeLock("web")
    trace: list[str] = []
    release = asyncio.Event()

    async def verb(name: str) -> None:
        trace.append(name)
        await asyncio.sleep(0)

    first = asyncio.create_task(lock.perform("start", release.wait))
    second = asyncio.create_task(lock.perform("suspend", lambda: verb("suspend")))
    for _ in range(4):
        await asyncio.sleep(0)
    assert lock.holder == "start"
    release.set()
    for _ in range(rounds):
        await asyncio.sleep(0)
    await lock.perform("resume", lambda: verb("resume"))

    await asyncio.gather(first, second)
    assert trace == ["suspend", "resume"]


@pytest.mark.asyncio
async def test_a_verb_that_waits_too_long_is_told_who_holds_the_domain() -> None:
    lock = StateChangeLock("web", patience=0.01)
    release = asyncio.Event()
    first = asyncio.create_task(lock.perform("shutdown", release.wait))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert lock.holder == "shutdown"

    with pytest.raises(OperationTimeoutError, match=r"cannot acquire state change lock \(held by shutdown"):
        await lock.perform("start", release.wait)

    release.set()
    assert await first is True


@pytest.mark.asyncio
async def test_a_verb_runs_to_its_end_although_its_caller_is_cancelled() -> None:
    lock = StateChangeLock("web")
    begun, go, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def verb() -> None:
        begun.set()
        await go.wait()
        done.set()

    caller = asyncio.create_task(lock.perform("start", verb))
    await begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    go.set()

    await asyncio.wait_for(done.wait(), patience(5))


@pytest.mark.asyncio
async def test_what_an_orphaned_verb_raises_goes_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    lock = StateChangeLock("web")
    begun, go = asyncio.Event(), asyncio.Event()

    async def verb() -> None:
        begun.set()
        await go.wait()
        raise RuntimeError("the disk is full")

    caller = asyncio.create_task(lock.perform("start", verb))
    await begun.wait()
    caller.cancel()
    with caplog.at_level(logging.ERROR):
        go.set()
        await lock.perform("state", _nothing)
        await asyncio.sleep(0)

    assert "start web failed after its caller had gone: the disk is full" in caplog.text


async def _nothing() -> None:
    return None


@pytest.mark.asyncio
async def test_a_verb_that_ends_the_guest_does_not_wait_for_those_that_wait_for_the_guest() -> None:
    lock = StateChangeLock("web", patience=10)
    never = asyncio.Event()
    trace: list[str] = []

    async def waiting(name: str) -> None:
        try:
            await lock.unless_overtaken(never.wait())
        finally:
            trace.append(f"{name} ends")

    async def end() -> None:
        trace.append("destroyed")

    held = asyncio.create_task(lock.perform("shutdown", lambda: waiting("shutdown")))
    queued = asyncio.create_task(lock.perform("setmem", lambda: waiting("setmem")))
    while lock.holder != "shutdown":  # noqa: ASYNC110 - the lock has no event for it
        await asyncio.sleep(0)
    await asyncio.wait_for(lock.perform("destroy", end, overtaking=True), patience(5))

    assert trace == ["shutdown ends", "setmem ends", "destroyed"]
    for verb in (held, queued):
        with pytest.raises(OperationAbortedError, match="destroy of domain 'web' came meanwhile"):
            await verb


@pytest.mark.asyncio
async def test_what_is_done_before_the_ending_verb_comes_counts() -> None:
    lock = StateChangeLock("web", patience=10)
    go = asyncio.Event()

    async def verb() -> str:
        await lock.unless_overtaken(_nothing())
        await go.wait()
        return "done"

    held = asyncio.create_task(lock.perform("suspend", verb))
    while lock.holder != "suspend":  # noqa: ASYNC110 - the lock has no event for it
        await asyncio.sleep(0)
    ending = asyncio.create_task(lock.perform("destroy", _nothing, overtaking=True))
    await asyncio.sleep(0)
    assert not ending.done()
    go.set()
    assert await held == "done"
    await asyncio.wait_for(ending, patience(5))


@pytest.mark.asyncio
async def test_after_an_ending_verb_others_wait_as_before() -> None:
    lock = StateChangeLock("web", patience=10)
    await lock.perform("destroy", _nothing, overtaking=True)
    await lock.perform("suspend", lambda: lock.unless_overtaken(_nothing()))


@pytest.mark.asyncio
async def test_an_error_frees_the_domain_and_reaches_the_caller() -> None:
    lock = StateChangeLock("web", patience=1)

    async def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await lock.perform("start", fail)
    await lock.perform("destroy", _nothing)


# Jobs


class Going:
    """A job that goes on until it is told to end, and says what became of it."""

    def __init__(self, lock: StateChangeLock, operation: JobOperation = JobOperation.SAVE) -> None:
        self.job = Job(operation=operation, verb="save")
        self.begun, self.go, self.clean = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.trace: list[str] = []
        self.task = asyncio.create_task(lock.perform_job(self.job, self._work))

    async def _work(self) -> str:
        self.begun.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.trace.append("gives up")
            await self.clean.wait()
            self.trace.append("is clean")
            raise
        return "saved"


async def changed() -> str:
    return "changed"


@pytest.mark.asyncio
async def test_a_job_has_the_domain_until_it_ends_and_is_remembered() -> None:
    lock = StateChangeLock("web")
    going = Going(lock)
    await going.begun.wait()
    assert (lock.job, lock.holder) == (going.job, "save")
    start = asyncio.create_task(lock.perform("start", changed))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not start.done()

    going.go.set()
    assert await going.task == "saved"
    assert await start == "changed"
    assert (lock.job, lock.last_job, going.job.type) == (None, going.job, JobType.COMPLETED)


@pytest.mark.asyncio
async def test_what_waits_for_a_job_too_long_is_told_which() -> None:
    lock = StateChangeLock("web", patience=0.01)
    going = Going(lock)
    await going.begun.wait()
    with pytest.raises(OperationTimeoutError, match=r"held by save of domain 'web'"):
        await lock.perform("start", changed)
    with pytest.raises(OperationTimeoutError, match=r"held by save"):
        await lock.perform_job(Job(operation=JobOperation.BACKUP, verb="back up"), changed)
    going.go.set()
    assert await going.task == "saved"


@pytest.mark.asyncio
@pytest.mark.parametrize("change", [each for each in OperationKind if each is not OperationKind.ENDING])
async def test_a_job_lets_in_what_its_kind_allows(change: OperationKind) -> None:
    lock = StateChangeLock("web", patience=0.01)
    going = Going(lock, JobOperation.SNAPSHOT_DELETE)
    await going.begun.wait()
    if change & BESIDE[JobOperation.SNAPSHOT_DELETE]:
        assert await lock.perform("change", changed, change=change) == "changed"
    else:
        with pytest.raises(OperationTimeoutError):
            await lock.perform("change", changed, change=change)
    going.go.set()
    await going.task


@pytest.mark.asyncio
@pytest.mark.parametrize("operation", JobOperation)
async def test_what_ends_the_guest_waits_for_no_job_nor_for_its_cleaning_up(operation: JobOperation) -> None:
    lock = StateChangeLock("web")
    going = Going(lock, operation)
    await going.begun.wait()

    assert await lock.perform("destroy", changed, change=OperationKind.ENDING, overtaking=True) == "changed"

    assert "is clean" not in going.trace and lock.job is None
    going.clean.set()
    with pytest.raises(OperationAbortedError, match="save of domain 'web' was given up, because of destroy"):
        await going.task
    assert (going.job.type, lock.last_job) == (JobType.CANCELLED, going.job)


@pytest.mark.asyncio
async def test_the_reaction_to_a_guests_end_waits_for_no_job_and_ends_none() -> None:
    lock = StateChangeLock("web")
    going = Going(lock)
    await going.begun.wait()
    assert await lock.perform_surely("react", changed, change=OperationKind.ENDING) == "changed"
    going.go.set()
    assert await going.task == "saved"


@pytest.mark.asyncio
async def test_a_step_of_a_job_is_alone_and_one_that_was_given_up_has_no_more() -> None:
    lock = StateChangeLock("web")
    job = Job(operation=JobOperation.BACKUP, verb="back up")
    trace: list[str] = []
    in_step, go = asyncio.Event(), asyncio.Event()

    async def step() -> None:
        in_step.set()
        await go.wait()
        trace.append("step")

    async def change() -> None:
        trace.append("change")

    async def work() -> None:
        await lock.step(job, step)

    task = asyncio.create_task(lock.perform_job(job, work))
    await in_step.wait()
    other = asyncio.create_task(lock.perform("suspend", change, change=OperationKind.SUSPENSION))
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(task, other)
    assert trace == ["step", "change"]
    with pytest.raises(OperationAbortedError, match="given up"):
        await lock.step(job, step)
    assert await lock.perform("start", changed) == "changed"


@pytest.mark.asyncio
async def test_a_job_that_was_aborted_before_it_began_does_not() -> None:
    lock = StateChangeLock("web")
    job = Job(operation=JobOperation.SAVE, verb="save")
    job.abort("somebody")
    with pytest.raises(OperationAbortedError, match="somebody"):
        await lock.perform_job(job, changed)
    assert lock.job is None


@pytest.mark.asyncio
async def test_a_job_that_fails_frees_the_domain_and_tells_why() -> None:
    lock = StateChangeLock("web")
    job = Job(operation=JobOperation.SAVE, verb="save")

    async def fail() -> None:
        raise ValueError("the disk is full")

    with pytest.raises(ValueError, match="the disk is full"):
        await lock.perform_job(job, fail)
    assert (job.type, job.error, lock.job) == (JobType.FAILED, "the disk is full", None)


@pytest.mark.asyncio
async def test_who_asks_hurries_what_holds_the_domain_up_and_what_must_happen_does_not() -> None:
    hurried: list[str] = []
    lock = StateChangeLock("web")
    lock.hurry = lambda: hurried.append("hurried")
    await lock.perform_surely("take over", _nothing)
    assert hurried == []
    await lock.perform("destroy", _nothing, overtaking=True)
    await lock.perform_job(Job(operation=JobOperation.BACKUP, verb="back up"), _nothing)
    assert hurried == ["hurried", "hurried"]


@pytest.mark.asyncio
async def test_what_is_asked_for_is_refused_once_it_is_not_to_be_done_any_more_and_what_must_happen_is_not() -> None:
    def refuse() -> None:
        raise OperationInvalidError("it is no more")

    lock = StateChangeLock("web", admit=refuse)
    for asked in (
        lock.perform("start", changed),
        lock.perform("destroy", changed, overtaking=True),
        lock.perform_job(Job(operation=JobOperation.BACKUP, verb="back up"), changed),
    ):
        with pytest.raises(OperationInvalidError, match="it is no more"):
            await asked
    assert await lock.perform_surely("react", changed) == "changed"


@pytest.mark.asyncio
async def test_the_last_step_of_a_job_is_not_given_up_once_it_has_begun() -> None:
    lock, go = StateChangeLock("web", patience=10), asyncio.Event()
    job = Job(operation=JobOperation.DUMP, verb="core dump")
    task = asyncio.create_task(lock.perform_job(job, lambda: lock.last_step(job, go.wait)))
    while lock.holder != "core dump" or not lock._lock.locked():  # noqa: ASYNC110 - the lock has no event for it
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    job.abort("somebody")
    await asyncio.sleep(0)
    assert not task.done()
    go.set()
    assert await task is True and job.outcome is JobType.COMPLETED


@pytest.mark.asyncio
async def test_the_last_step_of_a_job_that_is_given_up_before_is_not_begun() -> None:
    lock, written, resumed, ended = (
        StateChangeLock("web", patience=10),
        asyncio.Event(),
        asyncio.Event(),
        asyncio.Event(),
    )
    job = Job(operation=JobOperation.BACKUP, verb="backup")

    async def end() -> None:
        ended.set()

    async def work() -> None:
        await written.wait()
        await lock.last_step(job, end)

    task = asyncio.create_task(lock.perform_job(job, work))
    while lock.job is None:  # noqa: ASYNC110 - the lock has no event for it
        await asyncio.sleep(0)
    beside = asyncio.create_task(lock.perform("resume", resumed.wait, change=OperationKind.SUSPENSION))
    while lock.holder != "resume":  # noqa: ASYNC110
        await asyncio.sleep(0)
    written.set()
    for _ in range(5):
        await asyncio.sleep(0)
    job.abort("somebody")
    with pytest.raises(OperationAbortedError):
        await task
    resumed.set()
    await beside
    assert not ended.is_set() and job.outcome is JobType.CANCELLED
    await lock.perform("state", _nothing)
