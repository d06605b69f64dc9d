"""Jobs of domains: core dumps, how far they are, how the last one ended, and giving one up."""

from itertools import combinations

from insula.daemon.incomingcall import Answer, Handler, IncomingCall
from insula.errors import ArgumentUnsupportedError, OperationInvalidError
from insula.model.numbers import JobType
from insula.rpc.codes.domaincodes import DumpFlags, JobStatsFlags
from insula.rpc.procedures import Procedure, Remote
from insula.service.coredumps import Afterwards
from insula.service.jobs import amounts, job_parameters
from insula.service.managed import ManagedDomain

_DUMP = DumpFlags.CRASH | DumpFlags.LIVE | DumpFlags.BYPASS_CACHE | DumpFlags.RESET | DumpFlags.MEMORY_ONLY
_AFTERWARDS = {DumpFlags.CRASH: Afterwards.CRASHES, DumpFlags.RESET: Afterwards.IS_RESET}
_NO_JOB = (JobType.NONE, *(0,) * 11)


def _info(request: IncomingCall, domain: ManagedDomain) -> Answer:
    """type, then milliseconds since the beginning and to the end (nobody knows), then bytes: all, done and left of all
    data, of the memory, of files."""
    job = domain.lock.job
    if job is None:
        return _NO_JOB
    return (job.type, int(job.elapsed * 1000), 0, *(number for _, numbers in amounts(job) for number in numbers))


def _stats(request: IncomingCall, domain: ManagedDomain, flags: int) -> Answer:
    """The job that goes on; with COMPLETED the one that ended last, which is then forgotten unless it is to be kept."""
    request.allow_flags(flags, JobStatsFlags.COMPLETED | JobStatsFlags.KEEP_COMPLETED)
    if not flags & JobStatsFlags.COMPLETED:
        job = domain.lock.job
    else:
        job = domain.lock.last_job
        if not flags & JobStatsFlags.KEEP_COMPLETED:
            domain.lock.last_job = None
    return (JobType.NONE, ()) if job is None else (job.type, list(job_parameters(job)))


def _abort(request: IncomingCall, domain: ManagedDomain) -> Answer:
    """Returns at once: the job's caller is told, and what the job cleans up is waited for by nobody."""
    if domain.lock.job is None:
        raise OperationInvalidError("no job is active on the domain")
    domain.lock.job.abort(f"{request.call.procedure.api} of {request.client}")
    return None


def _abort_with_flags(request: IncomingCall, domain: ManagedDomain, flags: int) -> Answer:
    request.allow_flags(flags, 0)
    return _abort(request, domain)


async def _dump(request: IncomingCall, domain: ManagedDomain, to: str, flags: int) -> Answer:
    """An archive of cores has nothing but memory in it, and never stays in the host's cache."""
    request.allow_flags(flags, _DUMP)
    for one, other in combinations((DumpFlags.CRASH, DumpFlags.LIVE, DumpFlags.RESET), 2):
        request.exclusive_flags(flags, one, other)
    afterwards = _AFTERWARDS.get(DumpFlags(flags) & (DumpFlags.CRASH | DumpFlags.RESET), Afterwards.GOES_ON)
    await request.services.core_dumps.dump(domain, to, live=bool(flags & DumpFlags.LIVE), afterwards=afterwards)
    return None


async def _dump_with_format(
    request: IncomingCall, domain: ManagedDomain, to: str, dumpformat: int, flags: int
) -> Answer:
    if dumpformat:
        raise ArgumentUnsupportedError(
            "kdump and win-dmp are dumps of kernels; the raw format is an archive of ELF cores here"
        )
    return await _dump(request, domain, to, flags)


HANDLERS: dict[Procedure, Handler] = {
    Remote.DOMAIN_GET_JOB_INFO: _info,
    Remote.DOMAIN_GET_JOB_STATS: _stats,
    Remote.DOMAIN_CORE_DUMP: _dump,
    Remote.DOMAIN_CORE_DUMP_WITH_FORMAT: _dump_with_format,
    Remote.DOMAIN_ABORT_JOB: _abort,
    Remote.DOMAIN_ABORT_JOB_FLAGS: _abort_with_flags,
}
