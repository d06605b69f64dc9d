"""Jobs: how far they are, how they end, and what may go on beside each kind."""

import pytest

from insula.model.numbers import JobOperation, JobType
from insula.service.jobs import BESIDE, Job, JobProgress, OperationKind


def job(operation: JobOperation = JobOperation.SAVE) -> Job:
    return Job(operation=operation, verb="save")


@pytest.mark.parametrize("operation", JobOperation)
def test_every_kind_says_what_it_allows_and_always_lets_the_guest_end(operation: JobOperation) -> None:
    assert operation in BESIDE
    assert job(operation).allows(OperationKind.ENDING)


@pytest.mark.parametrize("change", [each for each in OperationKind if each is not OperationKind.ENDING])
def test_nothing_changes_a_guest_that_is_saved(change: OperationKind) -> None:
    assert not job().allows(change)
    assert not job(JobOperation.RESTORE).allows(change)


def test_a_guest_that_moves_may_be_suspended() -> None:
    assert job(JobOperation.MIGRATION_OUT).allows(OperationKind.SUSPENSION)
    assert not job(JobOperation.MIGRATION_OUT).allows(OperationKind.LIMITS)


def test_a_job_is_bounded_once_it_knows_how_much_there_is() -> None:
    saving = job()
    before = saving.type
    saving.progress = JobProgress(memory_total=100, memory_done=30, file_total=50)
    assert (before, saving.type) == (JobType.UNBOUNDED, JobType.BOUNDED)
    assert (saving.progress.total, saving.progress.done) == (150, 30)


def test_aborting_counts_once_and_after_the_end_not_at_all() -> None:
    saving, given_up = job(), list[str]()
    saving.give_up = lambda: given_up.append("now")
    saving.abort("one")
    saving.abort("other")
    assert (saving.aborted_by, given_up) == ("one", ["now"])

    ended = job()
    ended.end(JobType.COMPLETED)
    ended.abort("late")
    assert (ended.aborted_by, ended.type) == ("", JobType.COMPLETED)


def test_an_ended_job_gets_no_older() -> None:
    saving = job()
    saving.end(JobType.FAILED, "no")
    assert saving.elapsed == saving.elapsed_at_end
