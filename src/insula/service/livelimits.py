"""Limits of a guest that runs: those that hold are those that are told, whoever dies amid a change.

record: these are being put ─► the control group ─► the live definition is written ─► record: nothing is being put
"""

from __future__ import annotations

import logging
from dataclasses import fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from insula.engine.launch import limits
from insula.engine.launch.limits import SEVERAL
from insula.engine.spec import Limits
from insula.engine.threads import in_own_thread
from insula.errors import InsulaError, OperationAbortedError, OperationFailedError
from insula.kernel.cgroups import UNLIMITED, BlockLimit, GroupKey
from insula.model.numbers import JobOperation, JobType
from insula.model.sizes import KiB
from insula.service.domainlimits import limits_of
from insula.service.jobs import Job, MemoryJob

if TYPE_CHECKING:
    from insula.engine.launch.runningcontainer import Running
    from insula.model.domain import DomainDefinition
    from insula.service.managed import ManagedDomain, Run
    from insula.service.runs import Runs

LOGGER = logging.getLogger(__name__)


class LiveLimits:
    """Puts limits on guests. Callers hold the domain's lock."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    async def put(self, managed: ManagedDomain, wanted: Limits) -> None:
        """Put limits on the guest. They count once the live definition does (`Runs.change_domain`).

        A job that took memory from it, and was given up, is waited for before its memory is limited.

        Raises: as `engine.launch.limits.change`, and those that were put by then are taken back; OperationFailedError
        where that cannot be written down.
        """
        run = managed.require_run()
        if wanted.pids == UNLIMITED:  # no guest is without a number of its own
            wanted = replace(wanted, pids=self._runs.usual_tasks)
        if wanted.memory_guarantee is not None:
            self._runs.guarantees.claim(managed, KiB(wanted.memory_guarantee // 1024))
            try:
                await self._put(managed, run, wanted)
            finally:
                self._runs.guarantees.settled(managed.uuid)
        else:
            await self._put(managed, run, wanted)

    async def _put(self, managed: ManagedDomain, run: Run, wanted: Limits) -> None:
        if _concerns_memory(wanted) and run.memory_job is not None and managed.lock.job is not run.memory_job:
            await managed.lock.unless_overtaken(_over(run.memory_job))
        try:
            self._runs.journal.change(managed, replace(run.record, limiting=run.limiting(wanted)))
        except OSError as error:
            raise OperationFailedError(
                f"the limits of domain '{managed.name}' stay: the next insulad would not know them, as its run "
                f"directory cannot be written ({error.strerror})"
            ) from error
        try:
            # The kernel may take seconds to reclaim what a lower limit takes away.
            await managed.lock.unless_overtaken(in_own_thread(partial(limits.change_running, run.container, wanted)))
        except InsulaError:
            if managed.run is run:
                await self.settle(managed, run.container, wanted)
            raise

    async def settle_interrupted(self, managed: ManagedDomain, container: Running) -> None:
        """Undo a change that the daemon before did not live to finish: nobody was told of it."""
        try:
            memory = container.group.memory
            undone = memory.has_unfinished and await in_own_thread(memory.undo_unfinished)
        except OSError as error:
            LOGGER.error("the memory limit of domain '%s', half changed, cannot be put back: %s", managed.name, error)
            return
        if undone:
            LOGGER.warning("a change of the memory limit of domain '%s', cut short, was undone", managed.name)
        put = managed.require_run().record.limiting
        if put is None:
            return
        await self.settle(managed, container, put)
        if put.memory is not None:
            cut_short = Job(operation=JobOperation.UNKNOWN, verb="set memory")
            cut_short.end(JobType.FAILED, "insulad ended meanwhile; the guest has the memory that its definition says")
            managed.lock.last_job = cut_short

    async def settle(self, managed: ManagedDomain, container: Running, put: Limits) -> None:
        """Put on the guest what its live definition says, where something else was put, or may be, that never counted.

        The administrator is told where that cannot be done.
        """
        run = managed.require_run()
        try:
            wanted = limits_instead(managed.current, put, self._runs.usual_tasks)
            await managed.lock.unless_overtaken(in_own_thread(partial(limits.change_running, container, wanted)))
        except OperationAbortedError:
            return  # the guest is being ended
        except InsulaError as error:
            LOGGER.error("domain '%s' may have a limit that nobody was told of: %s", managed.name, error)
            managed.notice(f"it may have a limit that nobody was told of: {error}")
        if managed.run is run:
            self._runs.journal.record_container(managed, container)


def _concerns_memory(wanted: Limits) -> bool:
    return any(getattr(wanted, name) is not None for name in ("memory", "memory_soft", "memory_and_swap"))


async def _over(job: MemoryJob) -> None:
    await job.over.wait()


def limits_instead(domain: DomainDefinition, put: Limits, usual_tasks: int) -> Limits:
    """Return what domain says about each limit that was put, and what takes away those that it says nothing about.

    usual_tasks: how many a domain may have that says nothing of them.

    Raises: InvalidArgumentError for the limit of a block device that the host has not.
    """
    said = limits_of(domain)
    said = replace(said, pids=usual_tasks if said.pids is None else said.pids)
    names = {each.name for each in fields(Limits) if getattr(put, each.name) is not None} - SEVERAL.keys()
    several: dict[str, Any] = {}
    for name, known_by in SEVERAL.items():
        known = {known_by(each): each for each in getattr(said, name)}
        several[name] = tuple(_instead(known.get(known_by(each)), each) for each in getattr(put, name))
    return replace(limits.only(said, names), **several)


def _instead(said: Any, put: Any) -> Any:
    """Return which one of several limits is to be put instead of another, which never counted."""
    match put:
        case BlockLimit():
            return _device_instead(said, put)
        case GroupKey():
            return said or replace(put, value=None)
        case _:
            return said or replace(put, limit=UNLIMITED)


def _device_instead(said: BlockLimit | None, put: BlockLimit) -> BlockLimit:
    """The kernel's 0 is none."""
    rates = {each.name for each in fields(BlockLimit)} - {"major", "minor"}
    values = {name: getattr(said, name, None) or 0 for name in rates if getattr(put, name) is not None}
    return BlockLimit(major=put.major, minor=put.minor, **values)
