"""Jobs as clients see them: none, one that goes on, and the one that ended last."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from insula.errors import ArgumentUnsupportedError, DomainNotFoundError, InvalidArgumentError, OperationInvalidError
from insula.model.numbers import JobOperation, JobType
from insula.rpc.procedures import Procedure, Remote
from insula.rpc.wiretypes import DomainRef
from insula.service.coredumps import Afterwards
from insula.service.events import Events
from insula.service.jobs import Job, JobProgress
from tests.unit.daemon.fakes import WEB, FakeDomains, answered, services_of

DOM = DomainRef(WEB.name, WEB.uuid.bytes, -1)
NOBODY = DomainRef("nobody", bytes(16), -1)


@pytest.fixture
def domains() -> FakeDomains:
    async def make() -> FakeDomains:
        return FakeDomains(events=Events())

    return asyncio.run(make())


def ask(domains: FakeDomains, procedure: Procedure, *arguments: Any) -> Any:
    return answered(services_of(domains), procedure, *arguments)


def saving(domains: FakeDomains) -> Job:
    """A job that has `web`."""
    job = Job(
        operation=JobOperation.SAVE, verb="save", progress=JobProgress(memory_total=100, memory_done=30, file_total=7)
    )
    domains.registry.by_uuid(WEB.uuid).lock._job = job
    return job


def test_without_a_job_there_is_none_but_the_domain_must_be_there(domains: FakeDomains) -> None:
    assert set(ask(domains, Remote.DOMAIN_GET_JOB_INFO, DOM)) == {0}
    assert ask(domains, Remote.DOMAIN_GET_JOB_STATS, DOM, 0) == (0, ())
    assert ask(domains, Remote.DOMAIN_GET_JOB_STATS, DOM, 1) == (0, ())
    with pytest.raises(DomainNotFoundError):
        ask(domains, Remote.DOMAIN_GET_JOB_INFO, NOBODY)


def test_a_job_tells_how_far_it_is(domains: FakeDomains) -> None:
    saving(domains)
    info = ask(domains, Remote.DOMAIN_GET_JOB_INFO, DOM)
    assert info.type == JobType.BOUNDED and info.timeRemaining == 0
    assert tuple(info)[3:] == (107, 30, 77, 100, 30, 70, 7, 0, 7)
    stats = ask(domains, Remote.DOMAIN_GET_JOB_STATS, DOM, 0)
    told = {each.field: each.value for each in stats.params}
    assert (told["operation"], told["memory_remaining"], told["disk_total"]) == (JobOperation.SAVE, 70, 7)
    assert "success" not in told


def test_the_last_job_is_told_once_or_again_and_again(domains: FakeDomains) -> None:
    job = Job(operation=JobOperation.SAVE, verb="save")
    job.end(JobType.FAILED, "the disk is full")
    domains.registry.by_uuid(WEB.uuid).lock.last_job = job
    for flags, found in ((3, JobType.FAILED), (1, JobType.FAILED), (1, JobType.NONE)):
        stats = ask(domains, Remote.DOMAIN_GET_JOB_STATS, DOM, flags)
        assert stats.type == found
        if found:
            told = {each.field: each.value for each in stats.params}
            assert (told["success"], told["errmsg"]) == (False, "the disk is full")


@pytest.mark.parametrize(("procedure", "flags"), [(Remote.DOMAIN_ABORT_JOB, ()), (Remote.DOMAIN_ABORT_JOB_FLAGS, (0,))])
def test_a_job_is_aborted_at_once_and_none_cannot_be(
    domains: FakeDomains, procedure: Procedure, flags: tuple[int, ...]
) -> None:
    with pytest.raises(OperationInvalidError, match="no job is active"):
        ask(domains, procedure, DOM, *flags)
    job, given_up = saving(domains), list[bool]()
    job.give_up = lambda: given_up.append(True)
    ask(domains, procedure, DOM, *flags)
    assert given_up == [True] and procedure.api in job.aborted_by


def test_aborting_takes_no_flags(domains: FakeDomains) -> None:
    with pytest.raises(InvalidArgumentError, match="virDomainAbortJobFlags"):
        ask(domains, Remote.DOMAIN_ABORT_JOB_FLAGS, DOM, 1)


def test_a_job_is_what_the_way_to_the_domain_is_busy_with(domains: FakeDomains) -> None:
    saving(domains)
    assert ask(domains, Remote.DOMAIN_GET_CONTROL_INFO, DOM, 0).state == 1


class Dumps:
    """Remembers what was to be dumped."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, bool, Afterwards]] = []

    async def dump(self, managed: Any, path: str, *, live: bool, afterwards: Afterwards) -> None:
        self.asked.append((path, live, afterwards))


@pytest.mark.parametrize(
    ("flags", "live", "afterwards"),
    [
        (0, False, Afterwards.GOES_ON),
        (1, False, Afterwards.CRASHES),
        (2 | 4 | 16, True, Afterwards.GOES_ON),
        (8, False, Afterwards.IS_RESET),
    ],
)
def test_a_dump_is_asked_for_in_both_ways(domains: FakeDomains, flags: int, live: bool, afterwards: Afterwards) -> None:
    dumps = Dumps()
    services = replace(services_of(domains), core_dumps=dumps)  # type: ignore[arg-type]
    answered(services, Remote.DOMAIN_CORE_DUMP, DOM, "/x", flags)
    answered(services, Remote.DOMAIN_CORE_DUMP_WITH_FORMAT, DOM, "/x", 0, flags)
    assert dumps.asked == [("/x", live, afterwards)] * 2


@pytest.mark.parametrize("flags", [1 | 2, 1 | 8, 2 | 8])
def test_what_contradicts_itself_is_no_dump(domains: FakeDomains, flags: int) -> None:
    with pytest.raises(InvalidArgumentError, match="mutually exclusive"):
        ask(domains, Remote.DOMAIN_CORE_DUMP, DOM, "/x", flags)


def test_formats_of_kernels_are_refused_in_words(domains: FakeDomains) -> None:
    with pytest.raises(ArgumentUnsupportedError, match="archive of ELF cores"):
        ask(domains, Remote.DOMAIN_CORE_DUMP_WITH_FORMAT, DOM, "/x", 1, 16)
