"""The overview of domains in one call, and of a guest's processes in another, of our own program."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from insula.daemon.incomingcall import Answer, Handler, IncomingCall
from insula.engine.threads import in_own_thread
from insula.model.numbers import ListDomains
from insula.rpc.codes.nativecodes import ListFlags
from insula.rpc.procedures import Insula, Procedure
from insula.service import listing
from insula.service.domains import Domains
from insula.service.managed import ManagedDomain
from insula.service.overview import addresses_of, overview

_FILTERS = 0xFFFF
_DOMAINS_A_TURN = 8


async def _list(request: IncomingCall, flags: int) -> Answer:
    """A few domains a turn, so that others are served too; those that vanish meanwhile are left out."""
    request.allow_flags(flags, _FILTERS | ListFlags.ADDRESSES)
    domains = request.services.domains
    async with request.client.bulk:
        told: list[dict[str, Any]] = []
        uuids = [each.uuid for each in listing.chosen(request.visible(domains), ListDomains(flags & _FILTERS))]
        for start in range(0, len(uuids), _DOMAINS_A_TURN):
            there = (domains.find(each) for each in uuids[start : start + _DOMAINS_A_TURN])
            told += [overview(each) for each in there if each is not None]
            await asyncio.sleep(0)
        if flags & ListFlags.ADDRESSES:
            await _add_addresses(domains, told)
        return (json.dumps(told, separators=(",", ":")),)


async def _add_addresses(domains: Domains, told: Sequence[dict[str, Any]]) -> None:
    found = [(each, domains.find(UUID(each["uuid"]))) for each in told]
    running = [(each, managed.run) for each, managed in found if managed is not None and managed.run is not None]
    read = await in_own_thread(lambda: addresses_of([run for _, run in running]))
    addresses = {each["uuid"]: those for (each, _), those in zip(running, read, strict=True)}
    for each in told:
        each["addresses"] = addresses.get(each["uuid"], [])


async def _processes(request: IncomingCall, domain: ManagedDomain, flags: int) -> Answer:
    request.allow_flags(flags, 0)
    return (json.dumps(await request.services.processes.processes(domain), separators=(",", ":")),)


HANDLERS: dict[Procedure, Handler] = {Insula.DOMAIN_LIST: _list, Insula.DOMAIN_PROCESSES: _processes}
