"""Statistics of domains: one domain at a time, and all in bulk."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from insula.daemon.incomingcall import Answer, Handler, IncomingCall
from insula.daemon.wire import counted, shown, to_wire
from insula.errors import ArgumentUnsupportedError, InvalidArgumentError, OperationFailedError
from insula.model.numbers import ListDomains, ParameterType, StatsTypes
from insula.rpc import wiretypes
from insula.rpc.codes.requestcodes import StatsFlags
from insula.rpc.frames import LENGTH_MAX
from insula.rpc.procedures import Procedure, Remote
from insula.service import bulkstats, listing, statistics
from insula.service.domains import Domains
from insula.service.managed import ManagedDomain
from insula.service.parameters import Parameter

_TOTAL = -1
_KNOWN_STATS = (
    StatsTypes.STATE
    | StatsTypes.CPU_TOTAL
    | StatsTypes.BALLOON
    | StatsTypes.VCPU
    | StatsTypes.INTERFACE
    | StatsTypes.BLOCK
)
_FILTERS = 0xFF
_DOMAINS_A_TURN = 8


def _cpu_stats(
    request: IncomingCall, domain: ManagedDomain, nparams: int, start_cpu: int, ncpus: int, flags: int
) -> Answer:
    """Totals (start -1), or processors from start on, each with the same number of parameters.

    Asked with no room, only how many parameters a processor has, none where the kernel does not tell them apart; asked
    for no processors at all, how many of those there are.
    """
    stats = statistics.cpu_stats(domain)
    if start_cpu == _TOTAL:
        if ncpus != 1:
            raise InvalidArgumentError(f"{ncpus} processors asked for where all count as one")
        return counted(shown(stats.total, flags), nparams)
    if ncpus == 0 and nparams == 0:
        return (), stats.processors
    if not 0 <= start_cpu < stats.processors:
        raise InvalidArgumentError(f"start_cpu {start_cpu} larger than maximum of {stats.processors - 1}")
    width = len(stats.each[0]) if stats.each else 0
    if nparams == 0:
        return (), width
    width = min(width, nparams)
    cpus = stats.each[start_cpu : start_cpu + ncpus]
    return [parameter for cpu in cpus for parameter in cpu[:width]], width


def _memory_stats(request: IncomingCall, domain: ManagedDomain, max_stats: int, flags: int) -> Answer:
    return (statistics.memory_stats(domain)[:max_stats],)


def _block_stats(request: IncomingCall, domain: ManagedDomain, path: str) -> Answer:
    stats = statistics.block_stats(domain, path)
    return stats.read_requests, stats.read_bytes, stats.write_requests, stats.write_bytes, -1


def _block_stats_with_flags(
    request: IncomingCall, domain: ManagedDomain, path: str, nparams: int, flags: int
) -> Answer:
    stats = statistics.block_stats(domain, path)
    named = (
        ("rd_operations", stats.read_requests),
        ("rd_bytes", stats.read_bytes),
        ("wr_operations", stats.write_requests),
        ("wr_bytes", stats.write_bytes),
    )
    return counted([Parameter(name, ParameterType.LLONG, value) for name, value in named], nparams)


def _interface_stats(request: IncomingCall, domain: ManagedDomain, device: str) -> Answer:
    stats = statistics.interface_stats(domain, device)
    return (
        stats.received_bytes,
        stats.received_packets,
        stats.received_errors,
        stats.received_drops,
        stats.sent_bytes,
        stats.sent_packets,
        stats.sent_errors,
        stats.sent_drops,
    )


async def _all_stats(request: IncomingCall, doms: Sequence[wiretypes.DomainRef], stats: int, flags: int) -> Answer:
    """A few domains at a time, for reading the control groups of a thousand takes a good part of a second. Those that
    vanish meanwhile are left out, and one that is named twice is told once.

    Raises: OperationFailedError as soon as it is known that no packet can hold the answer.
    """
    unknown = stats & ~int(_KNOWN_STATS)
    if unknown and flags & StatsFlags.ENFORCE_STATS:
        raise ArgumentUnsupportedError(f"stats types bits 0x{unknown:x} are not supported by this daemon")
    groups = StatsTypes(stats & _KNOWN_STATS)
    domains, chosen = request.services.domains, ListDomains(flags & _FILTERS)
    named = [UUID(bytes=each) for each in {each.uuid: None for each in doms}]
    async with request.client.bulk:
        uuids = named or [each.uuid for each in listing.chosen(domains, chosen)]
        return (await _stats_of(domains, uuids, groups, chosen, only_named=bool(stats) and not groups),)


async def _stats_of(
    domains: Domains, uuids: Sequence[UUID], groups: StatsTypes, chosen: ListDomains, *, only_named: bool
) -> list[tuple[Any, Sequence[Parameter]]]:
    """A few domains a turn, so that others are served too; all interfaces in one question to the kernel before."""
    groups = StatsTypes.STATE if only_named else groups
    counters = bulkstats.counters([found for each in uuids if (found := domains.find(each)) is not None], groups)
    answer: list[tuple[Any, Sequence[Parameter]]] = []
    size = 0
    for start in range(0, len(uuids), _DOMAINS_A_TURN):
        there = [found for each in uuids[start : start + _DOMAINS_A_TURN] if (found := domains.find(each)) is not None]
        batch = listing.chosen(there, chosen)
        found_stats = bulkstats.all_stats(batch, groups, counters)
        told = [(to_wire(ref), () if only_named else parameters) for ref, parameters in found_stats]
        answer += told
        size += sum(_least_size(parameters) for _, parameters in told)
        if size > LENGTH_MAX:
            raise OperationFailedError(
                f"these statistics do not fit into an answer of {LENGTH_MAX} bytes: ask for fewer domains or groups"
            )
        await asyncio.sleep(0)
    return answer


def _least_size(parameters: Sequence[Parameter]) -> int:
    """How many bytes parameters take in a packet, at the least: a length, the name, a kind, a value."""
    return sum(12 + len(each.name) for each in parameters)


HANDLERS: dict[Procedure, Handler] = {
    Remote.DOMAIN_GET_CPU_STATS: _cpu_stats,
    Remote.DOMAIN_MEMORY_STATS: _memory_stats,
    Remote.DOMAIN_BLOCK_STATS: _block_stats,
    Remote.DOMAIN_BLOCK_STATS_FLAGS: _block_stats_with_flags,
    Remote.DOMAIN_INTERFACE_STATS: _interface_stats,
    Remote.CONNECT_GET_ALL_DOMAIN_STATS: _all_stats,
}
