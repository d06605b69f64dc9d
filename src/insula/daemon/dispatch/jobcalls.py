"""Jobs of domains: how far they are, how the last one ended, and giving one up."""

from insula.daemon.incomingcall import Answer, Handler, IncomingCall
from insula.errors import OperationInvalidError
from insula.model.numbers import JobType, ParameterType
from insula.rpc.codes.domaincodes import JobStatsFlags
from insula.rpc.procedures import Procedure, Remote
from insula.service.jobs import Job
from insula.service.managed import ManagedDomain
from insula.service.parameters import Parameter

_NO_JOB = (JobType.NONE, *(0,) * 11)
_ENDED = frozenset({JobType.COMPLETED, JobType.FAILED, JobType.CANCELLED})


def _info(request: IncomingCall, domain: ManagedDomain) -> Answer:
    """type, then milliseconds since the beginning and to the end (nobody knows), then bytes: all, done and left of all
    data, of the memory, of files."""
    job = domain.lock.job
    if job is None:
        return _NO_JOB
    return (job.type, int(job.elapsed * 1000), 0, *(number for _, numbers in _amounts(job) for number in numbers))


def _stats(request: IncomingCall, domain: ManagedDomain, flags: int) -> Answer:
    """The job that goes on; with COMPLETED the one that ended last, which is then forgotten unless it is to be kept."""
    request.allow_flags(flags, JobStatsFlags.COMPLETED | JobStatsFlags.KEEP_COMPLETED)
    if not flags & JobStatsFlags.COMPLETED:
        job = domain.lock.job
    else:
        job = domain.lock.last_job
        if not flags & JobStatsFlags.KEEP_COMPLETED:
            domain.lock.last_job = None
    return (JobType.NONE, ()) if job is None else (job.type, _parameters(job))


def _parameters(job: Job) -> list[Parameter]:
    """Source of the names: VIR_DOMAIN_JOB_… in libvirt's public domain header."""
    found = [
        Parameter("operation", ParameterType.INT, int(job.operation)),
        Parameter("time_elapsed", ParameterType.ULLONG, int(job.elapsed * 1000)),
    ]
    for what, numbers in _amounts(job):
        for name, number in zip(("total", "processed", "remaining"), numbers, strict=True):
            found.append(Parameter(f"{what}_{name}", ParameterType.ULLONG, number))
    if job.type in _ENDED:
        found.append(Parameter("success", ParameterType.BOOLEAN, int(job.type is JobType.COMPLETED)))
    if job.error:
        found.append(Parameter("errmsg", ParameterType.STRING, job.error))
    return found


def _amounts(job: Job) -> tuple[tuple[str, tuple[int, int, int]], ...]:
    """All bytes, those that are done, and those that are left."""
    of = job.progress
    pairs = (
        ("data", of.total, of.done),
        ("memory", of.memory_total, of.memory_done),
        ("disk", of.file_total, of.file_done),
    )
    return tuple((what, (total, done, max(total - done, 0))) for what, total, done in pairs)


def _abort(request: IncomingCall, domain: ManagedDomain) -> Answer:
    """Returns at once: the job's caller is told, and what the job cleans up is waited for by nobody."""
    if domain.lock.job is None:
        raise OperationInvalidError("no job is active on the domain")
    domain.lock.job.abort(f"{request.call.procedure.api} of {request.client}")
    return None


def _abort_with_flags(request: IncomingCall, domain: ManagedDomain, flags: int) -> Answer:
    request.allow_flags(flags, 0)
    return _abort(request, domain)


HANDLERS: dict[Procedure, Handler] = {
    Remote.DOMAIN_GET_JOB_INFO: _info,
    Remote.DOMAIN_GET_JOB_STATS: _stats,
    Remote.DOMAIN_ABORT_JOB: _abort,
    Remote.DOMAIN_ABORT_JOB_FLAGS: _abort_with_flags,
}
