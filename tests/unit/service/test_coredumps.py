"""A guest is dumped as a job: its file is whole or not there, and what becomes of the guest is what was asked for."""

import asyncio
import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from insula.engine.dump.archivefile import ArchiveFile
from insula.engine.dump.treelook import PROGRESS
from insula.errors import OperationAbortedError, OperationFailedError, OperationInvalidError
from insula.model.numbers import JobOperation, JobType
from insula.service.coredumps import Afterwards
from insula.service.events import JobCompleted
from tests.unit.service.fakes import REBOOTED, WEB, Rig, until
from tests.unit.service.watching import defined, state, told

pytestmark = pytest.mark.asyncio


class Writer:
    """Stands for the look that writes: says that it is half way through, and ends when it is told to."""

    def __init__(self, rig: Rig) -> None:
        self.go = asyncio.Event()
        self.asked: list[Any] = []
        look = rig.looker.look

        async def write(sight: Any, name: str, arguments: Any, fds: Any, **options: Any) -> Any:
            if name != "dump-tree":
                return await look(sight, name, arguments, fds, **options)
            self.asked.append(arguments)
            os.write(fds["file"], b"cores")
            os.pwrite(fds["progress"], PROGRESS.pack(100, 50), 0)
            await self.go.wait()
            return {"processes": 1, "bytes": 5, "incomplete": 0}

        rig.looker.look = write  # type: ignore[method-assign, assignment]


def dump(
    rig: Rig, ref: Any, path: Path | str, afterwards: Afterwards = Afterwards.GOES_ON, *, live: bool = False
) -> Any:
    verbs = rig.domains.services.core_dumps
    return verbs.dump(rig.domains.of(ref), str(path), live=live, afterwards=afterwards)


@pytest.mark.parametrize("live", [False, True])
async def test_a_dump_is_a_job_that_tells_how_far_it_is_and_leaves_the_guest_as_it_is(
    rig: Rig, tmp_path: Path, live: bool
) -> None:
    ref, writer = await rig.domains.start(await defined(rig)), Writer(rig)
    dumping = asyncio.create_task(dump(rig, ref, tmp_path / "web.dump", live=live))
    job: Any = None

    def half_way() -> bool:
        nonlocal job
        job = rig.domains.of(ref).lock.job
        return job is not None and job.progress.memory_done == 50

    await until(half_way)
    assert (job.operation, job.progress.memory_total) == (JobOperation.DUMP, 100)
    assert not (tmp_path / "web.dump").exists()
    writer.go.set()
    await dumping

    assert [each["live"] for each in writer.asked] == [live]
    assert (tmp_path / "web.dump").read_bytes() == b"cores"
    assert state(rig, ref) == ("running", "booted")
    assert job.outcome is JobType.COMPLETED and rig.domains.of(ref).lock.last_job is job
    assert [each for each in rig.told if isinstance(each, JobCompleted)]


async def test_a_dump_that_is_given_up_leaves_no_file(rig: Rig, tmp_path: Path) -> None:
    ref, writer = await rig.domains.start(await defined(rig)), Writer(rig)
    dumping = asyncio.create_task(dump(rig, ref, tmp_path / "web.dump"))
    await until(lambda: writer.asked)
    job = rig.domains.of(ref).lock.job
    assert job is not None
    job.abort("somebody")
    with pytest.raises(OperationAbortedError, match="core dump of domain 'web' was given up, because of somebody"):
        await dumping
    await until(lambda: [each for each in os.listdir(tmp_path) if each.startswith("web.dump")] == [])
    assert state(rig, ref) == ("running", "booted")


async def test_a_guest_that_is_destroyed_is_not_dumped_to_the_end(rig: Rig, tmp_path: Path) -> None:
    ref, writer = await rig.domains.start(await defined(rig)), Writer(rig)
    dumping = asyncio.create_task(dump(rig, ref, tmp_path / "web.dump"))
    await until(lambda: writer.asked)
    await rig.domains.destroy(ref)
    with pytest.raises(OperationAbortedError):
        await dumping
    assert state(rig, ref) == ("shutoff", "destroyed")


async def test_a_guest_may_crash_after_its_dump_and_nothing_follows(rig: Rig, tmp_path: Path) -> None:
    ref, writer = await rig.domains.start(await defined(rig, "<on_crash>restart</on_crash>")), Writer(rig)
    writer.go.set()
    await dump(rig, ref, tmp_path / "web.dump", Afterwards.CRASHES)
    assert state(rig, ref) == ("shutoff", "crashed")
    assert told(rig)[-1] == "jobcompleted" and "stopped crashed" in told(rig)


async def test_a_guest_may_be_reset_after_its_dump(rig: Rig, tmp_path: Path) -> None:
    ref, writer = await rig.domains.start(await defined(rig)), Writer(rig)
    writer.go.set()
    await dump(rig, ref, tmp_path / "web.dump", Afterwards.IS_RESET)
    assert state(rig, ref) == ("running", "booted") and rig.launches() == 2


async def test_what_the_look_cannot_do_is_said_and_leaves_no_file(rig: Rig, tmp_path: Path) -> None:
    ref = await rig.domains.start(await defined(rig))
    rig.looker.sights.append(OSError(errno.ENOSPC, "it needs 3 MiB and some room beside it, and 1 MiB are free there"))
    with pytest.raises(OperationFailedError, match=r"'web' cannot be dumped to '.*': it needs 3 MiB"):
        await dump(rig, ref, tmp_path / "web.dump")
    assert [each for each in os.listdir(tmp_path) if each.startswith("web.dump")] == []
    assert state(rig, ref) == ("running", "booted")


async def test_what_is_off_or_has_no_place_to_go_is_refused(rig: Rig, tmp_path: Path) -> None:
    ref = await defined(rig)
    with pytest.raises(OperationInvalidError, match="domain is not running"):
        await dump(rig, ref, tmp_path / "web.dump")
    await rig.domains.start(ref)
    with pytest.raises(OperationFailedError, match="no absolute path"):
        await dump(rig, ref, "web.dump")
    with pytest.raises(OperationFailedError, match="No such file or directory"):
        await dump(rig, ref, tmp_path / "nowhere" / "web.dump")


@pytest.mark.parametrize("afterwards", [Afterwards.CRASHES, Afterwards.IS_RESET])
async def test_a_dump_that_is_given_up_as_it_kills_the_guest_leaves_no_domain_half_way(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, afterwards: Afterwards
) -> None:
    ref, writer = await rig.domains.start(await defined(rig)), Writer(rig)
    managed, destroy = rig.domains.of(ref), rig.engine.teardown.destroy
    killing, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(*arguments: Any) -> Any:
        killing.set()
        await go_on.wait()
        return await destroy(*arguments)

    monkeypatch.setattr(rig.engine.teardown, "destroy", slowly)
    writer.go.set()
    dumping = asyncio.create_task(dump(rig, ref, tmp_path / "web.dump", afterwards))
    await killing.wait()
    job = managed.lock.job
    assert job is not None
    job.abort("somebody")
    await asyncio.sleep(0.01)
    go_on.set()
    await dumping
    assert job.outcome is JobType.COMPLETED and (tmp_path / "web.dump").exists()
    wanted = ("shutoff", "crashed") if afterwards is Afterwards.CRASHES else ("running", "booted")
    assert state(rig, ref) == wanted and managed.lock.holder is None


@pytest.mark.parametrize("afterwards", Afterwards)
async def test_a_guest_that_reboots_as_it_is_dumped_is_neither_killed_nor_taken_for_the_one_before(
    rig: Rig, tmp_path: Path, afterwards: Afterwards
) -> None:
    ref, writer = await rig.domains.start(await defined(rig)), Writer(rig)
    dumping = asyncio.create_task(dump(rig, ref, tmp_path / "web.dump", afterwards))
    await until(lambda: writer.asked)
    rig.end(WEB, REBOOTED)
    await until(lambda: rig.launches() == 2 and state(rig, ref) == ("running", "booted"))
    writer.go.set()
    with pytest.raises(OperationFailedError, match="ended, or rebooted, while it was dumped"):
        await dumping
    assert state(rig, ref) == ("running", "booted") and rig.launches() == 2
    assert [each for each in os.listdir(tmp_path) if each.startswith("web.dump")] == []


async def test_a_dump_that_is_given_up_before_its_file_is_there_leaves_none(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = await rig.domains.start(await defined(rig))
    begin, begun, go_on = ArchiveFile.begin, threading.Event(), threading.Event()

    def slowly(path: str) -> ArchiveFile:
        file = begin(path)
        begun.set()
        go_on.wait()
        return file

    monkeypatch.setattr(ArchiveFile, "begin", slowly)
    before = set(os.listdir("/proc/self/fd"))
    dumping = asyncio.create_task(dump(rig, ref, tmp_path / "web.dump"))
    await until(begun.is_set)
    job = rig.domains.of(ref).lock.job
    assert job is not None
    job.abort("somebody")
    with pytest.raises(OperationAbortedError):
        await dumping
    go_on.set()
    await until(lambda: [each for each in os.listdir(tmp_path) if each.startswith("web.dump")] == [])
    await until(lambda: set(os.listdir("/proc/self/fd")) == before)
