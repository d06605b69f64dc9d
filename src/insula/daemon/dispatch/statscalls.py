"""Statistics of domains: one domain at a time, and all in bulk."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from insula.daemon.incomingcall import Answer, Handler, IncomingCall
from insula.daemon.wire import counted, shown, to_wire
from insula.errors import ArgumentUnsupportedError, InvalidArgumentError, OperationFailedError
from insula.model.numbers import Affect, ListDomains, ParameterType, StatsTypes
from insula.rpc import wiretypes
from insula.rpc.codes.requestcodes import StatsFlags
from insula.rpc.frames import LENGTH_MAX
from insula.rpc.packedlist import PackedList
from insula.rpc.procedures import Procedure, Remote
from insula.service import bulkstats, listing, statistics
from insula.service.domains import Domains
from insula.service.impact import impact
from insula.service.managed import ManagedDomain
from insula.service.parameters import Parameter

_TOTAL = -1
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


def _set_memory_stats_period(request: IncomingCall, domain: ManagedDomain, period: int, flags: int) -> Answer:
    """Any period is kept already, and nothing is to be remembered: what is told is read at each call."""
    request.allow_flags(flags, Affect.LIVE | Affect.CONFIG)
    if period < 0:
        raise InvalidArgumentError(f"a period of {period} s cannot be")
    impact(domain, Affect(flags))
    return None


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
    unknown = stats & ~int(bulkstats.KNOWN)
    if unknown and flags & StatsFlags.ENFORCE_STATS:
        raise ArgumentUnsupportedError(f"stats types bits 0x{unknown:x} are not supported by this daemon")
    groups = StatsTypes(stats & bulkstats.KNOWN)
    domains, chosen = request.services.domains, ListDomains(flags & _FILTERS)
    named = [UUID(bytes=each) for each in {each.uuid: None for each in doms}]
    async with request.client.bulk:
        uuids = named or [each.uuid for each in listing.chosen(domains, chosen)]
        uuids = uuids if request.seen is None else [each for each in uuids if each in request.seen]
        told = PackedList(request.call.procedure.results.pack)
        only_named = bool(stats) and not groups
        groups = StatsTypes.STATE if only_named else groups
        found = [each for uuid in uuids if (each := domains.find(uuid)) is not None]
        disks = () if flags & StatsFlags.NOWAIT else bulkstats.disks_in(found, groups)
        sizes = await request.services.disks.sizes(disks) if disks else {}
        gathered = bulkstats.Gathered(counters=bulkstats.counters(found, groups), sizes=sizes)
        await _tell_stats(told, domains, uuids, groups, chosen, gathered, only_named=only_named)
        return (told,)


async def _tell_stats(
    told: PackedList,
    domains: Domains,
    uuids: Sequence[UUID],
    groups: StatsTypes,
    chosen: ListDomains,
    gathered: bulkstats.Gathered,
    *,
    only_named: bool,
) -> None:
    """A few domains a turn, so that others are served too."""
    for start in range(0, len(uuids), _DOMAINS_A_TURN):
        there = [found for each in uuids[start : start + _DOMAINS_A_TURN] if (found := domains.find(each)) is not None]
        found_stats = bulkstats.all_stats(listing.chosen(there, chosen), groups, gathered)
        told.add([(to_wire(ref), () if only_named else parameters) for ref, parameters in found_stats])
        if told.size > LENGTH_MAX:
            raise OperationFailedError(
                f"these statistics do not fit into an answer of {LENGTH_MAX} bytes: ask for fewer domains or groups"
            )
        await asyncio.sleep(0)


HANDLERS: dict[Procedure, Handler] = {
    Remote.DOMAIN_GET_CPU_STATS: _cpu_stats,
    Remote.DOMAIN_MEMORY_STATS: _memory_stats,
    Remote.DOMAIN_SET_MEMORY_STATS_PERIOD: _set_memory_stats_period,
    Remote.DOMAIN_BLOCK_STATS: _block_stats,
    Remote.DOMAIN_BLOCK_STATS_FLAGS: _block_stats_with_flags,
    Remote.DOMAIN_INTERFACE_STATS: _interface_stats,
    Remote.CONNECT_GET_ALL_DOMAIN_STATS: _all_stats,
}
