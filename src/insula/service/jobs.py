"""Jobs: what takes long with a domain (saving, migrating, backing up, taking memory), and what may go on beside it.

A job does not hold the domain's lock for all its time. While it goes on, the lock lets in the changes that the job's
kind allows; the job itself takes it for each of its own steps (StateChangeLock.step). What ends the guest is always
let in, and makes the job give up.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Flag, auto
from typing import Any

from insula.engine.spec import Limits
from insula.model.numbers import JobOperation, JobType, ParameterType
from insula.model.sizes import KiB
from insula.service.parameters import Parameter


class OperationKind(Flag):
    """Kinds of what is done to a domain, as far as jobs tell them apart."""

    ENDING = auto()
    """The guest is ended, or has ended: never waits for a job."""
    SUSPENSION = auto()
    """Suspend, resume."""
    LIMITS = auto()
    """What the running guest may use, but for its memory."""
    MEMORY = auto()
    """How much memory the running guest may use."""
    DEFINITION = auto()
    """What is kept for the next start, and names that nobody runs by: metadata, autostart."""
    LIFE = auto()
    """Everything else: start, shutdown, devices."""


NOTHING = OperationKind(0)

BESIDE: Mapping[JobOperation, OperationKind] = {
    JobOperation.UNKNOWN: OperationKind.SUSPENSION
    | OperationKind.LIMITS
    | OperationKind.DEFINITION
    | OperationKind.LIFE,
    JobOperation.START: NOTHING,
    JobOperation.SAVE: NOTHING,
    JobOperation.RESTORE: NOTHING,
    JobOperation.MIGRATION_IN: NOTHING,
    JobOperation.MIGRATION_OUT: OperationKind.SUSPENSION,
    JobOperation.SNAPSHOT: NOTHING,
    JobOperation.SNAPSHOT_REVERT: NOTHING,
    JobOperation.DUMP: NOTHING,
    JobOperation.BACKUP: OperationKind.SUSPENSION
    | OperationKind.LIMITS
    | OperationKind.MEMORY
    | OperationKind.DEFINITION
    | OperationKind.LIFE,
    JobOperation.SNAPSHOT_DELETE: OperationKind.SUSPENSION | OperationKind.LIMITS | OperationKind.MEMORY,
}
"""What may go on beside a job of each kind, besides the ending of the guest.

A saved or moved guest must be what was described when the job began, so nothing changes meanwhile; one that moves may
be suspended, which helps it to get there. A backup reads a copy of the disks, and a snapshot is removed below a guest
that does not notice. libvirt has no word for the taking of memory, which is UNKNOWN: all else goes on beside it.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobProgress:
    """Bytes: of the memory, and of files, that there are, and that are done."""

    memory_total: int = 0
    memory_done: int = 0
    file_total: int = 0
    file_done: int = 0

    @property
    def total(self) -> int:
        return self.memory_total + self.file_total

    @property
    def done(self) -> int:
        return self.memory_done + self.file_done


def _nothing() -> None:
    """Nobody is told."""


@dataclass(kw_only=True, slots=True)
class Job:
    """One job. verb: what the administrator knows it by; outcome: how it ended, None while it goes on; error: why not.

    give_up: ends its work; the lock sets it when the work begins; ended: called once it has ended.
    """

    operation: JobOperation
    verb: str
    progress: JobProgress = JobProgress()
    began: float = field(default_factory=time.monotonic)
    elapsed_at_end: float = 0.0
    outcome: JobType | None = None
    error: str = ""
    aborted_by: str = ""
    give_up: Callable[[], None] | None = None
    ended: Callable[[], None] = _nothing

    def allows(self, change: OperationKind) -> bool:
        """Whether a change of this kind may be made while the job goes on."""
        return bool(change & (BESIDE[self.operation] | OperationKind.ENDING))

    @property
    def elapsed(self) -> float:
        """Seconds that it has taken."""
        return self.elapsed_at_end if self.outcome is not None else time.monotonic() - self.began

    @property
    def type(self) -> JobType:
        """How it goes, as clients are told."""
        if self.outcome is not None:
            return self.outcome
        return JobType.BOUNDED if self.progress.total else JobType.UNBOUNDED

    def abort(self, by: str) -> None:
        """Make the job give up at once; it tells its caller that by did it. Again, or afterwards, nothing happens."""
        if self.outcome is None and not self.aborted_by:
            self.aborted_by = by
            if self.give_up is not None:
                self.give_up()

    def end(self, outcome: JobType, error: str = "") -> None:
        """Note how it ended."""
        self.elapsed_at_end = self.elapsed
        self.outcome, self.error = outcome, error
        self.ended()


@dataclass(kw_only=True, slots=True)
class MemoryJob(Job):
    """Takes memory from a running guest.

    wanted: the limits that its record says are being put meanwhile; bound: the most it holds for now, in KiB, None
    before that is known; over: nothing is done about it any more, and the guest's limits are what its definition says.
    """

    wanted: Limits
    bound: KiB | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)


ENDED = frozenset({JobType.COMPLETED, JobType.FAILED, JobType.CANCELLED})


def amounts(job: Job) -> tuple[tuple[str, tuple[int, int, int]], ...]:
    """Return the bytes of all data, of the memory and of files: all, those that are done, and those that are left."""
    of = job.progress
    pairs = (
        ("data", of.total, of.done),
        ("memory", of.memory_total, of.memory_done),
        ("disk", of.file_total, of.file_done),
    )
    return tuple((what, (total, done, max(total - done, 0))) for what, total, done in pairs)


def job_parameters(job: Job) -> tuple[Parameter, ...]:
    """Return how a job goes, or ended. Source of the names: VIR_DOMAIN_JOB_… in libvirt's public domain header."""
    found = [
        Parameter("operation", ParameterType.INT, int(job.operation)),
        Parameter("time_elapsed", ParameterType.ULLONG, int(job.elapsed * 1000)),
    ]
    for what, numbers in amounts(job):
        for name, number in zip(("total", "processed", "remaining"), numbers, strict=True):
            found.append(Parameter(f"{what}_{name}", ParameterType.ULLONG, number))
    if job.type in ENDED:
        found.append(Parameter("success", ParameterType.BOOLEAN, int(job.type is JobType.COMPLETED)))
    if job.error:
        found.append(Parameter("errmsg", ParameterType.STRING, job.error))
    return tuple(found)


def described(job: Job) -> dict[str, Any]:
    """Return it as JSON values; sizes are bytes, times nanoseconds."""
    return {
        "verb": job.verb,
        "state": job.type.name.lower() if job.type in ENDED else "going on",
        "elapsed": int(job.elapsed * 1_000_000_000),
        "total": job.progress.total,
        "done": job.progress.done,
        "error": job.error or None,
    }
