"""Dumping what a guest's processes have in memory, as a job: a look writes it, which may be killed at any moment."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum
from functools import partial

from insula.engine.dump.archivefile import ArchiveFile
from insula.engine.dump.treelook import PROGRESS
from insula.engine.look.looking import Sight
from insula.engine.threads import OWN_THREADS, in_own_thread
from insula.errors import OperationFailedError, without_errno
from insula.kernel.fds import Fd
from insula.model.numbers import JobOperation
from insula.service.containers import Looking
from insula.service.events import Events, JobCompleted
from insula.service.jobs import Job, JobProgress, job_parameters
from insula.service.lifecycle import LifecycleVerbs
from insula.service.managed import ManagedDomain

_TOLD_APART = 0.2
"""Seconds between two looks at how far it is."""


class Afterwards(Enum):
    """What becomes of a guest that was dumped."""

    GOES_ON = "goes on"
    CRASHES = "crashes"
    IS_RESET = "is reset"


class CoreDumpVerbs:
    """Writes archives of cores."""

    def __init__(self, *, lifecycle: LifecycleVerbs, looker: Looking, events: Events) -> None:
        self._lifecycle = lifecycle
        self._looker = looker
        self._events = events

    async def dump(self, managed: ManagedDomain, path: str, *, live: bool, afterwards: Afterwards) -> None:
        """Write all that a guest's processes have in memory into a file of the host's.

        live: not all of them stand still at once, but one after another. Raises: OperationInvalidError if it is off;
        OperationFailedError, and no file is there that was not before; OperationAbortedError if the job was given up.
        """
        managed.require_run()
        job = Job(operation=JobOperation.DUMP, verb="core dump")
        job.ended = lambda: self._events.publish(JobCompleted(domain=managed.ref, parameters=job_parameters(job)))
        await managed.lock.perform_job(job, partial(self._work, managed, job, path, live, afterwards))

    async def _work(self, managed: ManagedDomain, job: Job, path: str, live: bool, afterwards: Afterwards) -> None:
        run = managed.require_run()
        try:
            file = await _begun(path)
        except OSError as error:
            raise OperationFailedError(f"'{path}' cannot be written: {error.strerror}") from error
        kept = False

        async def finish() -> None:
            nonlocal kept
            if managed.run is not run:  # what follows it is another guest, of which nothing was dumped
                raise OperationFailedError(
                    f"domain '{managed.name}' ended, or rebooted, while it was dumped to '{path}'"
                )
            await in_own_thread(file.keep)
            kept = True
            if afterwards is Afterwards.CRASHES:
                await self._lifecycle.crash_locked(managed)
            elif afterwards is Afterwards.IS_RESET:
                await self._lifecycle.reset_locked(managed)

        try:
            async with _watched(job) as progress:
                container = run.container
                arguments = {"group": container.group.directories[-1], "init": container.pid, "live": live}
                sight = Sight(whose=f"{managed.uuid} as it is dumped", name=f"domain '{managed.name}'")
                fds = {"file": file.fd, "progress": progress}
                await self._looker.look(sight, "dump-tree", arguments, fds, seconds=None)
            await managed.lock.last_step(job, finish)
        except OSError as error:
            why = without_errno(str(error))
            raise OperationFailedError(f"domain '{managed.name}' cannot be dumped to '{path}': {why}") from error
        finally:
            if not kept:
                file.drop()
            OWN_THREADS.submit(
                file.close
            )  # with the last who has it open, all that was written is freed: not in the loop


async def _begun(path: str) -> ArchiveFile:
    """Begin a file; of one that is begun when nobody wants it any more nothing is left. Raises: OSError."""
    beginning = asyncio.ensure_future(in_own_thread(partial(ArchiveFile.begin, path)))
    try:
        return await asyncio.shield(beginning)
    except asyncio.CancelledError:
        beginning.add_done_callback(_discard)
        raise


def _discard(beginning: asyncio.Future[ArchiveFile]) -> None:
    if beginning.exception() is None:
        beginning.result().drop()
        beginning.result().close()


@asynccontextmanager
async def _watched(job: Job) -> AsyncIterator[Fd]:
    """Give a file for how far the work is, and let the job say it while the block lasts."""
    progress = Fd(os.memfd_create("insula-dump-progress", os.MFD_CLOEXEC))

    def see() -> None:
        data = os.pread(progress, PROGRESS.size, 0)
        if len(data) == PROGRESS.size:
            total, done = PROGRESS.unpack(data)
            job.progress = JobProgress(memory_total=total, memory_done=done)

    async def watch() -> None:
        while True:
            await asyncio.sleep(_TOLD_APART)
            see()

    watching = asyncio.get_running_loop().create_task(watch(), name="watch a core dump")
    try:
        yield progress
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        see()
        os.close(progress)
